#!/usr/bin/env python3
"""Makes the folders classifier-*: tiny random models with heads as Hugging Face transformers writes them, and their logits.

    python make_classifiers.py        (torch and transformers 5)

Each folder gets `logits.json`: `rows`, lists of ids of different lengths, with `types` where the model has them, and `logits`, what
the head says of each row in f32; the rows went through the model together, padded as the model's config says.

    python make_classifiers.py --compare FOLDER…

loads folders that Firebrand wrote, with `firebrand.json` of the same form beside the weights, and prints the largest differences.
"""
import json
import sys
from pathlib import Path

import torch
from transformers import (
    AutoModelForSequenceClassification, AutoModelForTokenClassification, BertConfig, BertForSequenceClassification,
    BertForTokenClassification, GPT2Config, GPT2ForSequenceClassification, LlamaConfig, LlamaForSequenceClassification,
)

HERE = Path(__file__).parent
ROWS = [[3, 14, 15, 9, 2, 6, 5, 30, 1, 31], [7, 2, 8], [1]]


def randomize(model, seed):
    """Weights large enough that every part of the model shows in the logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_gain = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if is_gain else 0.3 * noise)
    return model


def said(model, rows, types):
    pad = model.config.pad_token_id
    longest = max(map(len, rows))
    fill = lambda row, value: row + [value] * (longest - len(row))
    given = {
        "input_ids": torch.tensor([fill(row, pad) for row in rows]),
        "attention_mask": torch.tensor([fill([1] * len(row), 0) for row in rows]),
    }
    if types:
        given["token_type_ids"] = torch.tensor([fill(row, 0) for row in types])
    with torch.no_grad():
        logits = model.eval()(**given).logits
    if logits.dim() == 3:  # of each token
        said = [[numbers for numbers in row[: len(ids)].tolist()] for row, ids in zip(logits, rows)]
        said = [[[round(x, 6) for x in numbers] for numbers in row] for row in said]
    else:
        said = [[round(x, 6) for x in row] for row in logits.tolist()]
    return {"rows": rows, "types": types, "logits": said}


def load(folder):
    config = json.loads((folder / "config.json").read_text())
    of_tokens = config["architectures"][0].endswith("TokenClassification")
    auto = AutoModelForTokenClassification if of_tokens else AutoModelForSequenceClassification
    model = auto.from_pretrained(folder, dtype=torch.float32)
    assert type(model).__name__ == config["architectures"][0]
    return model


def write(name, model, types):
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "logits.json").write_text(json.dumps(said(load(folder), ROWS, types)) + "\n")


def flat(value):
    return [x for inner in value for x in flat(inner)] if isinstance(value, list) else [value]


if sys.argv[1:2] == ["--compare"]:
    for folder in map(Path, sys.argv[2:]):
        ours = json.loads((folder / "firebrand.json").read_text())
        theirs = said(load(folder), ours["rows"], ours["types"])
        both = list(zip(flat(ours["logits"]), flat(theirs["logits"]), strict=True))
        difference = max(abs(a - b) for a, b in both)
        print(f"{folder.name} logits: max_abs_diff={difference:.3e}")
        assert difference <= 1e-4
    sys.exit()

labels = dict(
    num_labels=3, id2label={0: "no", 1: "yes", 2: "maybe"}, label2id={"no": 0, "yes": 1, "maybe": 2}, pad_token_id=0,
)
llama = LlamaConfig(
    vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=16, problem_type="single_label_classification", **labels,
)
gpt2 = GPT2Config(
    vocab_size=32, n_embd=16, n_layer=2, n_head=4, n_positions=16, problem_type="multi_label_classification", **labels
)
bert = dict(
    vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=16,
)
types = [[0] * 5 + [1] * 5, [0, 1, 1], [0]]
write("classifier-llama", randomize(LlamaForSequenceClassification(llama), 7), None)
write("classifier-gpt2", randomize(GPT2ForSequenceClassification(gpt2), 8), None)
write("classifier-bert", randomize(BertForSequenceClassification(BertConfig(**bert, num_labels=1, problem_type="regression")), 9), types)
write("classifier-bert-tokens", randomize(BertForTokenClassification(BertConfig(**bert, **labels)), 10), types)
