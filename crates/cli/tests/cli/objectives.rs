//! Models of objectives besides the causal one: trained with their smoke configs, and used by every command that can.

mod filling;
mod permuting;
mod prefixed;
