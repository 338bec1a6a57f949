#!/usr/bin/env python3
"""Per-example log-likelihoods by lm-evaluation-harness, a line of JSON each, as `firebrand eval --examples` writes them.

    python ask.py RUN firebrand_pairs|firebrand_choices|firebrand_cloze DATA.jsonl > answers.jsonl

(lm-eval, transformers, torch.) The tasks are the YAML files beside this one; nothing is downloaded.
"""
import json
import os
import pathlib
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

run, task, data = sys.argv[1:]
here = pathlib.Path(__file__).parent
with tempfile.TemporaryDirectory() as folder:
    text = (here / f"{task}.yaml").read_text()
    (pathlib.Path(folder) / f"{task}.yaml").write_text(text.replace("DATA", str(pathlib.Path(data).resolve())))
    os.environ["HF_DATASETS_CACHE"] = folder
    model = HFLM(pretrained=run, device="cpu", dtype="float32", batch_size=16)
    found = lm_eval.simple_evaluate(
        model=model, tasks=[task], task_manager=TaskManager(include_path=folder, include_defaults=False), log_samples=True, bootstrap_iters=0
    )
print(found["results"][task], file=sys.stderr)
for sample in sorted(found["samples"][task], key=lambda sample: sample["doc_id"]):
    responses = [response[0] if isinstance(response[0], (list, tuple)) else response for response in sample["resps"]]
    print(json.dumps({
        "example": sample["doc_id"],
        "log_likelihoods": [float(log_likelihood) for log_likelihood, _ in responses],
        "greedy": [str(greedy) == "True" for _, greedy in responses],
    }))
