//! Transformer models: config, forward pass, key-value cache, weights in and out.
