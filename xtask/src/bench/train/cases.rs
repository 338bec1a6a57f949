//! The models that training is measured with.

use super::super::Options;

/// What products are computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    /// Single precision throughout.
    F32,
    /// bf16 operands, f32 sums and master weights; PyTorch's is autocast.
    Bf16,
}

/// A model and batch to measure with; both sides take these as options of the same names.
#[derive(Clone, Copy, Debug)]
struct Shape {
    name: &'static str,
    vocab: u32,
    seq: u32,
    layers: u32,
    heads: u32,
    d_model: u32,
    batch: u32,
    /// Steps that are timed: enough for a median, a few seconds each side.
    steps: u32,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "0.9m", vocab: 256, seq: 64, layers: 4, heads: 4, d_model: 128, batch: 12, steps: 100 },
    Shape { name: "11m", vocab: 512, seq: 256, layers: 6, heads: 6, d_model: 384, batch: 8, steps: 8 },
    Shape { name: "50m", vocab: 8192, seq: 512, layers: 8, heads: 10, d_model: 640, batch: 4, steps: 4 },
];

const ARCHITECTURES: [&str; 2] = ["gpt2", "llama"];

/// One thing to measure.
#[derive(Debug)]
pub(super) struct Case {
    /// `gpt2-11m`, `llama-50m-bf16`
    pub(super) name: String,
    pub(super) precision: Precision,
    /// The least speed, as a multiple of the better one of the peer's.
    pub(super) target: f64,
    /// What it is meant to become.
    pub(super) goal: f64,
    shape: Shape,
    arch: &'static str,
}

/// The cases that `--only` selects, f32 first.
pub(super) fn wanted(options: &Options) -> Vec<Case> {
    let mut cases = Vec::new();
    for (precision, suffix, target, goal) in
        [(Precision::F32, "", 2.0, 2.5), (Precision::Bf16, "-bf16", 1.0, 1.5)]
    {
        for shape in SHAPES {
            cases.extend(ARCHITECTURES.map(|arch| Case {
                name: format!("{arch}-{}{suffix}", shape.name),
                precision,
                target,
                goal,
                shape,
                arch,
            }));
        }
    }
    cases.retain(|case| options.wants(&case.name));
    cases
}

/// Whether this processor multiplies in bf16.
pub(super) fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

impl Case {
    /// The options both sides understand.
    pub(super) fn arguments(&self, threads: u32, options: &Options) -> Vec<String> {
        let shape = &self.shape;
        let numbers = [
            ("--vocab", shape.vocab),
            ("--seq", shape.seq),
            ("--layers", shape.layers),
            ("--heads", shape.heads),
            ("--d-model", shape.d_model),
            ("--batch", shape.batch),
            ("--steps", options.steps.unwrap_or(shape.steps)),
            ("--threads", threads),
        ];
        let numbers = numbers.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_string()]);
        ["--arch".to_owned(), self.arch.to_owned()].into_iter().chain(numbers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(only: Option<&str>) -> Options {
        Options { only: only.map(str::to_owned).into_iter().collect(), ..Options::of_rounds(3) }
    }

    #[test]
    fn both_sides_get_the_shapes_of_the_issue() {
        let arguments = |only| {
            let cases = wanted(&options(Some(only)));
            cases[0].arguments(2, &options(None)).join(" ")
        };
        assert_eq!(
            arguments("llama-11m"),
            "--arch llama --vocab 512 --seq 256 --layers 6 --heads 6 --d-model 384 --batch 8 --steps 8 --threads 2"
        );
        assert_eq!(
            arguments("gpt2-0.9m"),
            "--arch gpt2 --vocab 256 --seq 64 --layers 4 --heads 4 --d-model 128 --batch 12 --steps 100 --threads 2"
        );
        assert_eq!(
            arguments("llama-50m"),
            "--arch llama --vocab 8192 --seq 512 --layers 8 --heads 10 --d-model 640 --batch 4 --steps 4 --threads 2"
        );
    }

    #[test]
    fn every_shape_is_measured_in_both_precisions() {
        let names = |only| wanted(&options(only)).into_iter().map(|case| case.name).collect::<Vec<_>>();
        assert_eq!(names(None).len(), 12);
        assert_eq!(names(Some("llama-50m")), ["llama-50m", "llama-50m-bf16"]);
        assert_eq!(names(Some("bf16")).len(), 6);
    }
}
