#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use super::*;

const TEXT: &str = "Ein Fuchs\nsah die Krähe 🦊\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

/// Reads `contents` as a file of that name.
fn read(name: &str, contents: &[u8]) -> Result<String, CorpusError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, contents).unwrap();
    let mut input = Input::open(&path, InvalidUtf8::Refuse)?;
    let mut text = Vec::new();
    input.read_to_end(&mut text).map_err(|error| Input::explain(&path, error))?;
    assert_eq!(input.bytes_read(), contents.len() as u64);
    assert_eq!(input.sha256(), digest::of_bytes(contents), "the hash is that of the file on disk");
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn compressed_text_is_the_text() {
    assert_eq!(read("a.txt", TEXT.as_bytes()).unwrap(), TEXT);
    assert_eq!(read("a.txt.gz", &gzip(TEXT.as_bytes())).unwrap(), TEXT);
    assert_eq!(read("a.txt.zst", &zstd(TEXT.as_bytes())).unwrap(), TEXT);
    assert_eq!(read("A.TXT.GZ", &gzip(TEXT.as_bytes())).unwrap(), TEXT);
}

#[test]
fn several_streams_in_one_file_follow_each_other() {
    for (name, pack) in [("a.gz", gzip as fn(&[u8]) -> Vec<u8>), ("a.zst", zstd)] {
        // Cut inside a character.
        let (first, second) = TEXT.as_bytes().split_at(TEXT.find('ä').unwrap() + 1);
        assert_eq!(read(name, &[pack(first), pack(b""), pack(second)].concat()).unwrap(), TEXT);
    }
}

#[test]
fn what_is_cut_short_or_something_else_is_an_error_that_names_the_file() {
    for (name, packed) in [("a.gz", gzip(TEXT.as_bytes())), ("a.zst", zstd(TEXT.as_bytes()))] {
        for contents in [&packed[..packed.len() - 5], b"just text, not packed at all".as_slice()] {
            let error = read(name, contents).unwrap_err();
            assert!(matches!(error, CorpusError::Compressed { .. }), "{error:?}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

#[test]
fn the_place_of_invalid_utf8_is_in_the_text_not_in_the_compressed_file() {
    let text = b"fine\n\nalso \xff here\n";
    for (name, contents) in [("a", text.to_vec()), ("a.gz", gzip(text)), ("a.zst", zstd(text))] {
        match read(name, &contents) {
            Err(CorpusError::InvalidUtf8 { line, offset, .. }) => assert_eq!((line, offset), (3, 11)),
            other => panic!("{other:?}"),
        }
    }
}
