#!/usr/bin/env python3
"""Writes statistics.json: what numpy and scipy say of small cases.

    python make.py > statistics.json        (numpy, scipy)
"""
import json
import math

import numpy as np
from scipy import stats

values = [0.5, -1.25, 3.0, 3.0, 7.75, 2.5, 0.0]
shares = [0.0, 0.025, 0.1, 0.5, 0.9, 0.975, 1.0]


def interval(right, n, confidence):
    """The percentile interval of an accuracy. Its ends are multiples of 1 / n, so that any generator finds the same ends
    unless a tail ends just between two of them: then the case is no use and must be replaced."""
    data = np.array([1.0] * right + [0.0] * (n - right))
    tail = (1 - confidence) / 2
    for count in range(n + 1):
        below = stats.binom.cdf(count, n, right / n)
        assert abs(below - tail) > 0.004 and abs(below - (1 - tail)) > 0.004, (right, n, confidence, count, below)
    found = stats.bootstrap((data,), np.mean, method="percentile", confidence_level=confidence, n_resamples=40000, rng=1)
    return [float(found.confidence_interval.low), float(found.confidence_interval.high)]


def sign_flips(differences):
    found = stats.permutation_test(
        (np.array(differences),), lambda d, axis: np.sum(d, axis=axis), permutation_type="samples", n_resamples=math.inf, vectorized=True
    )
    return float(found.pvalue)


intervals = [[8, 11, 0.95], [9, 25, 0.8], [22, 35, 0.9]]
discordant = [[1, 4], [0, 6], [12, 30], [250, 310], [3, 3], [40, 0], [5000, 5200]]
differences = [
    [1.0, 2.0, 3.0],
    [0.5, -0.25, 1.0, 2.0, -0.75, 0.125, 3.0, 1.5],
    [-3.0, 1.0, -2.5, 0.25, -4.0, 0.5, -1.0, -2.0, 0.75, -0.125, 1.25, -0.375],
]
print(
    json.dumps(
        {
            "made_with": {"numpy": np.__version__, "scipy": __import__("scipy").__version__},
            "quantile": {"values": values, "shares": shares, "expected": [float(np.quantile(values, share)) for share in shares]},
            "bootstrap": [{"right": r, "n": n, "confidence": c, "expected": interval(r, n, c)} for r, n, c in intervals],
            "mcnemar": [{"only": pair, "expected": float(stats.binomtest(pair[0], sum(pair)).pvalue)} for pair in discordant],
            "sign_flips": [{"differences": d, "expected": sign_flips(d)} for d in differences],
        },
        indent=1,
    )
)
