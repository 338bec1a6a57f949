#!/usr/bin/env python3
"""Makes the golden files of this folder with Hugging Face tokenizers (0.23): run it in this folder.

byte_level.json  what training gives (vocabulary, merges) and which ids texts get, for texts written below
files/*.json     tokenizer.json files in the shapes that others write, small, with the ids their texts get
"""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
CL100K = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CUSTOM = r"\p{N}|[aeiou]+"
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

STORY = """The lamp in the lighthouse went out at seven. "Who's there?" asked Mara, and nobody answered.
She'd climbed 212 steps; she wouldn't climb them again. We're told that 12,345 ships passed here in 1987 alone!

    indented = [x**2 for x in range(10)]  # code, too\t(tabs)\r\n
Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Příliš žluťoučký kůň. Ще не вмерла.
灯台の光が消えた。 등대의 불이 꺼졌다. नमस्ते दुनिया। שלום עולם. مرحبا بالعالم. e\u0301te\u0301 ½ Ⅷ ٣٤
🦙🧑🏽‍🚀👨‍👩‍👧‍👦 camelCaseHTTPServer'S IT'LL WE'VE don't \u00a0\u3000 trailing   \n\n\n"""
TESTS = [
    "",
    " ",
    "   \n\t ",
    "the lighthouse in the lamp",
    "It's 1234567 o'clock; THEY'RE   late...\r\n\r\nok",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b",
    "unseen: ꧁ᬅ꧂ \u0000\u0001\u007f\ufeff \U0010ffff",
    STORY,
    f"before{END}after {END}",
    "ababab abcabcab " * 9,
]


def syllables(seed, words):
    """Pseudo-random words, so that counts are high and ties are many."""
    rng = random.Random(seed)
    parts = ["ka", "to", "mi", "ren", "sol", "a", "ab", "aa", "é", "ß", "日"]
    lexicon = ["".join(rng.choice(parts) for _ in range(rng.randint(1, 5))) for _ in range(150)]
    return " ".join(rng.choice(lexicon) for _ in range(words))


def splitter(pattern):
    byte_level = lambda use_regex: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    if pattern in ("gpt2", "none"):
        return byte_level(pattern == "gpt2")
    expression = pattern["custom"] if isinstance(pattern, dict) else {"cl100k": CL100K, "o200k": O200K}[pattern]
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(expression), "isolated"), byte_level(False)])


def train(texts, vocab_size, pattern="gpt2", special_tokens=(END,), min_frequency=1, normalization="none"):
    tokenizer = Tokenizer(models.BPE())
    if normalization == "lowercase":
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = splitter(pattern)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(special_tokens),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def byte_level_case(name, texts, vocab_size, **config):
    tokenizer = train(texts, vocab_size, **config)
    model = json.loads(tokenizer.to_str())["model"]
    return {
        "name": name,
        "config": {"vocab_size": vocab_size, "special_tokens": [END], **config},
        "texts": texts,
        "vocab": [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1])],
        "merges": model["merges"],
        "ids": [[text, tokenizer.encode(text).ids] for text in TESTS],
    }


def byte_level():
    words = syllables(1, 1500)
    return [
        byte_level_case("a story", [STORY], 400),
        byte_level_case("several texts and ties", [words, STORY, "x", ""], 600),
        byte_level_case("cl100k", [STORY, words], 420, pattern="cl100k"),
        byte_level_case("o200k", [STORY, words], 420, pattern="o200k"),
        byte_level_case("no pattern", [STORY, words], 420, pattern="none"),
        byte_level_case("custom", [STORY, words], 420, pattern={"custom": CUSTOM}),
        byte_level_case("pairs run out", ["abracadabra"], 1000),
        byte_level_case("nothing to merge", ["a"], 300),
        byte_level_case("rare pairs stay", [words], 1000, min_frequency=40),
        byte_level_case("no special tokens", [words], 300, special_tokens=[]),
        byte_level_case("a merge spells a special token", ["abab abc " * 30], 275, pattern="none", special_tokens=["ab", "abc", END]),
        byte_level_case("small letters", [STORY, words.upper()], 400, normalization="lowercase"),
        byte_level_case("overlaps", ["aaaaaaa aaa aa aaaa baaab " * 7], 280, pattern="none"),
    ]


def other_files():
    words = syllables(2, 800)
    # Llama 3: cl100k, whole pieces kept, a begin token around every text.
    llama = train([STORY, words], 380, "cl100k", ["<|begin_of_text|>", "<|end_of_text|>"])
    llama.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing("<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|> $B", [("<|begin_of_text|>", 0)]),
        ]
    )
    yield "llama3", llama, {"ignore_merges": True}, "pairs"
    # SmolLM: single digits before GPT-2's pattern; merges as strings, as older versions wrote them.
    smol = train([STORY, words], 380, "gpt2", [END])
    smol.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    yield "smollm", smol, {}, "strings"
    # GPT-NeoX: runs of spaces are ordinary added tokens above the model's vocabulary; special ones beside them.
    neox = train([STORY, words], 380, "gpt2", [END])
    neox.add_tokens([AddedToken(" " * n, normalized=True) for n in (4, 3, 2)])
    neox.add_special_tokens(["<|padding|>"])
    yield "neox", neox, {}, "strings"
    # Small letters, as in uncased models.
    yield "uncased", train([STORY, words], 380, normalization="lowercase"), {}, "pairs"


def outside(characters):
    """The expression of a character that is none of these."""
    runs = []
    for code in sorted(map(ord, characters)):
        if runs and runs[-1][1] + 1 == code:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "[^" + "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last in runs) + "]"


def longest_prefix():
    """WordPiece without a prefix, with each unknown character a word: longest prefixes of GPT-2's words."""
    alphabet = sorted(set(STORY))
    longer = ["th", "the", " the", " lamp", "ight", "hou", "house", "lighthous", "aaaa", "aa", "ab", "abcab", "灯台", "का", "\n\n", "\n\n\n"]
    longer = [token for token in longer if set(token) <= set(alphabet)]
    tokens = [END, "<unk>", *alphabet, *longer]
    model = models.WordPiece(
        {token: id for id, token in enumerate(tokens)},
        unk_token="<unk>",
        continuing_subword_prefix="",
        max_input_chars_per_word=2**32 - 1,
    )
    tokenizer = Tokenizer(model)
    split = lambda expression: pre_tokenizers.Split(Regex(expression), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split(GPT2), split(outside(alphabet))])
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([END, "<unk>"])
    return tokenizer


def main():
    here = pathlib.Path(__file__).parent
    # Not json.dump(indent=…): a golden file should be short, and a difference in it still be one line a case.
    cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in byte_level())
    (here / "byte_level.json").write_text(f"[\n{cases}\n]\n", encoding="utf-8")
    (here / "files").mkdir(exist_ok=True)
    for name, tokenizer, model, merges in other_files():
        file = json.loads(tokenizer.to_str())
        file["model"].update(model)
        tokenizer = Tokenizer.from_str(json.dumps(file))
        if merges == "strings":
            file["model"]["merges"] = [" ".join(pair) for pair in file["model"]["merges"]]
        write_file(here / "files" / f"{name}.json", file, tokenizer)
    tokenizer = longest_prefix()
    write_file(here / "files" / "longest_prefix.json", json.loads(tokenizer.to_str()), tokenizer)


def write_file(path, file, tokenizer):
    golden = {"tokenizer": file, "ids": [[text, tokenizer.encode(text).ids] for text in TESTS]}
    path.write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
