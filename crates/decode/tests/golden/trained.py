#!/usr/bin/env python3
"""Compares `firebrand generate` with Hugging Face `generate` on a trained run: 20 prompts of 128 new tokens, greedy and 4 beams.

    python trained.py FIREBRAND RUN TEXT        (torch and transformers 5)

FIREBRAND is the binary, TEXT a file of documents divided by blank lines, whose beginnings are the prompts. Exits with 1 if
any ids differ.
"""
import json
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM

firebrand, run, text = sys.argv[1:]
documents = open(text).read().split("\n\n")


def lines(*args, stdin=None):
    out = subprocess.run([firebrand, *args], input=stdin, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def prompt(number):
    words = documents[number * 7 % len(documents)].split()[: 3 + number % 9]
    ids = lines("tokenizer", "encode", "--tokenizer", run, "--json", stdin=" ".join(words))[0]["ids"]
    return [0] + ids


model = AutoModelForCausalLM.from_pretrained(run, dtype=torch.float32).eval()
differ = 0
for beams, length_penalty in [(1, 0.0), (4, 0.0), (4, 1.0)]:
    search = dict(length_penalty=length_penalty, early_stopping=False) if beams > 1 else {}
    ours_search = ["--beams", str(beams), "--length-penalty", str(length_penalty)] if beams > 1 else []
    same = 0
    for ids in map(prompt, range(20)):
        with torch.no_grad():
            out = model.generate(
                torch.tensor([ids]), do_sample=False, num_beams=beams, max_new_tokens=128, pad_token_id=0, **search
            )
        expected = out[0, len(ids):].tolist()
        given = ["--json", "--max-new-tokens", "128", "--prompt-ids", ",".join(map(str, ids))]
        same += lines("generate", run, *given, *ours_search)[0]["ids"] == expected
    differ += 20 - same
    print(f"{beams} beams, length penalty {length_penalty}: {same} of 20 prompts have the same ids")
sys.exit(differ > 0)
