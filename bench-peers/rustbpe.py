#!/usr/bin/env python3
"""Training a byte-level vocabulary with rustbpe (PyPI), on whole texts: rustbpe.py --vocab 8192 TEXT..."""
import argparse
import sys
import time

sys.path.pop(0)  # this script has the name of the module
import rustbpe

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
parser = argparse.ArgumentParser()
parser.add_argument("texts", nargs="+")
parser.add_argument("--vocab", type=int, default=8192)
arguments = parser.parse_args()
texts = [open(path, encoding="utf-8", newline="").read() for path in arguments.texts]
best = float("inf")
for _ in range(7):
    start = time.perf_counter()
    tokenizer = rustbpe.Tokenizer()
    tokenizer.train_from_iterator(iter(texts), arguments.vocab, pattern=GPT2)
    best = min(best, time.perf_counter() - start)
print(f"rustbpe_train_s={best:.3f} vocab={tokenizer.vocab_size}")
