//! What a schema lets through is JSON that meets it.

use std::ops::ControlFlow;

use firebrand_decode::{
    Beam, Constrained, Draft, DraftLength, FinishReason, GenerateConfig, Sampling, Strategy, generate,
    generate_speculative,
};
use firebrand_tokenizer::{TokenEntry, TokenTable};
use serde_json::Value;

use crate::Grammar;
use crate::fake::FakeModel;

const END: u32 = 256;

/// Bytes, end-of-text, and some that hold several characters of JSON.
fn tokens() -> TokenTable {
    let bytes = (0..=255).map(|byte| TokenEntry { bytes: vec![byte], special: false });
    let end = TokenEntry { bytes: vec![], special: true };
    let more = ["{\"", "\":", "\": ", ", \"", "true", "name", "\"}", "12", "é"];
    let more = more.map(|text| TokenEntry { bytes: text.as_bytes().to_vec(), special: false });
    TokenTable::new(bytes.chain([end]).chain(more))
}

fn grammar(schema: &str) -> Grammar {
    Grammar::json_schema(schema, &tokens(), Some(END)).expect("a constraint")
}

/// What many draws, a search and a draft give; each says it ended by itself.
fn texts(schema: &str) -> Vec<String> {
    let tokens = tokens();
    let config = |strategy| GenerateConfig {
        strategy,
        max_new_tokens: 400,
        end_of_text: Some(END),
        constraint: Constrained::by(grammar(schema)),
        ..GenerateConfig::default()
    };
    let model = FakeModel::hashed(tokens.len(), 7).with_end_of_text(END);
    let each = &mut |_, _| ControlFlow::Continue(());
    let sampled = config(Strategy::Sample(Sampling::default()));
    let mut found = generate(&model, &vec![vec![1]; 40], &sampled, each).expect("generations");
    let search = config(Strategy::Beam(Beam::default()));
    found.extend(generate(&model, &[vec![1], vec![2]], &search, each).expect("generations"));
    let draft = FakeModel::hashed(tokens.len(), 8);
    let drafted = generate_speculative(
        &model,
        &Draft::Model(&draft),
        DraftLength::Fixed(3),
        &vec![vec![1]; 10],
        &sampled,
        each,
    );
    found.extend(drafted.expect("generations").0);
    let text = |ids: &[u32]| {
        let bytes = ids.iter().flat_map(|&id| tokens.bytes(id)).copied().collect();
        String::from_utf8(bytes).expect("whole characters")
    };
    for one in &found {
        let by_itself = matches!(one.finish_reason, FinishReason::Complete | FinishReason::EndOfText);
        assert!(by_itself, "{:?}: {}", one.finish_reason, text(&one.ids));
    }
    found.iter().map(|one| text(&one.ids)).collect()
}

/// Checks every text that a schema gives.
fn check(schema: &str, meets: impl Fn(&Value) -> bool) {
    let texts = texts(schema);
    for text in &texts {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(meets(&value), "{text}");
    }
    assert!(texts.iter().any(|text| *text != texts[0]), "always {}", texts[0]);
}

#[test]
fn objects_have_their_properties_and_no_others() {
    check(
        r#"{"type": "object", "required": ["name", "age"], "additionalProperties": false, "properties": {
            "name": {"type": "string", "minLength": 2, "maxLength": 5},
            "age": {"type": "integer", "minimum": 3, "maximum": 120},
            "tags": {"type": "array", "items": {"enum": ["red", "blå"]}, "maxItems": 3}}}"#,
        |value| {
            let object = value.as_object().expect("an object");
            let length = object["name"].as_str().expect("a string").chars().count();
            let tags = object.get("tags").map(|tags| tags.as_array().expect("an array"));
            (2..=5).contains(&length)
                && (3..=120).contains(&object["age"].as_i64().expect("an integer"))
                && tags
                    .is_none_or(|tags| tags.len() <= 3 && tags.iter().all(|tag| tag == "red" || tag == "blå"))
                && object.keys().all(|key| ["name", "age", "tags"].contains(&&**key))
        },
    );
}

#[test]
fn choices_numbers_patterns_and_definitions_are_kept() {
    check(r#"{"enum": ["a", 1, null, {"b": [true]}]}"#, |value| {
        [serde_json::json!("a"), 1.into(), Value::Null, serde_json::json!({"b": [true]})].contains(value)
    });
    check(r#"{"type": "number", "exclusiveMinimum": 0, "maximum": 2.5, "multipleOf": 0.25}"#, |value| {
        let number = value.as_f64().expect("a number");
        0.0 < number && number <= 2.5 && (number * 4.0).fract() == 0.0
    });
    check(r#"{"type": "string", "pattern": "^[A-Z][a-zé]{1,4}$"}"#, |value| {
        regex::Regex::new("^[A-Z][a-zé]{1,4}$")
            .expect("a pattern")
            .is_match(value.as_str().expect("a string"))
    });
    check(
        r##"{"$defs": {"bit": {"type": "boolean"}, "pair": {"type": "array", "prefixItems": [{"$ref": "#/$defs/bit"},
            {"type": ["integer", "null"], "minimum": 0, "maximum": 9}], "items": false, "minItems": 2}},
            "anyOf": [{"$ref": "#/$defs/bit"}, {"$ref": "#/$defs/pair"}]}"##,
        |value| match value {
            Value::Array(pair) => {
                pair.len() == 2
                    && pair[0].is_boolean()
                    && (pair[1].is_null() || pair[1].as_u64().is_some_and(|digit| digit <= 9))
            }
            other => other.is_boolean(),
        },
    );
}

#[test]
fn what_cannot_be_met_or_is_not_supported_is_named() {
    let check = |schema: &str, parts: &[&str]| {
        let error = Grammar::json_schema(schema, &tokens(), Some(END)).expect_err(schema).to_string();
        parts.iter().for_each(|part| assert!(error.contains(part), "{error}"));
        assert!(!error.contains("verbose") && !error.contains('\n'), "{error}");
    };
    check("{", &["not JSON", "line 1 column 1"]);
    check("[]", &["[] is no object"]);
    check("false", &["no text meets"]);
    check(r#"{"type": "object", "propertyNames": {"maxLength": 3}}"#, &["propertyNames"]);
    check(r#"{"type": "array", "uniqueItems": true}"#, &["uniqueItems"]);
    check(r#"{"type": "wrong"}"#, &["wrong"]);
    check(r#"{"type": "string", "format": "no-such"}"#, &["no-such"]);
    check(r#"{"type": "integer", "minimum": 3, "maximum": 2}"#, &["minimum"]);
    check(r##"{"$ref": "#/$defs/gone"}"##, &["#/$defs/gone"]);
    check(r#"{"type": "string", "pattern": "a(b"}"#, &["a(b"]);
    check(r#"{"oneOf": [{"type": "integer"}, {"type": "number"}]}"#, &["oneOf"]);
}
