//! Real tokenizers: texts of several scripts, cut anywhere.

use std::ops::ControlFlow;

use firebrand_constrain::Grammar;
use firebrand_decode::{Constrained, FinishReason, GenerateConfig, Sampling, Strategy, generate};
use firebrand_tokenizer::{ByteLevelConfig, Tokenizer};
use regex::Regex;

use crate::fake::FakeModel;

#[test]
fn characters_that_tokens_cut_come_out_whole() {
    let text = "日本語のテキスト、été à Noël, 日本 und größer. ".repeat(20);
    let config = ByteLevelConfig { vocab_size: 300, ..ByteLevelConfig::default() };
    let tokenizer = Tokenizer::train_byte_level([&*text], &config).expect("a tokenizer");
    let tokens = tokenizer.token_table();
    let is_part = |id: &u32| !tokens.bytes(*id).is_empty() && str::from_utf8(tokens.bytes(*id)).is_err();
    for pattern in
        ["[日本語é]{3,6}", r"\p{Han}{1,5}|[ßüö]{4}", "[^a-z]{2,4}!", "(?i)NOËL( été)*?[.]", r"\s?\w{3,9}"]
    {
        let regex = Regex::new(&format!("^(?:{pattern})$")).expect(pattern);
        let constraint =
            Grammar::regular_expression(pattern, &tokens, tokenizer.end_of_text()).expect(pattern);
        let config = GenerateConfig {
            strategy: Strategy::Sample(Sampling::default()),
            end_of_text: tokenizer.end_of_text(),
            constraint: Constrained::by(constraint),
            ..GenerateConfig::default()
        };
        let model = FakeModel::hashed(tokens.len(), 1);
        let each = &mut |_, _| ControlFlow::Continue(());
        let found = generate(&model, &vec![vec![5]; 60], &config, each).expect("generations");
        assert!(found.iter().any(|one| one.ids.iter().any(is_part)), "{pattern}: no character was cut");
        for one in found {
            assert_ne!(one.finish_reason, FinishReason::MaxNewTokens);
            let ids: Vec<u32> = one.ids.into_iter().filter(|&id| !tokens.is_special(id)).collect();
            let text = tokenizer.decode(&ids).expect("text");
            assert!(regex.is_match(&text), "{pattern}: {text:?}");
        }
    }
}
