#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use super::*;

/// A manifest's entry for an archive of which `a.txt` in the folder `in` is wanted.
fn source(unpack: &str) -> Source {
    toml::from_str(&format!("name = 'archive'\nunpack = '{unpack}'\nmembers = ['in/a.txt']")).unwrap()
}

/// Unpacks `archive`; gives what is in `a.txt`, and the names of all files in the two folders around it.
fn unpack(source: &Source, archive: &[u8], room: u64) -> Result<(String, Vec<String>), String> {
    let outer = tempfile::tempdir().unwrap();
    let target = outer.path().join("install");
    fs::create_dir(&target).unwrap();
    let path = outer.path().join("archive");
    fs::write(&path, archive).unwrap();
    let received =
        ReceivedFile { name: "archive".into(), bytes: 0, sha256: "0".into(), origin: None, published: None };
    let result = install(source, &path, &received, &target, &mut { room }).map_err(|error| error.to_string());
    let mut names = Vec::new();
    for folder in [outer.path(), &target] {
        for entry in fs::read_dir(folder).unwrap() {
            names.push(entry.unwrap().file_name().into_string().unwrap());
        }
    }
    names.retain(|name| name != "install");
    names.sort();
    // Whatever becomes of the archive, nothing is ever written beside the folder.
    assert!(names.iter().all(|name| ["a.txt", "archive"].contains(&name.as_str())), "{names:?}");
    let files = result?;
    let text = fs::read_to_string(target.join("a.txt")).unwrap();
    assert_eq!((files.len(), files[0].bytes), (1, text.len() as u64));
    Ok((text, names))
}

fn zip(members: &[(&str, &str, u32)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text, mode) in members {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        match mode & 0o170_000 {
            0o120_000 => archive.add_symlink(*name, *text, options).unwrap(),
            _ => {
                archive.start_file(*name, options).unwrap();
                archive.write_all(text.as_bytes()).unwrap();
            }
        }
    }
    archive.finish().unwrap().into_inner()
}

fn tar(members: &[(&str, &str, EntryType)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text, kind) in members {
        let mut header = tar::Header::new_gnu();
        // Past the checks of `set_path`, which refuses what an attacker would write.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        if *kind == EntryType::Symlink {
            header.set_link_name(text).unwrap();
            header.set_size(0);
            header.set_cksum();
            archive.append(&header, &b""[..]).unwrap();
        } else {
            header.set_size(text.len() as u64);
            header.set_cksum();
            archive.append(&header, text.as_bytes()).unwrap();
        }
    }
    archive.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

#[test]
fn only_what_is_named_is_unpacked_wherever_the_rest_would_go() {
    let evil = "/tmp/firebrand-evil-absolute";
    let zipped = zip(&[("../evil", "x", 0o644), (evil, "x", 0o644), ("in/a.txt", "good", 0o644)]);
    assert_eq!(unpack(&source("zip"), &zipped, 100).unwrap(), ("good".into(), vec!["a.txt".into()]));
    let regular = EntryType::Regular;
    let tarred = tar(&[("../evil", "x", regular), (evil, "x", regular), ("./in/a.txt", "good", regular)]);
    assert_eq!(unpack(&source("tar"), &tarred, 100).unwrap(), ("good".into(), vec!["a.txt".into()]));
    assert_eq!(unpack(&source("tar.gz"), &gz(&tarred), 100).unwrap().0, "good");
    assert!(!Path::new(evil).exists());
}

#[test]
fn links_and_devices_are_refused() {
    let link = zip(&[("in/a.txt", "/etc/passwd", 0o120_777)]);
    let error = unpack(&source("zip"), &link, 100).unwrap_err();
    assert!(error.contains("in/a.txt is no regular file"), "{error}");
    for kind in [EntryType::Symlink, EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::Directory]
    {
        let error = unpack(&source("tar"), &tar(&[("in/a.txt", "x", kind)]), 100).unwrap_err();
        assert!(error.contains("in/a.txt is no regular file"), "{kind:?}: {error}");
    }
}

#[test]
fn no_more_is_unpacked_than_there_is_room_for() {
    let bomb = "0".repeat(100_000);
    let zipped = zip(&[("in/a.txt", &bomb, 0o644)]);
    let tarred = gz(&tar(&[("in/a.txt", &bomb, EntryType::Regular)]));
    for (kind, archive) in [("zip", &zipped), ("tar.gz", &tarred)] {
        assert!(archive.len() < 2000, "{} bytes", archive.len());
        let error = unpack(&source(kind), archive, 99_999).unwrap_err();
        assert!(error.contains("more bytes than the manifest allows"), "{kind}: {error}");
        assert_eq!(unpack(&source(kind), archive, 100_000).unwrap().0.len(), 100_000);
    }
}

#[test]
fn damaged_archives_are_named() {
    let zipped = zip(&[("in/b.txt", "x", 0o644)]);
    let error = unpack(&source("zip"), &zipped, 100).unwrap_err();
    assert!(error.contains("there is no in/a.txt in it"), "{error}");
    let text = "good ".repeat(500);
    let whole = zip(&[("in/a.txt", &text, 0o644)]);
    let tarred = gz(&tar(&[("in/a.txt", &text, EntryType::Regular)]));
    for (kind, archive) in
        [("zip", &whole[..whole.len() - 30]), ("tar.gz", &tarred[..tarred.len() / 2]), ("zip", b"")]
    {
        let error = unpack(&source(kind), archive, 10_000).unwrap_err();
        assert!(error.contains("archive: "), "{kind}: {error}");
    }
    let twice = tar(&[("in/a.txt", "x", EntryType::Regular), ("in/a.txt", "y", EntryType::Regular)]);
    assert!(unpack(&source("tar"), &twice, 100).unwrap_err().contains("twice"));
}
