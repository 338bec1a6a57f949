//! What somebody may have meant who wrote a name that is not known.

/// The nearest of some names, when one is near.
pub fn nearest<'a>(wanted: &str, known: &[&'a str]) -> Option<&'a str> {
    let similarity = |name: &str| strsim::jaro_winkler(wanted, name);
    let near = known.iter().filter(|name| similarity(name) > 0.7);
    near.max_by(|a, b| similarity(a).total_cmp(&similarity(b))).copied()
}

/// `; did you mean …?`, or nothing when nothing is near.
pub fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"))
}
