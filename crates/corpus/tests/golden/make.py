"""Makes the files of this folder: the same six records as other programs write them.

    python -m venv venv && venv/bin/pip install pyarrow pandas zstandard && venv/bin/python make.py
"""

import gzip
import json
import os

import pandas
import pyarrow
import pyarrow.parquet
import zstandard

FOLDER = os.path.dirname(os.path.abspath(__file__))
TEXTS = [
    "Once there was a fox.",
    'She said: "No, thank you", and left.',
    "Two\nlines\r\nand a half",
    "Füchse, 狐, 🦊",
    "tab\there",
    "the end",
]
LABELS = [0, 1, -2, 3, 4, 5]
SCORES = [0.5, 1.0, -2.25, 1e20, 3.0, 4.0]


def path(name):
    return os.path.join(FOLDER, name)


def write(name, data):
    with open(path(name), "wb") as file:
        file.write(data)


frame = pandas.DataFrame({"text": TEXTS, "label": LABELS, "score": SCORES})

# Parquet by pyarrow: every compression and data page version, dictionaries or not, several row groups.
table = pyarrow.table(
    {
        "text": TEXTS,
        "label": pyarrow.array(LABELS, pyarrow.int32()),
        "score": SCORES,
        "maybe": pyarrow.array(["a", None, "c", None, "", "f"]),
        "words": [text.split() for text in TEXTS],
        "meta": [{"id": i, "ok": i % 2 == 0} for i in range(6)],
    }
)
for name, options in {
    "plain": {"compression": "none", "use_dictionary": False},
    "snappy": {"compression": "snappy"},
    "gzip": {"compression": "gzip", "data_page_version": "2.0"},
    "zstd": {"compression": "zstd", "use_dictionary": False, "data_page_version": "2.0"},
    "lz4": {"compression": "lz4"},
    "groups": {"compression": "zstd", "row_group_size": 2},
}.items():
    pyarrow.parquet.write_table(table, path(f"pyarrow-{name}.parquet"), **options)
# Strings as other types: large strings, dictionaries (pandas' categories), bytes without a word about text.
other = pyarrow.table(
    {
        "text": pyarrow.array(TEXTS, pyarrow.large_string()),
        "category": pyarrow.array(TEXTS).dictionary_encode(),
        "raw": pyarrow.array([text.encode() for text in TEXTS], pyarrow.binary()),
        "label": LABELS,
    }
)
pyarrow.parquet.write_table(other, path("pyarrow-types.parquet"))
frame.to_parquet(path("pandas.parquet"))

# CSV, TSV and JSON lines by pandas, also compressed.
frame.to_csv(path("pandas.csv"), index=False)
frame.to_csv(path("excel.csv"), index=False, lineterminator="\r\n", encoding="utf-8-sig", quoting=1)
frame.to_csv(path("pandas.csv.gz"), index=False, compression={"method": "gzip", "mtime": 0})
frame.to_csv(path("pandas.csv.zst"), index=False, compression="zstd")
frame.to_json(path("pandas.jsonl"), orient="records", lines=True)
# Not ASCII alone, and two members, one frame after the other.
lines = ["".join(json.dumps({"text": t, "label": l}, ensure_ascii=False) + "\n") for t, l in zip(TEXTS, LABELS)]
halves = ["".join(lines[:3]).encode(), "".join(lines[3:]).encode()]
write("members.jsonl.gz", b"".join(gzip.compress(half, mtime=0) for half in halves))
write("frames.jsonl.zst", b"".join(zstandard.ZstdCompressor().compress(half) for half in halves))

write("expected.json", json.dumps({"text": TEXTS, "label": LABELS}, ensure_ascii=False, indent=1).encode() + b"\n")
