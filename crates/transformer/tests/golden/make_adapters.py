#!/usr/bin/env python3
"""Makes the folders adapter-* beside this file: adapters as PEFT writes them, for the models in gpt2, llama-sharded and bert, and the logits
of those models with them.

    python make_adapters.py        (torch, transformers 5, peft 0.21)

    python make_adapters.py --compare FOLDER…

loads adapters that Firebrand wrote, with `firebrand.json` (ids, logits) beside them, and prints the largest differences.
"""
import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

HERE = Path(__file__).parent
IDS = [3, 14, 15, 9, 2, 6, 5, 1, 0, 8]


def load(folder):
    bert = json.loads((folder / "config.json").read_text())["model_type"] == "bert"
    return (AutoModelForMaskedLM if bert else AutoModelForCausalLM).from_pretrained(folder, dtype=torch.float32)


def logits(model, ids):
    with torch.no_grad():
        return model.eval()(torch.tensor([ids])).logits[0]


def write(name, base, **options):
    torch.manual_seed(len(name))
    model = get_peft_model(load(HERE / base), LoraConfig(bias="none", **options))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_B" in key or "modules_to_save" in key:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = f"../{base}"
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    rows = [[round(x, 6) for x in row] for row in logits(model, IDS).tolist()]
    (folder / "logits.json").write_text(json.dumps({"ids": IDS, "logits": rows}) + "\n")


def load_base(folder):
    """The model that the adapters in `folder` are for, with a fresh head of the kind that its `config.json` describes, if it has one."""
    base = Path(json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"])
    if not (folder / "config.json").exists():
        return load(base)
    config = AutoConfig.from_pretrained(folder)
    return AutoModelForSequenceClassification.from_pretrained(base, config=config, dtype=torch.float32)


def compare(folder):
    said = json.loads((folder / "firebrand.json").read_text())
    model = PeftModel.from_pretrained(load_base(folder), folder)
    loaded = {key for key, _ in model.named_parameters() if "lora_" in key}
    difference = (logits(model, said["ids"]) - torch.tensor(said["logits"])).abs().max().item()
    print(f"{folder.name} adapters={len(loaded)} difference={difference:.3e}")
    return difference


if sys.argv[1:2] == ["--compare"]:
    sys.exit(0 if max(compare(Path(folder)) for folder in sys.argv[2:]) <= 1e-4 else 1)
write("adapter-gpt2", "gpt2", r=3, lora_alpha=6, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)
write(
    "adapter-llama",
    "llama-sharded",
    r=4,
    lora_alpha=8,
    target_modules=["q_proj", "v_proj", "down_proj"],
    rank_pattern={"layers.1.self_attn.q_proj": 2},
    alpha_pattern={"down_proj": 3},
    use_rslora=True,
    modules_to_save=["lm_head"],
)
write("adapter-bert", "bert", r=2, lora_alpha=4, target_modules=["query", "output.dense"])
