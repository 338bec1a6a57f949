#!/usr/bin/env python3
"""Makes the folders prompt-* and prefix-* beside this file: trained prompts as PEFT writes them, for the models in gpt2 and llama-sharded, and
the logits of those models behind them.

    python make_prompts.py        (torch, transformers 5, peft 0.21)

    python make_prompts.py --compare FOLDER…

loads prompts that Firebrand wrote, with `firebrand.json` (ids, logits) beside them, and prints the largest differences.

Logits are those behind the last vector of a soft prompt and behind each id; a prefix has none of its own.
"""
import json
import sys
from pathlib import Path

import torch
from peft import PeftModel, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
IDS = [3, 14, 15, 9, 2, 6, 5, 1, 0, 8]
N = 4


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def logits(model, ids):
    with torch.no_grad():
        all_logits = model.eval()(input_ids=torch.tensor([ids])).logits[0]
    return all_logits[-len(ids) - 1 :] if len(all_logits) > len(ids) else all_logits


def write(name, base, config):
    torch.manual_seed(len(name))
    model = get_peft_model(load(HERE / base), config)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "prompt_encoder" in key:
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = f"../{base}"
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    rows = [[round(x, 6) for x in row] for row in logits(model, IDS).tolist()]
    (folder / "logits.json").write_text(json.dumps({"ids": IDS, "logits": rows}) + "\n")


def compare(folder):
    said = json.loads((folder / "firebrand.json").read_text())
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = PeftModel.from_pretrained(load(base), folder)
    theirs, ours = logits(model, said["ids"]), torch.tensor(said["logits"])
    assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
    difference = (theirs - ours).abs().max().item()
    print(f"{folder.name} difference={difference:.3e}")
    return difference


if sys.argv[1:2] == ["--compare"]:
    sys.exit(0 if max(compare(Path(folder)) for folder in sys.argv[2:]) <= 1e-4 else 1)
for base, folder in [("gpt2", "gpt2"), ("llama", "llama-sharded")]:
    write(f"prompt-{base}", folder, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=N))
    write(f"prefix-{base}", folder, PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=N))
