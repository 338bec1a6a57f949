#!/usr/bin/env python3
"""Makes the golden files of other programs' formats: run it in this folder, with tiktoken (0.14) and sentencepiece (0.2).

tiktoken.json  rank files, as lists of (base64, rank), and which ids `tiktoken.Encoding` gives texts
llama2c.json   llama2.c's tok*.bin, in base64, and which ids sentencepiece gives texts with the same pieces and scores
"""
import base64
import json
import pathlib
import random
import struct

import sentencepiece
import tiktoken
from sentencepiece import sentencepiece_model_pb2 as pb

from make import CL100K, END, GPT2, O200K, STORY, TESTS, syllables

# The expression of tiktoken's cl100k_base, which takes the white space at the end of a text whole.
TIKTOKEN_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
ALL = r"(?s:.+)"
EXPRESSIONS = {"gpt2": GPT2, "cl100k": CL100K, "o200k": O200K, "none": ALL}


def strings(seed, alphabet, count, longest):
    """Texts of few letters, where everything overlaps."""
    rng = random.Random(seed)
    return ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, longest))) for _ in range(count)]


def frequent(text, count, longest):
    """The most frequent byte strings: each can be split in many ways, and some cannot be reached by merging."""
    data = text.encode()
    counts = {}
    for length in range(2, longest + 1):
        for at in range(len(data) - length + 1):
            token = data[at : at + length]
            counts[token] = counts.get(token, 0) + length - 1
    return sorted(counts, key=lambda token: (-counts[token], token))[:count]


def tiktoken_case(name, pattern, ranks, texts):
    expression = pattern["custom"] if isinstance(pattern, dict) else EXPRESSIONS[pattern]
    special = {END: max(ranks.values()) + 3}
    encoding = tiktoken.Encoding(name, pat_str=expression, mergeable_ranks=ranks, special_tokens=special)
    return {
        "name": name,
        "pattern": pattern,
        "special": list(special.items()),
        "ranks": [[base64.b64encode(token).decode(), rank] for token, rank in ranks.items()],
        "ids": [[text, encoding.encode(text, allowed_special="all")] for text in texts],
    }


def tiktoken_cases():
    alphabet = [bytes([byte]) for byte in range(256)]
    words = syllables(1, 600)
    longer = frequent(STORY + words, 500, 7)
    in_order = {token: rank for rank, token in enumerate(alphabet + longer)}
    few = ["a", "b", "é", " "]
    yield tiktoken_case("in order", "gpt2", in_order, TESTS + strings(1, few, 20, 150))
    rng = random.Random(2)
    for pattern in ("cl100k", "o200k", "none", {"custom": TIKTOKEN_CL100K}):
        # Any order, also of the bytes; one of three longer tokens and some ranks are missing.
        tokens = alphabet + [token for token in longer if rng.random() < 0.66]
        rng.shuffle(tokens)
        ranks = dict(zip(tokens, sorted(rng.sample(range(2 * len(tokens)), len(tokens)))))
        # Where white space ends a text, the published expressions of cl100k differ.
        texts = [text for text in TESTS if pattern != "cl100k" or not text.endswith((" ", "\n"))]
        yield tiktoken_case(f"shuffled, {pattern}", pattern, ranks, texts + ["x \n  ", "\n \n "][: 2 * (pattern != "cl100k")])
    for seed in range(12):
        rng = random.Random(seed)
        tokens = alphabet + [token.encode() for token in sorted(set(strings(seed, "ab" if seed % 2 else "abc", 60, 9))) if len(token) > 1]
        rng.shuffle(tokens)
        ranks = {token: rank for rank, token in enumerate(tokens)}
        yield tiktoken_case(f"few letters {seed}", "none", ranks, strings(seed, "abc", 6, 60) + strings(seed, "ab", 2, 400))


def llama2c_file(pieces):
    """What llama2.c's tokenizer.py writes."""
    tokens = [token.encode() for token, _ in pieces]
    file = struct.pack("<i", max(map(len, tokens)))
    for token, (_, score) in zip(tokens, pieces):
        file += struct.pack("<fi", score, len(token)) + token
    return file


def sentencepiece_model(pieces):
    """The same pieces and scores for sentencepiece, which has its own sign for the space."""
    model = pb.ModelProto()
    for at, (token, score) in enumerate(pieces):
        kind = {0: 2, 1: 3, 2: 3}.get(at, 6 if at < 259 else 1)
        model.pieces.add(piece=token.strip("\n").replace(" ", "▁"), score=score, type=kind)
    model.trainer_spec.model_type = pb.TrainerSpec.BPE
    model.trainer_spec.vocab_size = len(pieces)
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = False
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())


def llama2c_case(name, longer, texts):
    special = [("<unk>", 0.0), ("\n<s>\n", 0.0), ("\n</s>\n", 0.0)]
    pieces = special + [(f"<0x{byte:02X}>", 0.0) for byte in range(256)] + longer
    processor = sentencepiece_model(pieces)
    return {
        "name": name,
        "file": base64.b64encode(llama2c_file(pieces)).decode(),
        "ids": [[text, processor.encode(text)] for text in texts],
    }


def llama2c_cases():
    def characters(text, first):
        return [(char, first - at) for at, char in enumerate(sorted(set(text) - set("\n\0")))]

    text = STORY + syllables(3, 300)
    longer = [token.decode() for token in frequent(text.replace("\n", " "), 900, 9) if is_text(token)][:400]
    in_order = [(token, float(-at)) for at, token in enumerate(dict.fromkeys(longer))]
    in_order = [(token, score) for token, score in in_order if len(token) > 1]
    yield llama2c_case("in order", in_order + characters(text, -1000.0), TESTS[:8] + TESTS[9:])
    rng = random.Random(4)
    for seed in range(12):
        # Scores in any order, many of them equal: the leftmost of equals goes first.
        letters = "ab" if seed % 2 else "abc "
        tokens = sorted({token for token in strings(seed, letters, 60, 6) if len(token) > 1})
        rng.shuffle(tokens)
        longer = [(token, float(-rng.randint(0, 12 if seed < 8 else 1000))) for token in tokens]
        yield llama2c_case(f"ties {seed}", longer + characters("abc ", -2000.0), strings(seed, "abc d", 8, 60) + strings(seed, "ab", 4, 200))


def is_text(token):
    try:
        return bool(token.decode())
    except UnicodeDecodeError:
        return False


def main():
    here = pathlib.Path(__file__).parent
    for file, cases in [("tiktoken", tiktoken_cases()), ("llama2c", llama2c_cases())]:
        lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
        (here / f"{file}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
