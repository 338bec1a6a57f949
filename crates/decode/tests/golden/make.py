#!/usr/bin/env python3
"""Makes `generate.json`: what Hugging Face `generate` finds with the tiny models of `crates/transformer/tests/golden`.

    python make.py        (torch and transformers 5)

Each case: the `model`, the `prompt`, `options` and the `ids` found; end-of-text is 0. `n_best` ids come with their `scores`.
"""
import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
MODELS = HERE.parents[2] / "transformer/tests/golden"
PROMPTS = [[3], [14, 15, 9], [2, 6, 5, 30, 1], [31, 31]]
NEW = 11

OPTIONS = [
    {},
    {"repetition_penalty": 1.4},
    {"no_repeat_ngram_size": 2},
    {"min_new_tokens": 4},
    {"num_beams": 2},
    {"num_beams": 4},
    {"num_beams": 4, "length_penalty": 1.0},
    {"num_beams": 4, "length_penalty": -0.5, "num_return_sequences": 2},
    {"num_beams": 8, "num_return_sequences": 3},
    {"num_beams": 3, "no_repeat_ngram_size": 2, "length_penalty": 1.0},
]


def case(name, model, prompt, options):
    beams = options.get("num_beams", 1)
    search = dict(length_penalty=options.get("length_penalty", 0.0), early_stopping=False) if beams > 1 else {}
    with torch.no_grad():
        out = model.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=NEW, pad_token_id=-1, eos_token_id=0,
            return_dict_in_generate=True, output_scores=True, renormalize_logits=True, **{**search, **options},
        )
    found = [[id for id in row[len(prompt):].tolist() if id >= 0] for row in out.sequences]
    scores = [round(score, 5) for score in out.sequences_scores.tolist()] if beams > 1 else None
    return {"model": name, "prompt": prompt, "options": options, "ids": found, "scores": scores}


cases = []
for name in ["gpt2", "llama-bf16", "llama-sharded"]:
    model = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32).eval()
    cases += [case(name, model, prompt, options) for prompt in PROMPTS for options in OPTIONS]
lines = ",\n".join(json.dumps(one) for one in cases)
(HERE / "generate.json").write_text(f"[\n{lines}\n]\n")
