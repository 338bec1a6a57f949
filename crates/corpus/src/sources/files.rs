//! From paths on a command line to the files they stand for.

use std::fs;
use std::path::{Path, PathBuf};

use super::FormatChoice;
use crate::error::CorpusError;
use crate::input::{Compression, extension};
use crate::records::Format;

/// The regular files `paths` stand for, in order: a file for itself, a folder for every file in it and in its subfolders
/// whose name says that it is in this format (in any known one: `.txt`, `.jsonl`, `.ndjson`, `.csv`, `.tsv`,
/// `.parquet`, all but the last also with `.gz` or `.zst`), sorted by path. Links to folders are not followed inside a
/// folder.
///
/// # Errors
/// No path at all, a path that is missing or unreadable, a folder without such a file, and things that are no regular
/// files.
pub fn source_files(paths: &[PathBuf], format: FormatChoice) -> Result<Vec<PathBuf>, CorpusError> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(CorpusError::io("read", path))?;
        if metadata.is_dir() {
            let before = files.len();
            collect(path, format, &mut files)?;
            if files.len() == before {
                return Err(CorpusError::EmptyFolder(path.clone()));
            }
            files[before..].sort();
        } else if metadata.is_file() {
            files.push(path.clone());
        } else {
            return Err(CorpusError::NotAFile(path.clone()));
        }
    }
    if files.is_empty() { Err(CorpusError::NoText) } else { Ok(files) }
}

fn collect(folder: &Path, format: FormatChoice, files: &mut Vec<PathBuf>) -> Result<(), CorpusError> {
    for entry in fs::read_dir(folder).map_err(CorpusError::io("list", folder))? {
        let entry = entry.map_err(CorpusError::io("list", folder))?;
        let path = entry.path();
        if entry.file_type().map_err(CorpusError::io("read", &path))?.is_dir() {
            collect(&path, format, files)?;
        } else if stands_for(&path, format) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn is_json(path: &Path) -> bool {
    extension(Path::new(Compression::of(path).1)).as_deref() == Some("json")
}

/// Whether a file in a folder is one of those the folder stands for.
fn stands_for(path: &Path, format: FormatChoice) -> bool {
    match (Format::known(path), format.forced()) {
        // Settings and notes beside a corpus are `.json` more often than the corpus is.
        (Some(Format::JsonLines), None) => !is_json(path),
        (known, None) => known.is_some(),
        (known, forced) => known == forced,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_files_of_known_formats_in_sorted_order() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["c.txt", "a.txt.gz", "b/x.jsonl", "notes.md", "a.py.gz", "t.parquet", "settings.json"] {
            fs::write(dir.path().join(name), "text").unwrap();
        }
        let found = |format| {
            let files = source_files(&[dir.path().to_path_buf()], format).unwrap();
            let name = |path: &PathBuf| path.strip_prefix(dir.path()).unwrap().display().to_string();
            files.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(found(FormatChoice::Auto), ["a.txt.gz", "b/x.jsonl", "c.txt", "t.parquet"]);
        assert_eq!(found(FormatChoice::Text), ["a.txt.gz", "c.txt"]);
        assert_eq!(found(FormatChoice::JsonLines), ["b/x.jsonl", "settings.json"]);
        // The order of the arguments is kept, and a file that is named is read whatever its name.
        let given = vec![dir.path().join("notes.md"), dir.path().join("c.txt")];
        assert_eq!(source_files(&given, FormatChoice::Auto).unwrap(), given);
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("nowhere.txt");
        assert!(
            source_files(&[missing], FormatChoice::Auto).unwrap_err().to_string().contains("nowhere.txt")
        );
        assert!(matches!(
            source_files(&[dir.path().to_path_buf()], FormatChoice::Auto),
            Err(CorpusError::EmptyFolder(_))
        ));
        assert!(matches!(source_files(&[], FormatChoice::Auto), Err(CorpusError::NoText)));
    }
}
