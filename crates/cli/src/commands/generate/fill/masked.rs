//! Blanks for masked models: a blank is so many masks, and of those the one that the model is surest of is filled first.

use super::{Filling, around_blanks};
use crate::args::{GenerateArgs, Global, WeightsName};
use crate::commands::masked::Masked;
use crate::exit::usage;
use crate::run::Trained;
use firebrand_decode::FinishReason;
use firebrand_tokenizer::Tokenizer;

/// A text with blanks, as the model sees it.
struct Blanks {
    /// What stands around the blanks, without a space before one that goes into the blank.
    parts: Vec<String>,
    /// With what is around a text.
    ids: Vec<u32>,
    /// The positions of the masks of each blank.
    masks: Vec<Vec<usize>>,
}

/// Tokens for all masks.
#[derive(Clone)]
struct Filled {
    ids: Vec<u32>,
    /// `Σ log P` of each token when it was chosen.
    log_prob: f64,
}

pub(super) fn run(args: &GenerateArgs, trained: &Trained, global: &Global) -> anyhow::Result<()> {
    check(args)?;
    let masked = Masked::new(trained)?;
    for text in &args.fill {
        let blanks = Blanks::new(text, args.blank_tokens, &masked)?;
        let candidates = fill(&blanks, args.n_best, &masked);
        for (rank, filled) in candidates.iter().enumerate() {
            let (whole, spans) = blanks.whole(filled, masked.tokenizer)?;
            let ids: Vec<u32> = blanks.masks.iter().flatten().map(|&position| filled.ids[position]).collect();
            let filling = Filling {
                prompt: text,
                text: Some(whole),
                fills: Some(spans),
                input_ids: &blanks.ids,
                ids: &ids,
                rank: rank + 1,
                score: filled.log_prob,
                log_prob: filled.log_prob,
                // Every mask is filled, and nothing else is asked for.
                finish_reason: FinishReason::Complete,
            };
            filling.show(args, global)?;
        }
    }
    Ok(())
}

/// Refuses options that say how a text is gone on with.
fn check(args: &GenerateArgs) -> anyhow::Result<()> {
    if args.blank_tokens == 0 || args.n_best == 0 {
        return Err(usage("--blank-tokens and --n-best: give at least 1"));
    }
    let given = [
        ("--strategy", args.strategy.is_some()),
        ("--temperature", args.temperature.is_some()),
        ("--top-k", args.top_k.is_some()),
        ("--top-p", args.top_p.is_some()),
        ("--beams", args.beams.is_some()),
        ("--best-of", args.best_of.is_some()),
        ("--draft", args.draft.is_some()),
        ("--regex", args.regex.is_some()),
        ("--json-schema", args.json_schema.is_some()),
        ("--min-p", args.min_p.is_some()),
        ("--typical-p", args.typical_p.is_some()),
        ("--eta", args.eta.is_some()),
        ("--mirostat", args.mirostat.is_some()),
        ("--contrastive-k", args.contrastive_k.is_some()),
        ("--contrastive-alpha", args.contrastive_alpha.is_some()),
        ("--beam-groups", args.beam_groups.is_some()),
        ("--length-penalty", args.length_penalty.is_some()),
        ("--ban", !args.ban.is_empty()),
        ("--bias", !args.bias.is_empty()),
        ("--repetition-penalty", args.repetition_penalty != 1.0),
        ("--presence-penalty", args.presence_penalty != 0.0),
        ("--frequency-penalty", args.frequency_penalty != 0.0),
        ("--no-repeat-ngram", args.no_repeat_ngram != 0),
        ("--no-cache", args.no_cache),
        ("--explain-cost", args.explain_cost),
        ("--force", args.force.is_some()),
        ("--stop", !args.stop.is_empty()),
        ("--trace", args.trace.is_some()),
        ("--weights", args.weights != WeightsName::F32),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => Err(usage(format!(
            "{option} is for models that write one token after the other; a masked model fills a blank with the likeliest tokens, \
             and shows others by --n-best"
        ))),
        None => Ok(()),
    }
}

impl Blanks {
    fn new(text: &str, tokens: usize, masked: &Masked<'_>) -> anyhow::Result<Self> {
        let mut parts: Vec<String> = around_blanks(text)?.into_iter().map(String::from).collect();
        let blanks = parts.len() - 1;
        if has_spaces_in_words(masked.tokenizer) {
            for part in &mut parts[..blanks] {
                if part.ends_with(' ') {
                    part.pop();
                }
            }
        }
        let (mut ids, mut masks) = (Vec::new(), Vec::new());
        for (index, part) in parts.iter().enumerate() {
            ids.extend(masked.tokenizer.encode(part));
            if index < blanks {
                masks.push((ids.len()..ids.len() + tokens).collect::<Vec<usize>>());
                ids.resize(ids.len() + tokens, masked.mask);
            }
        }
        let before = usize::from(masked.frame.ends().0.is_some());
        masks.iter_mut().flatten().for_each(|position| *position += before);
        let ids = masked.frame.around(&ids);
        if ids.len() > masked.context() {
            return Err(usage(format!(
                "--fill: {} tokens, with the masks and those around the text, are more than the model's context of {}: cut the text",
                ids.len(),
                masked.context()
            )));
        }
        Ok(Self { parts, ids, masks })
    }

    /// The text with its blanks filled, and what fills each.
    fn whole(&self, filled: &Filled, tokenizer: &Tokenizer) -> anyhow::Result<(String, Vec<String>)> {
        let (mut whole, mut spans) = (self.parts[0].clone(), Vec::new());
        for (positions, part) in self.masks.iter().zip(&self.parts[1..]) {
            let ids: Vec<u32> = positions.iter().map(|&position| filled.ids[position]).collect();
            let span = tokenizer.decode_behind(&filled.ids[..positions[0]], &ids)?;
            whole.push_str(&span);
            whole.push_str(part);
            spans.push(span);
        }
        Ok((whole, spans))
    }
}

/// Whether words carry the space before them, so that it is not to stand in front of a blank by itself.
fn has_spaces_in_words(tokenizer: &Tokenizer) -> bool {
    let table = tokenizer.token_table();
    (0..table.len() as u32)
        .any(|id| table.starts_word(id) && table.byte_len(id) > 1 && table.bytes(id)[0] == b' ')
}

/// The `n_best` likeliest tokens for the mask that the model is surest of, each with the likeliest for the other masks, surest
/// first; the likeliest filling comes first.
fn fill(blanks: &Blanks, n_best: usize, masked: &Masked<'_>) -> Vec<Filled> {
    let open: Vec<usize> = blanks.masks.concat();
    let start = Filled { ids: blanks.ids.clone(), log_prob: 0.0 };
    let (at, first) = surest(&start, &open, n_best, masked);
    let mut candidates: Vec<Filled> = first
        .into_iter()
        .map(|(id, log_prob)| {
            let mut filled = start.clone();
            filled.ids[at] = id;
            filled.log_prob += log_prob;
            let mut open: Vec<usize> = open.iter().copied().filter(|&position| position != at).collect();
            while !open.is_empty() {
                let (at, best) = surest(&filled, &open, 1, masked);
                let (id, log_prob) = best[0];
                filled.ids[at] = id;
                filled.log_prob += log_prob;
                open.retain(|&position| position != at);
            }
            filled
        })
        .collect();
    candidates.sort_by(|a, b| b.log_prob.total_cmp(&a.log_prob));
    candidates
}

/// The open position whose likeliest token is likeliest, and its `n` likeliest tokens, the best first.
fn surest(filled: &Filled, open: &[usize], n: usize, masked: &Masked<'_>) -> (usize, Vec<(u32, f64)>) {
    let places: Vec<(usize, usize)> = open.iter().map(|&at| (0, at)).collect();
    // What one pass says of all that is open.
    let all = masked.log_probs(std::slice::from_ref(&filled.ids), &places);
    let ranked = open.iter().zip(all).map(|(&at, log_probs)| {
        let ids = (0..log_probs.len() as u32).filter(|&id| masked.is_ordinary(id));
        let mut ranked: Vec<(u32, f64)> = ids.map(|id| (id, f64::from(log_probs[id as usize]))).collect();
        // Ties to the smaller id.
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.truncate(n);
        (at, ranked)
    });
    let likeliest = |ranked: &[(u32, f64)]| ranked.first().map_or(f64::NEG_INFINITY, |best| best.1);
    ranked
        .reduce(|best, next| if likeliest(&next.1) > likeliest(&best.1) { next } else { best })
        .expect("there is an open position")
}
