#!/usr/bin/env python3
"""Log-probabilities of candidate texts with Hugging Face transformers, in batches: what `firebrand bench-prompt` scores.

    score_hf.py MODEL_DIR [--threads 2] [--batch 32]

MODEL_DIR holds the model and questions.json: for each question how many ids are given, and the candidates. Each candidate is read
whole, longest first, in padded batches; logits are asked for from the first place that counts.
"""
import argparse
import json
import pathlib
import time

import torch
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("model", type=pathlib.Path)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch", type=int, default=32)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
questions = json.loads((arguments.model / "questions.json").read_text())
texts = [(given, ids) for given, candidates in questions for ids in candidates]
texts.sort(key=lambda text: -len(text[1]))


def score(batch):
    """The sum of the log-probabilities of each text of a batch."""
    longest = len(batch[0][1])
    ids = torch.zeros((len(batch), longest), dtype=torch.long)
    mask = torch.zeros((len(batch), longest), dtype=torch.long)
    counts = torch.zeros((len(batch), longest - 1))
    for row, (given, text) in enumerate(batch):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
        counts[row, max(given, 1) - 1 : len(text) - 1] = 1
    first = min(max(given, 1) for given, _ in batch) - 1
    logits = model(ids, attention_mask=mask, logits_to_keep=longest - first).logits[:, :-1]
    targets = ids[:, first + 1 :]
    log_probs = logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(-1)
    return (log_probs * counts[:, first:]).sum(-1)


with torch.inference_mode():
    score(texts[: arguments.batch])
    start = time.perf_counter()
    total = sum(
        score(texts[i : i + arguments.batch]).double().sum().item() for i in range(0, len(texts), arguments.batch)
    )
    seconds = time.perf_counter() - start
print(f"texts_per_s={len(texts) / seconds:.2f} log_prob={total:.4f}")
