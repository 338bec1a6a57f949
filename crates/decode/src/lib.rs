//! Generation strategies against a small model trait.
