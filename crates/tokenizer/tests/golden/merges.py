#!/usr/bin/env python3
"""Makes merges.json: which merges Hugging Face tokenizers (0.23) learns from each corpus of the shared data.

Run it in this folder, where the data is at ../../../../../shared/data; it takes a minute. The data must not
come into the project, and merges are words of it, so the golden file holds hashes of them and only the first and the
last few. A corpus is a list of files, each one text, its line breaks as they are.
"""
import hashlib
import itertools
import json
import pathlib
import struct

import tokenizers
from make import END, train

HERE = pathlib.Path(__file__).parent
DATA = HERE / "../../../../../shared/data"
VOCAB_SIZE = 4096
# After every so many merges the hash of all so far, so that a test can say where the first difference is.
STEP = 256
SHOWN = 3


def corpora():
    """Each corpus as a name and its files, relative to the data: all text there is, in groups that belong together."""

    def files(*patterns):
        found = sorted(itertools.chain.from_iterable(DATA.glob(pattern) for pattern in patterns))
        return [path.relative_to(DATA).as_posix() for path in found]

    yield "tinyshakespeare", files("tinyshakespeare/*.txt")
    yield "tinystories", files("tinystories/*.txt")
    yield "wikitext2", files("wikitext2/*.tokens")
    for book in files("gutenberg/*.txt"):
        yield book.removesuffix(".txt"), [book]
    yield "gutenberg", files("gutenberg/*.txt")
    yield "sst2", files("sst2/*.tsv")
    yield "agnews", files("agnews/*.csv")
    yield "trec", files("trec/*.jsonl")
    yield "blimp", files("blimp/*.jsonl")
    for language in files("unicode/udhr/*.txt"):
        yield language.removesuffix(".txt"), [language]
    yield "unicode/udhr", files("unicode/udhr/*.txt")
    for file in files("unicode/*"):
        if (DATA / file).is_file():
            yield file.removesuffix(".txt"), [file]
    yield "gpt2_tokenizer", files("gpt2_tokenizer/*")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def listed(merges):
    """Merges as the hashes see them: a line for each, in stand-ins of bytes."""
    return "".join(f"{left} {right}\n" for left, right in merges).encode()


def corpus(name, paths):
    contents = [(DATA / path).read_bytes() for path in paths]
    texts = [content.decode() for content in contents]
    tokenizer = train(texts, VOCAB_SIZE)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    files = []
    for path, content, text in zip(paths, contents, texts):
        ids = tokenizer.encode(text).ids
        packed = struct.pack(f"<{len(ids)}I", *ids)
        files.append({"path": path, "sha256": sha256(content), "tokens": len(ids), "ids_sha256": sha256(packed)})
    print(name, sum(map(len, contents)), "bytes,", len(merges), "merges", flush=True)
    return {
        "name": name,
        "files": files,
        "merges": len(merges),
        "merges_sha256": sha256(listed(merges)),
        "steps_sha256": [sha256(listed(merges[:end]))[:16] for end in range(STEP, len(merges), STEP)],
        "first": merges[:SHOWN],
        "last": merges[-SHOWN:],
    }


def main():
    assert tokenizers.__version__.startswith("0.23."), tokenizers.__version__
    head = {
        "tokenizers": tokenizers.__version__,
        "pattern": "gpt2",
        "vocab_size": VOCAB_SIZE,
        "special_tokens": [END],
        "step": STEP,
    }
    # A corpus a line, so that a difference in the golden file is one too.
    lines = ",\n".join(json.dumps(corpus(name, paths), ensure_ascii=False) for name, paths in corpora())
    start = json.dumps(head, ensure_ascii=False).removesuffix("}")
    (HERE / "merges.json").write_text(f'{start}, "corpora": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
