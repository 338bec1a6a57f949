//! What is claimed of the generator, tested.
