//! Which models are trained, and what makes them alike in size.

/// An objective, its config, and what makes its model as large as the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) name: &'static str,
    pub(super) config: &'static str,
    pub(super) set: &'static [&'static str],
    /// How `firebrand score` reads a text with its model.
    pub(super) scores: Scores,
}

/// How likely a model finds a text, as `firebrand score` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scores {
    /// As the product of what each token is given those before it (or behind it): bits per byte.
    ByTokens,
    /// In another way, which compares with itself alone.
    Otherwise,
    Not,
}

/// The model whose floating-point operations `--flops` spends on all.
pub(super) const FIRST: &str = "causal";
/// A causal model of the size of one half of [`BIDIRECTIONAL`].
pub(super) const HALF: &str = "causal-half";
pub(super) const BIDIRECTIONAL: &str = "bidirectional";

/// All have about a million parameters: four layers in all, two of them in each stack where there are two, and narrower ones where
/// a stack looks at the other; but for [`HALF`].
pub(super) const TRIALS: [Trial; 12] = [
    Trial { name: FIRST, config: "quickstart", set: &[FOUR], scores: Scores::ByTokens },
    Trial { name: BIDIRECTIONAL, config: "bidirectional", set: &[TWO], scores: Scores::ByTokens },
    Trial { name: HALF, config: "quickstart", set: &[TWO], scores: Scores::ByTokens },
    Trial {
        name: "fill-in-the-middle",
        config: "fill-in-the-middle",
        set: &[FOUR],
        scores: Scores::ByTokens,
    },
    // ELMo's layers. Muon is for matrices of transformers, and leaves those of LSTMs to AdamW.
    Trial {
        name: "bidirectional-lstm",
        config: "bidirectional",
        set: &[TWO, "model.layers=lstm", "model.position=none", "model.d_ff=176"],
        scores: Scores::ByTokens,
    },
    Trial { name: "prefix", config: "prefix", set: &[FOUR], scores: Scores::ByTokens },
    // Learned positions take far longer to be of use: see the config.
    Trial {
        name: "masked",
        config: "masked",
        set: &[FOUR, "model.d_model=128", "model.n_heads=4", "model.position=rope"],
        scores: Scores::Otherwise,
    },
    Trial {
        name: "span-corruption",
        config: "span-corruption",
        set: &[TWO, "model.d_ff=400"],
        scores: Scores::Otherwise,
    },
    Trial {
        name: "denoising",
        config: "denoising",
        set: &[TWO, "model.d_ff=264"],
        scores: Scores::Otherwise,
    },
    // With the embedding as its head, as the others.
    Trial {
        name: "mixture",
        config: "mixture",
        set: &[TWO, "model.d_ff=264", "model.tied_head=true"],
        scores: Scores::Otherwise,
    },
    Trial {
        name: "replaced-token",
        config: "replaced-token",
        set: &[FOUR, "model.position=rope"],
        scores: Scores::Not,
    },
    Trial { name: "permutation", config: "permutation", set: &[FOUR], scores: Scores::ByTokens },
];

const FOUR: &str = "model.n_layers=4";
const TWO: &str = "model.n_layers=2";
