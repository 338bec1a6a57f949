#!/usr/bin/env python3
"""Makes the folders beside this file: tiny random models as Hugging Face transformers writes them, and their logits.

    python make.py        (torch and transformers 5)

Each folder gets `logits.json`: `ids`, and `logits` computed in f32 from the weights as they were saved.
"""
import json
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration,
)

HERE = Path(__file__).parent
IDS = [3, 14, 15, 9, 2, 6, 5, 30, 0, 31]


def randomize(model, seed):
    """Weights large enough that every part of the model shows in the logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_gain = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(1 + 0.2 * noise if is_gain else 0.3 * noise)
    return model


def write(name, model, **options):
    folder = HERE / name
    model.save_pretrained(folder, **options)
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = again(torch.tensor([IDS])).logits[0]
    rows = [[round(x, 6) for x in row] for row in logits.tolist()]
    (folder / "logits.json").write_text(json.dumps({"ids": IDS, "logits": rows}) + "\n")


llama = dict(
    vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=16, rms_norm_eps=1e-5, bos_token_id=0, eos_token_id=0,
)
write("llama-sharded", randomize(LlamaForCausalLM(LlamaConfig(**llama)), 1), max_shard_size="12KB")
write("llama-wide-heads", randomize(LlamaForCausalLM(LlamaConfig(**llama, head_dim=6)), 6))
theta = {"rope_type": "default", "rope_theta": 500.0}
tied = LlamaConfig(**llama, tie_word_embeddings=True, attention_bias=True, mlp_bias=True, rope_parameters=theta)
write("llama-bf16", randomize(LlamaForCausalLM(tied), 2).to(torch.bfloat16))
gpt2 = GPT2Config(
    vocab_size=32, n_embd=16, n_layer=2, n_head=4, n_positions=16, activation_function="gelu_new",
    bos_token_id=0, eos_token_id=0,
)
write("gpt2", randomize(GPT2LMHeadModel(gpt2), 3))


def write_t5(name, config, seed, free_head=False):
    """An encoder–decoder: `ids` are what the encoder reads, `decoder_ids` what the decoder has written."""
    folder = HERE / name
    model = randomize(T5ForConditionalGeneration(config), seed)
    if free_head:
        # transformers 5 ties the head of a new T5 in any case, and reads one of its own.
        noise = torch.randn(model.shared.weight.shape, generator=torch.Generator().manual_seed(seed + 1))
        model.lm_head.weight = torch.nn.Parameter(0.3 * noise)
    model.save_pretrained(folder)
    if free_head:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"tie_word_embeddings": False}, indent=2) + "\n")
    again = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    decoder_ids = IDS[:3] + list(range(4, 27))
    with torch.no_grad():
        logits = again(input_ids=torch.tensor([IDS * 3]), decoder_input_ids=torch.tensor([decoder_ids])).logits[0]
    rows = [[round(x, 6) for x in row] for row in logits.tolist()]
    (folder / "logits.json").write_text(
        json.dumps({"ids": IDS * 3, "decoder_ids": decoder_ids, "logits": rows}) + "\n"
    )


t5 = dict(
    vocab_size=32, d_model=16, d_kv=4, num_heads=4, d_ff=24, num_layers=2, relative_attention_num_buckets=8,
    relative_attention_max_distance=20, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
)
write_t5("t5", T5Config(**t5, num_decoder_layers=3, feed_forward_proj="relu"), 4)
wide = t5 | dict(d_kv=6, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
write_t5("t5-wide-heads", T5Config(**wide), 7, free_head=True)
write_t5("t5-gated", T5Config(**t5, feed_forward_proj="gated-gelu", tie_word_embeddings=False), 5, free_head=True)
