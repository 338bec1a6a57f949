//! The datasets the program knows by name.

use std::sync::OnceLock;

use super::manifest::Manifest;

macro_rules! manifests {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../datasets/", $path)))),*]
    };
}

/// Their manifests, in the order in which they are listed.
const MANIFESTS: &[(&str, &str)] = manifests![
    "firebrand-stories/dataset.toml",
    "firebrand-stories/reviews.toml",
    "firebrand-stories/pairs.toml",
    "tinyshakespeare/dataset.toml",
    "tinystories/dataset.toml",
    "wikitext2/dataset.toml",
    "sst2/dataset.toml",
    "agnews/dataset.toml",
    "trec/dataset.toml",
    "cola/dataset.toml",
    "blimp/dataset.toml",
];

/// The built-in datasets.
pub fn built_in() -> &'static [Manifest] {
    static PARSED: OnceLock<Vec<Manifest>> = OnceLock::new();
    PARSED.get_or_init(|| {
        let parse = |&(path, text): &(&str, &str)| {
            Manifest::parse(text, path).expect("a test parses every manifest that is built in")
        };
        MANIFESTS.iter().map(parse).collect()
    })
}

/// The built-in dataset whose name is nearest to `name`, when one is near.
pub fn nearest(name: &str) -> Option<&'static str> {
    let names: Vec<&'static str> = built_in().iter().map(|manifest| manifest.name.as_str()).collect();
    let lower = name.to_lowercase();
    crate::nearest::nearest(&lower, &names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_dataset_is_complete() {
        for (path, text) in MANIFESTS {
            let manifest = Manifest::parse(text, path).unwrap_or_else(|error| panic!("{error}"));
            for (key, value) in [
                ("description", &manifest.description),
                ("homepage", &manifest.homepage),
                ("citation", &manifest.citation),
            ] {
                assert!(!value.is_empty(), "{path} has no {key}");
            }
            assert!(
                manifest.licence != "unknown" || !manifest.licence_note.is_empty(),
                "{path}: say what is known"
            );
            // All of these are published, so nothing built in has to be pinned on first fetch.
            for file in &manifest.files {
                assert!(file.sha256.is_some(), "{path}: {} has no checksum", file.name);
            }
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets").join(path);
            assert!(folder.with_file_name("README.md").exists(), "{path} has no README.md beside it");
        }
    }

    #[test]
    fn names_are_unique_and_near_ones_are_found() {
        let mut names: Vec<&str> = built_in().iter().map(|manifest| manifest.name.as_str()).collect();
        for (typed, meant) in [
            ("sst-2", "sst2"),
            ("ag_news", "agnews"),
            ("wikitext", "wikitext2"),
            ("TinyStory", "tinystories"),
        ] {
            assert_eq!(nearest(typed), Some(meant));
        }
        assert_eq!(nearest("zzz"), None);
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
