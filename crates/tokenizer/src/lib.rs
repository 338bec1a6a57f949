//! Byte-pair-encoding tokenizers: train, encode, decode, file formats.
