#!/usr/bin/env python3
"""Makes what is in this folder: a small model, questions, and what lm-evaluation-harness says of them.

    python make.py FIREBRAND BLIMP-FOLDER        (lm-eval, transformers, torch)

pairs.jsonl holds two pairs of each paradigm in the folder: BLiMP (Warstadt et al. 2020), CC BY 4.0.
"""
import json
import pathlib
import subprocess
import sys

firebrand, blimp = sys.argv[1], pathlib.Path(sys.argv[2])
here = pathlib.Path(__file__).parent
peers = here.parent.parent / "peers" / "lm_eval" / "ask.py"
CONFIG = """
[data]
texts = ["{folder}/stories.txt"]
tokenizer = "{folder}/tok"
boundary = "blank-line"
[model]
preset = "llama"
d_model = 16
n_layers = 1
n_heads = 2
[training]
steps = 400
batch_size = 16
seq_len = 96
[optimizer]
lr = 1e-2
"""


def run(*args, **options):
    return subprocess.run([str(arg) for arg in args], check=True, **options)


def sentences(text):
    parts = text.replace("\n", " ").split(". ")
    return [part + "." for part in parts[:-1]] + [parts[-1]]


def model(scratch):
    run(firebrand, "data", "generate", "--bytes", "200KB", "--out", scratch / "stories.txt")
    run(firebrand, "tokenizer", "train", scratch / "stories.txt", "--out", scratch / "tok", "--vocab-size", 400)
    (scratch / "config.toml").write_text(CONFIG.format(folder=scratch))
    run(firebrand, "pretrain", "--config", scratch / "config.toml", "--out", scratch / "run", "--device", "cpu", "--threads", 1)
    (here / "run").mkdir(exist_ok=True)
    for name in ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]:
        (here / "run" / name).write_bytes((scratch / "run" / name).read_bytes())


def questions(scratch):
    pairs = [line for file in sorted(blimp.glob("*.jsonl")) for line in file.read_text().splitlines()[:2]]
    (here / "pairs.jsonl").write_text("\n".join(pairs) + "\n")
    run(firebrand, "data", "generate", "--split", "test", "--bytes", "20KB", "--out", scratch / "test.txt")
    stories = [sentences(story.strip()) for story in (scratch / "test.txt").read_text().split("\n\n")]
    # What is too long for the context is cut from the left: by lm-eval for each answer, by us for all of a question alike.
    stories = [story for story in stories if len(story) > 3 and len(story[-1]) < 90][:12]
    choices, cloze = [], []
    for i, story in enumerate(stories):
        endings = [stories[(i + k) % len(stories)][-1] for k in (5, 0, 3)]
        choices.append({"question": story[-2], "choices": endings, "answer": 1})
        words = story[1].split(" ")
        cloze.append({"context": story[0] + " " + " ".join(words[:-1]), "target": words[-1]})
    for name, records in [("choices", choices), ("cloze", cloze)]:
        (here / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        model(pathlib.Path(folder))
        questions(pathlib.Path(folder))
    for name in ["pairs", "choices", "cloze"]:
        with open(here / f"{name}.expected.jsonl", "w") as out:
            run(sys.executable, peers, here / "run", f"firebrand_{name}", here / f"{name}.jsonl", stdout=out)
