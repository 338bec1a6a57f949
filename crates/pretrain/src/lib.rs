//! Pretraining objectives.
