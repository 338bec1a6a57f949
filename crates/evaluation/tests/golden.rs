//! The statistics beside those of numpy and scipy (`golden/make.py`).

use firebrand_evaluation::statistics::{Bootstrap, Statistic, Test, mcnemar, quantile, sign_flips};
use serde_json::Value;

fn golden(name: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("golden/statistics.json")).expect("JSON");
    file[name].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(number).collect()
}

#[test]
fn quantiles_are_those_of_numpy() {
    let case = golden("quantile");
    let mut values = numbers(&case["values"]);
    values.sort_by(f64::total_cmp);
    for (share, expected) in numbers(&case["shares"]).into_iter().zip(numbers(&case["expected"])) {
        let found = quantile(&values, share);
        assert!((found - expected).abs() < 1e-12, "{share}: {found} is not {expected}");
    }
}

#[test]
fn percentile_intervals_are_those_of_scipy() {
    for case in golden("bootstrap").as_array().expect("cases") {
        let (right, n) = (number(&case["right"]) as usize, number(&case["n"]) as usize);
        let bootstrap = Bootstrap { seed: 5, resamples: 40_000, confidence: number(&case["confidence"]) };
        let interval = bootstrap.of(&Statistic::accuracy((0..n).map(|i| i < right))).expect("many examples");
        let expected = numbers(&case["expected"]);
        assert!((interval.low - expected[0]).abs() < 1e-9, "{case}: {interval:?}");
        assert!((interval.high - expected[1]).abs() < 1e-9, "{case}: {interval:?}");
    }
}

#[test]
fn mcnemar_is_scipys_exact_binomial_test() {
    for case in golden("mcnemar").as_array().expect("cases") {
        let only = numbers(&case["only"]);
        let (found, expected) = (mcnemar(only[0] as u64, only[1] as u64), number(&case["expected"]));
        assert!((found - expected).abs() < 1e-9 * expected.max(1e-3), "{case}: {found}");
    }
}

#[test]
fn exchanges_are_those_of_scipys_permutation_test() {
    for case in golden("sign_flips").as_array().expect("cases") {
        let found = sign_flips(&numbers(&case["differences"]), 0, 100);
        assert_eq!(found.test, Test::SignFlips);
        assert!((found.p - number(&case["expected"])).abs() < 1e-12, "{case}: {found:?}");
    }
}
