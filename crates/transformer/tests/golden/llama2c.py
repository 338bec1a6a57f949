#!/usr/bin/env python3
"""What llama.cpp writes with a model of llama2.c: llama2c.py stories260K.bin > llama2c.json

Needs llama-cpp-python, gguf and numpy. llama.cpp turns neighbouring numbers of a head, as llama2.c does, so that the weights are
handed to it as they are.
"""
import json
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np

data = open(sys.argv[1], "rb").read()
dim, hidden, layers, heads, kv_heads, vocab, seq = np.frombuffer(data[:28], np.int32).tolist()
weights = np.frombuffer(data[28:], np.float32)
kv = dim * kv_heads // heads


def take(*shape):
    global weights
    taken, weights = np.split(weights, [int(np.prod(shape))])
    return taken.reshape(shape)


file = tempfile.NamedTemporaryFile(suffix=".gguf")
writer = gguf.GGUFWriter(file.name, "llama")
writer.add_context_length(seq)
writer.add_embedding_length(dim)
writer.add_block_count(layers)
writer.add_feed_forward_length(hidden)
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_rope_freq_base(10000.0)
writer.add_rope_dimension_count(dim // heads)
writer.add_vocab_size(abs(vocab))
writer.add_file_type(gguf.LlamaFileType.ALL_F32)
writer.add_tokenizer_model("no_vocab")
writer.add_tensor("token_embd.weight", take(abs(vocab), dim))
for name, *shape in [
    ("attn_norm", dim), ("attn_q", dim, dim), ("attn_k", kv, dim), ("attn_v", kv, dim), ("attn_output", dim, dim),
    ("ffn_norm", dim), ("ffn_gate", hidden, dim), ("ffn_down", dim, hidden), ("ffn_up", hidden, dim),
]:
    for layer, tensor in enumerate(take(layers, *shape)):
        writer.add_tensor(f"blk.{layer}.{name}.weight", np.ascontiguousarray(tensor))
writer.add_tensor("output_norm.weight", take(dim))
assert vocab > 0 and len(weights) == seq * dim // heads, "a head of its own, or something left"
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

silent = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(silent, None)
model = llama_cpp.llama_model_load_from_file(file.name.encode(), llama_cpp.llama_model_default_params())
params = llama_cpp.llama_context_default_params()
params.n_ctx, params.type_k, params.type_v = seq, 0, 0  # f32
params.flash_attn_type = 0  # none: it rounds queries to f16
context = llama_cpp.llama_init_from_model(model, params)
ids, log_probs = [1], []
while len(ids) <= 200:
    array = (llama_cpp.llama_token * 1)(ids[-1])
    assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(array, 1)) == 0
    logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), shape=(vocab,)).astype(np.float64)
    ids.append(int(logits.argmax()))
    log_probs.append(round(float(logits.max() - np.logaddexp.reduce(logits)), 4))
print(json.dumps({"ids": ids, "log_probs": log_probs}))
