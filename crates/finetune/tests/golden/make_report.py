#!/usr/bin/env python3
"""Figures of reports by scikit-learn, SciPy and seqeval, for random predictions: writes report.json beside this file.

    pip install scikit-learn==1.9.1 scipy==1.17.1 seqeval==1.2.2
"""
import json
import pathlib

import numpy as np
import scipy.stats
from seqeval.metrics import classification_report as span_report
from sklearn import metrics

random = np.random.default_rng(0)


def rounded(value):
    """Inputs with few digits, so that both sides compute with the same numbers."""
    return [[round(float(x), 4) for x in row] for row in value]


def scores(labels, predicted, **options):
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0, **options)
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1)}


def label_scores(labels, predicted, n):
    found = metrics.precision_recall_fscore_support(labels, predicted, labels=range(n), zero_division=0)
    return [[float(part[i]) for part in found] for i in range(n)]


def calibration_error(sure, right, bins=15):
    """The definition of Guo et al. 2017, section 2: bins that are open below and closed above."""
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (sure > low) & (sure <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    return float(total)


def classification(n, n_labels, never=None):
    labels = random.integers(0, n_labels, n)
    logits = random.normal(0, 1, (n, n_labels))
    logits[np.arange(n), labels] += 1.2
    if never is not None:  # a label that is neither there nor predicted
        labels[labels == never] = 0
        logits[:, never] = -9
    probabilities = np.array(rounded(np.exp(logits) / np.exp(logits).sum(1, keepdims=True)))
    predicted = probabilities.argmax(1)
    sure = probabilities.max(1)
    right_ones = np.maximum(probabilities[np.arange(n), labels], 1e-300)
    return {
        "probabilities": probabilities.tolist(),
        "labels": labels.tolist(),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "macro": scores(labels, predicted, average="macro"),
        "matthews": float(metrics.matthews_corrcoef(labels, predicted)),
        "loss": float(-np.log(right_ones).mean()),
        "per_label": label_scores(labels, predicted, n_labels),
        "confusion": metrics.confusion_matrix(labels, predicted, labels=range(n_labels)).tolist(),
        "calibration_error": calibration_error(sure, predicted == labels),
    }


def multi_label(n, n_labels):
    there = random.random((n, n_labels)) < 0.3
    probabilities = np.clip(random.normal(0.3, 0.2, (n, n_labels)) + 0.3 * there, 0.01, 0.99)
    probabilities = np.array(rounded(probabilities))
    predicted = probabilities > 0.5
    loss = -np.where(there, np.log(probabilities), np.log1p(-probabilities)).mean()
    return {
        "probabilities": probabilities.tolist(),
        "labels": [np.flatnonzero(row).tolist() for row in there],
        "micro": scores(there, predicted, average="micro"),
        "macro": scores(there, predicted, average="macro"),
        "exact": float(metrics.accuracy_score(there, predicted)),
        "loss": float(loss),
    }


def regression(n):
    numbers = np.round(random.normal(2.5, 1, n), 1)  # rounded: some are equal
    predicted = np.round(numbers * 0.7 + random.normal(0.5, 0.6, n), 1)
    return {
        "numbers": numbers.tolist(),
        "predicted": predicted.tolist(),
        "pearson": float(scipy.stats.pearsonr(predicted, numbers)[0]),
        "spearman": float(scipy.stats.spearmanr(predicted, numbers)[0]),
        "mse": float(metrics.mean_squared_error(numbers, predicted)),
        "mae": float(metrics.mean_absolute_error(numbers, predicted)),
        "r2": float(metrics.r2_score(numbers, predicted)),
    }


def tagging(n):
    names = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]

    def tags(length):
        return random.choice(len(names), length, p=[0.15, 0.15, 0.15, 0.15, 0.4])

    there = [tags(random.integers(1, 12)) for _ in range(n)]
    predicted = [np.where(random.random(len(row)) < 0.7, row, tags(len(row))) for row in there]
    named = lambda rows: [[names[tag] for tag in row] for row in rows]
    spans = span_report(named(there), named(predicted), output_dict=True, zero_division=0)
    flat = [np.concatenate(rows) for rows in (there, predicted)]
    pick = lambda row: [float(row["precision"]), float(row["recall"]), float(row["f1-score"]), int(row["support"])]
    return {
        "names": names,
        "tags": [row.tolist() for row in there],
        "predicted": [row.tolist() for row in predicted],
        "accuracy": float(metrics.accuracy_score(*flat)),
        "macro_f1": float(metrics.f1_score(*flat, average="macro")),
        "micro": pick(spans["micro avg"]),
        "macro": pick(spans["macro avg"]),
        "spans": {label: pick(spans[label]) for label in ("LOC", "PER")},
    }


golden = {
    "classification": [classification(60, 2), classification(80, 5), classification(50, 6, never=3)],
    "multi_label": multi_label(40, 4),
    "regression": regression(50),
    "tagging": tagging(40),
}
path = pathlib.Path(__file__).with_name("report.json")
path.write_text(json.dumps(golden) + "\n")
