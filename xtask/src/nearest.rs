//! What somebody may have meant by a name that does not exist.

/// `; did you mean …?`, or nothing when nothing is near.
pub(crate) fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.map_or_else(String::new, |(_, known)| format!("; did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(did_you_mean("scor", ["pretrain", "score"]), "; did you mean `score`?");
        assert_eq!(did_you_mean("x", ["pretrain", "score"]), "");
    }
}
