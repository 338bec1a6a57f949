//! From paths on a command line to the files they stand for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::CorpusError;

/// The regular files `paths` stand for, in order: a file for itself, a folder for every `.txt` file in it and in its
/// subfolders, sorted by path. Links to folders are not followed inside a folder.
///
/// # Errors
/// No path at all, a path that is missing or unreadable, a folder without a `.txt` file, and things that are no regular
/// files.
pub fn text_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CorpusError> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(CorpusError::io("read", path))?;
        if metadata.is_dir() {
            let before = files.len();
            collect(path, &mut files)?;
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

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), CorpusError> {
    for entry in fs::read_dir(folder).map_err(CorpusError::io("list", folder))? {
        let entry = entry.map_err(CorpusError::io("list", folder))?;
        let path = entry.path();
        if entry.file_type().map_err(CorpusError::io("read", &path))?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "txt") && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_text_files_in_sorted_order() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["c.txt", "a.txt", "b/x.txt", "notes.md"] {
            fs::write(dir.path().join(name), "text").unwrap();
        }
        let found = text_files(&[dir.path().to_path_buf()]).unwrap();
        let expected: Vec<_> =
            ["a.txt", "b/x.txt", "c.txt"].iter().map(|name| dir.path().join(name)).collect();
        assert_eq!(found, expected);
        // The order of the arguments is kept.
        let given = vec![dir.path().join("c.txt"), dir.path().join("a.txt")];
        assert_eq!(text_files(&given).unwrap(), given);
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("nowhere.txt");
        assert!(text_files(&[missing]).unwrap_err().to_string().contains("nowhere.txt"));
        assert!(matches!(text_files(&[dir.path().to_path_buf()]), Err(CorpusError::EmptyFolder(_))));
        assert!(matches!(text_files(&[]), Err(CorpusError::NoText)));
    }
}
