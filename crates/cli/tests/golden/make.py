"""Counts what is in the datasets under ../shared/data, by Python's own readers.

    python3 make.py ../../../../../shared/data > datasets.json
"""

import collections
import csv
import glob
import json
import os
import sys

root = sys.argv[1]


def tsv(path):
    with open(path, encoding="utf-8", newline="") as file:
        lines = file.read().split("\n")
    return [(text, label) for text, label in (line.split("\t") for line in lines[1:] if line)]


def agnews():
    with open(f"{root}/agnews/train.csv", encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def paragraphs():
    with open(f"{root}/tinystories/train.txt", encoding="utf-8", newline="") as file:
        text = file.read()
    documents, lines = [], []
    for line in text.split("\n") + [""]:
        if line.strip():
            lines.append(line)
        elif lines:
            documents.append("\n".join(lines))
            lines = []
    return [(document, None) for document in documents]


def count(examples):
    words = [" ".join(text.split()) for text, _ in examples]
    labels = collections.Counter(label for _, label in examples if label is not None)
    return {
        "examples": len(examples),
        "words": sum(len(text.split()) for text in words),
        "characters": sum(len(part) for text, _ in examples for part in text.split("\0")),
        "bytes": sum(len(part.encode()) for text, _ in examples for part in text.split("\0")),
        "empty": sum(not text for text in words),
        "duplicates": len(words) - len(set(words)),
        "labels": dict(sorted(labels.items())),
    }


sentiment = {"0": "negative", "1": "positive"}
blimp = [
    (record["sentence_good"] + " \0 " + record["sentence_bad"], record["UID"])
    for path in sorted(glob.glob(f"{root}/blimp/*.jsonl"))
    for record in lines(path)
]
golden = {
    "sst2 train": [(text, sentiment[label]) for text, label in tsv(f"{root}/sst2/train.tsv")],
    "sst2 validation": [(text, sentiment[label]) for text, label in tsv(f"{root}/sst2/dev.tsv")],
    "agnews train": agnews(),
    "trec coarse": [(r["text"], r["label"]) for r in lines(f"{root}/trec/train.jsonl")],
    "trec fine": [(r["text"], r["fine_label"]) for r in lines(f"{root}/trec/train.jsonl")],
    "tinystories train": paragraphs(),
}
golden = {name: count(examples) for name, examples in golden.items()}
# The two sentences are counted without what joins them here.
pairs = count(blimp)
pairs["words"] -= len(blimp)
pairs["characters"] -= 2 * len(blimp)
pairs["bytes"] -= 2 * len(blimp)
golden["blimp test"] = pairs
json.dump(golden, sys.stdout, indent=1, sort_keys=True)
print()
