#!/usr/bin/env python3
"""Greedy generation with llama.cpp in f32 (llama-cpp-python, PyPI), from a Hugging Face folder of a llama.

    llama_cpp.py MODEL_DIR --ids 1,2,3 --new 128 [--threads 2]

Writes the weights as GGUF beside the folder's, reads the prompt in one pass and goes on a token at a time, each the likeliest.
"""
import argparse
import json
import pathlib
import sys
import time

sys.path.pop(0)  # this script has the name of the module

import gguf
import llama_cpp
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("model", type=pathlib.Path)
parser.add_argument("--ids", required=True)
parser.add_argument("--new", type=int, default=128)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--times", type=int, default=4)
arguments = parser.parse_args()


def tensors(path):
    """The tensors of a safetensors file of f32."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    for name, of in header.items():
        assert of["dtype"] == "F32", name
        start, end = of["data_offsets"]
        yield name, np.frombuffer(data[start:end], np.float32).reshape(of["shape"])


def interleaved(weight, heads):
    """llama.cpp rotates neighbouring numbers of a head, transformers its halves."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(folder, to):
    config = json.loads((folder / "config.json").read_text())
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(to, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = config.get("rope_parameters") or config
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("no_vocab")
    names = {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    }
    for name, tensor in tensors(folder / "model.safetensors"):
        name, kind = name.rsplit(".", 1)
        parts = name.split(".")
        if name.startswith("model.layers."):
            name = f"blk.{parts[2]}." + names[".".join(parts[3:])]
        else:
            name = names[name]
        if name.endswith("attn_q") or name.endswith("attn_k"):
            tensor = interleaved(tensor, heads if name.endswith("q") else kv_heads)
        writer.add_tensor(f"{name}.{kind}", np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


path = arguments.model / "model.gguf"
write_gguf(arguments.model, str(path))
ids = [int(i) for i in arguments.ids.split(",")]
llama_cpp.llama_backend_init()
silent = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(silent, None)
params = llama_cpp.llama_model_default_params()
model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
assert model, "llama.cpp does not load the model"
vocab_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
params = llama_cpp.llama_context_default_params()
params.n_ctx = len(ids) + arguments.new
params.n_batch = params.n_ubatch = max(512, len(ids))
params.n_threads = params.n_threads_batch = arguments.threads
params.type_k = params.type_v = 0  # f32
context = llama_cpp.llama_init_from_model(model, params)
memory = llama_cpp.llama_get_memory(context)


def step(tokens):
    # The batch refers to the array, which has to outlive it.
    array = (llama_cpp.llama_token * len(tokens))(*tokens)
    batch = llama_cpp.llama_batch_get_one(array, len(tokens))
    assert llama_cpp.llama_decode(context, batch) == 0
    logits = llama_cpp.llama_get_logits_ith(context, -1)
    return int(np.ctypeslib.as_array(logits, shape=(vocab_size,)).argmax())


def run():
    llama_cpp.llama_memory_clear(memory, True)
    start = time.perf_counter()
    found = [step(ids)]
    prompt = time.perf_counter()
    while len(found) < arguments.new:
        found.append(step(found[-1:]))
    return prompt - start, time.perf_counter() - prompt, found


# The best of a few, after one to warm up.
runs = [run() for _ in range(arguments.times)][1:]
print(",".join(map(str, runs[0][2])))
print(f"prompt_tokens_per_s={len(ids) / min(run[0] for run in runs):.1f}")
print(f"tokens_per_s={(arguments.new - 1) / min(run[1] for run in runs):.1f}")
