//! Where training data comes from: text sources, token shards, batch order, the built-in corpus.
