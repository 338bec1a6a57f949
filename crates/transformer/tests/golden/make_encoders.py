#!/usr/bin/env python3
"""Makes the folders bert*, electra beside this file: tiny random encoders as Hugging Face transformers writes them, and their logits.

    python make_encoders.py        (torch and transformers 5)

Each folder gets `logits.json`: `ids`, `types`, and what the model's heads say in f32: `logits` of tokens (of ELECTRA the log-odds
that each was replaced), `next_sentence` where there is such a head, `hidden`, the states of the last layer.

    python make_encoders.py --compare FOLDER…

loads folders that Firebrand wrote, with `firebrand.json` of the same form beside the weights, and prints the largest differences.
"""
import json
import sys
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, BertForPreTraining, ElectraConfig, ElectraForPreTraining

HERE = Path(__file__).parent
IDS = [3, 14, 15, 9, 2, 6, 5, 30, 0, 31]
TYPES = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]


def randomize(model, seed):
    """Weights large enough that every part of the model shows in the logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_gain = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if is_gain else 0.3 * noise)
    return model


def said(model, ids, types):
    with torch.no_grad():
        out = model.eval()(
            torch.tensor([ids]), token_type_ids=torch.tensor([types]), output_hidden_states=True
        )
    rows = lambda tensor: [[round(x, 6) for x in row] for row in tensor.tolist()]
    result = {"ids": ids, "types": types, "hidden": rows(out.hidden_states[-1][0])}
    if isinstance(model, BertForPreTraining):
        result["logits"] = rows(out.prediction_logits[0])
        result["next_sentence"] = rows(out.seq_relationship_logits)[0]
    elif isinstance(model, ElectraForPreTraining):
        result["logits"] = rows(out.logits[0].reshape(-1, 1))
    else:
        result["logits"] = rows(out.logits[0])
    return result


def load(folder):
    config = json.loads((folder / "config.json").read_text())
    classes = {c.__name__: c for c in (BertForMaskedLM, BertForPreTraining, ElectraForPreTraining)}
    return classes[config["architectures"][0]].from_pretrained(folder, dtype=torch.float32)


def write(name, model):
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "logits.json").write_text(json.dumps(said(load(folder), IDS, TYPES)) + "\n")


if sys.argv[1:2] == ["--compare"]:
    for folder in map(Path, sys.argv[2:]):
        ours = json.loads((folder / "firebrand.json").read_text())
        theirs = said(load(folder), ours["ids"], ours["types"])
        for key in ("hidden", "logits", "next_sentence"):
            if key in ours:
                difference = (torch.tensor(ours[key]) - torch.tensor(theirs[key])).abs().max().item()
                print(f"{folder.name} {key}: max_abs_diff={difference:.3e}")
                assert difference <= 1e-4
    sys.exit()

shape = dict(
    vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=16,
)
write("bert", randomize(BertForMaskedLM(BertConfig(**shape)), 4))
write("bert-pretraining", randomize(BertForPreTraining(BertConfig(**shape, hidden_act="gelu_new")), 5))
write("electra", randomize(ElectraForPreTraining(ElectraConfig(**shape, embedding_size=16)), 6))
