//! `data fetch` against a server that cuts, stalls, lies and forgets, and against archives that mean harm.

use crate::support::{Ran, Scratch, finish};
use crate::web::{Answer, Page, Request, Web};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A text that cannot be mistaken for another one, or for another part of itself.
fn text(bytes: usize) -> Vec<u8> {
    (0..).flat_map(|n: u32| format!("line {n}\n").into_bytes()).take(bytes).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The manifest of a dataset `mine` of one file at these addresses.
fn manifest(urls: &[String], sha256: Option<&str>, more: &str) -> String {
    let sha256 = sha256.map_or(String::new(), |sha256| format!("sha256 = \"{sha256}\"\n"));
    format!(
        "name = 'mine'\ntitle = 'Mine'\nlicence = 'MIT'\nkind = 'text'\n[[files]]\nname = 'a.txt'\n\
         urls = {urls:?}\n{sha256}{more}\n[splits.train]\nfiles = ['a.txt']\nformat = 'text'\nboundary = 'line'\n"
    )
}

/// Where the dataset `mine` is put.
struct Place {
    scratch: Scratch,
}

impl Place {
    /// With a manifest for `web`'s file and this checksum.
    fn new(web: &Web, sha256: Option<&str>) -> Self {
        Self::with(&manifest(&[format!("{}/a.txt", web.url)], sha256, ""))
    }

    fn with(manifest: &str) -> Self {
        let scratch = Scratch::empty();
        scratch.write("mine.toml", manifest);
        Self { scratch }
    }

    fn command(&self, options: &[&str]) -> Command {
        let args = ["data", "fetch", "--manifest", "mine.toml", "--dir", "data", "--timeout", "1"];
        let mut command = self.scratch.command(&[&args[..], options].concat());
        for proxy in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        command
    }

    fn fetch(&self, options: &[&str]) -> Ran {
        finish(&mut self.command(options))
    }

    /// What is in the file once it is fetched.
    fn fetched(&self) -> Option<Vec<u8>> {
        std::fs::read(self.scratch.path("data/mine/data/a.txt")).ok()
    }

    fn is_tidy(&self) -> bool {
        !self.scratch.path("data/mine/fetching").exists()
    }
}

fn ranges(web: &Web) -> Vec<Option<String>> {
    web.requests().into_iter().map(|request| request.range).collect()
}

#[test]
fn a_file_is_downloaded_verified_and_not_downloaded_again() {
    let body = text(300_000);
    let (page, hash) = (Page::new(body.clone()), sha256(&body));
    let web = Web::of(move |_| page.clone());
    let place = Place::new(&web, Some(&hash));
    let json = place.fetch(&["--json"]).json();
    assert_eq!(json["sources"][0]["sha256"], hash.as_str());
    assert_eq!(json["sources"][0]["published"], true);
    assert_eq!((place.fetched(), place.is_tidy()), (Some(body.clone()), true));
    let again = place.fetch(&[]).succeeds();
    assert!(again.stderr.contains("mine: here already"), "{}", again.stderr);
    assert_eq!(web.requests().len(), 1);
    place.fetch(&["--force"]).succeeds();
    assert_eq!((web.requests().len(), place.fetched()), (2, Some(body.clone())));

    // Once fetched, it is known by its name.
    let list = place.scratch.run(&["data", "list", "--dir", "data"]).succeeds().stdout;
    assert!(list.lines().any(|line| line.starts_with("mine ") && line.ends_with("yes")), "{list}");
    place.scratch.run(&["data", "inspect", "mine", "--dir", "data"]).succeeds();
    // What somebody has cut short is noticed and put right.
    std::fs::write(place.scratch.path("data/mine/data/a.txt"), &body[..10]).expect("written");
    place.scratch.run(&["data", "inspect", "mine", "--dir", "data"]).fails(1, &["has 10 bytes", "--force"]);
    let again = place.fetch(&[]).succeeds();
    assert!(again.stderr.contains("has 10 bytes"), "{}", again.stderr);
    assert_eq!(place.fetched(), Some(body));
}

#[test]
fn a_download_that_is_cut_or_stalls_goes_on_where_it_stopped() {
    let body = text(300_000);
    let hash = sha256(&body);
    for published in [Some(hash.as_str()), None] {
        let page = Page::new(body.clone());
        let web = Web::of(move |request| match request.before {
            0 => Page { cut: Some(100_000), ..page.clone() },
            1 => Page { stall: Some(50_000), ..page.clone() },
            _ => page.clone(),
        });
        let place = Place::new(&web, published);
        let ran = place.fetch(&[]).succeeds();
        assert!(ran.stderr.contains("sent nothing for 1 seconds; trying again"), "{}", ran.stderr);
        assert!(ran.stderr.contains("going on after"), "{}", ran.stderr);
        assert_eq!(place.fetched(), Some(body.clone()));
        let ranges = ranges(&web);
        assert_eq!(ranges, [None, Some("bytes=100000-".into()), Some("bytes=150000-".into())]);
        assert!(web.requests()[1..].iter().all(|request| request.if_range.as_deref() == Some("\"one\"")));
    }
}

#[test]
fn a_server_that_cannot_go_on_sends_all_of_it_again() {
    let body = text(200_000);
    let hash = sha256(&body);
    // It knows no ranges; it has another version by now; it says nothing about versions, and neither does anybody else.
    let no_ranges = |page: Page| Page { ranges: false, ..page };
    let changed = |page: Page| Page { etag: Some("\"two\""), ..page };
    let no_version = |page: Page| Page { etag: None, ..page };
    type Change = fn(Page) -> Page;
    let cases: [(Change, Change, Option<&str>); 3] = [
        (no_ranges, no_ranges, Some(&hash)),
        (|page| page, changed, Some(&hash)),
        (no_version, no_version, None),
    ];
    for (first, second, published) in cases {
        let page = Page::new(body.clone());
        let web = Web::of(move |request| match request.before {
            0 => Page { cut: Some(70_000), ..first(page.clone()) },
            _ => second(page.clone()),
        });
        let place = Place::new(&web, published);
        place.fetch(&[]).succeeds();
        assert_eq!(place.fetched(), Some(body.clone()));
        assert_eq!(web.requests().len(), 2);
    }
}

#[test]
fn pieces_that_do_not_fit_together_are_not_the_end() {
    let body = text(200_000);
    // The first answer is another file, cut: what follows does not belong to it, and only the checksum can tell.
    let page = Page { etag: None, ..Page::new(body.clone()) };
    let web = Web::of(move |request| match request.before {
        0 => Page { cut: Some(1000), body: vec![b'x'; 200_000], ..page.clone() },
        _ => page.clone(),
    });
    let place = Place::new(&web, Some(&sha256(&body)));
    let ran = place.fetch(&[]).succeeds();
    assert!(ran.stderr.contains("do not fit together; starting over"), "{}", ran.stderr);
    assert_eq!(place.fetched(), Some(body));
    assert_eq!(ranges(&web), [None, Some("bytes=1000-".into()), None]);
}

#[test]
fn wrong_bytes_are_kept_aside_and_never_used() {
    let (right, wrong) = (text(5000), vec![b'x'; 5000]);
    let page = Page::new(wrong.clone());
    let web = Web::of(move |_| page.clone());
    let place = Place::new(&web, Some(&sha256(&right)));
    let (expected, found) = (sha256(&right), sha256(&wrong));
    place.fetch(&[]).fails(1, &["a.txt is not the file it should be", &expected, &found, "a.txt.rejected"]);
    assert_eq!(place.scratch.bytes("data/mine/fetching/a.txt.rejected"), wrong);
    assert!(!place.scratch.path("data/mine/data").exists());
    place.scratch.run(&["data", "inspect", "mine", "--dir", "data"]).fails(2, &["no dataset `mine`"]);
}

#[test]
fn a_file_of_another_size_is_not_even_downloaded() {
    let page = Page { drip: Some((1, Duration::from_millis(100))), ..Page::new(text(5000)) };
    let web = Web::of(move |_| page.clone());
    let place = Place::with(&manifest(&[format!("{}/a.txt", web.url)], None, "bytes = 4999"));
    let started = Instant::now();
    place.fetch(&[]).fails(1, &["has 5000 bytes where the manifest says 4999"]);
    assert!(started.elapsed() < Duration::from_secs(20), "five thousand pauses are eight minutes");
    // One that does not say its length is stopped when it is too long.
    let page = Page { length: false, ..Page::new(text(5000)) };
    let web = Web::of(move |_| page.clone());
    let place = Place::with(&manifest(&[format!("{}/a.txt", web.url)], None, "bytes = 4999"));
    place.fetch(&[]).fails(1, &["sends more than the 4999 bytes it should"]);
}

#[test]
fn the_first_fetch_pins_what_nobody_published() {
    let (one, two) = (text(3000), text(4000));
    let pages = [Page::new(one.clone()), Page::new(two.clone())];
    let web = Web::of(move |request| pages[request.before.min(1)].clone());
    let place = Place::new(&web, None);
    let ran = place.fetch(&[]).succeeds();
    let said = format!("a.txt: sha256 {} pinned: no published checksum", sha256(&one));
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    let refused = place.fetch(&["--force"]);
    let folder = "data/mine/data";
    refused.fails(
        1,
        &[&sha256(&one), &sha256(&two), "pinned by the first fetch", "to accept it, remove", folder],
    );
    assert_eq!(place.fetched(), Some(one), "what was there stays");
    std::fs::remove_dir_all(place.scratch.path(folder)).expect("removed, as the message says");
    place.fetch(&[]).succeeds();
    assert_eq!(place.fetched(), Some(two));
}

#[test]
fn addresses_that_fail_are_named_and_the_next_one_is_tried() {
    let body = text(3000);
    let page = Page::new(body.clone());
    let web = Web::start(move |request| match (request.path.as_str(), request.before) {
        ("/a.txt" | "/folder/a.txt", _) => page.clone().answer(),
        ("/busy", 0) => Answer::Status(503),
        ("/busy", _) => page.clone().answer(),
        ("/broken", _) => Answer::Status(500),
        _ => Answer::Status(404),
    });
    let url = |path: &str| format!("{}{path}", web.url);
    let count = |path: &str| web.requests().iter().filter(|request| request.path == path).count();
    let hash = sha256(&body);
    // Nobody answers on this port.
    let dead = "http://127.0.0.1:9/a.txt".to_string();

    let place = Place::with(&manifest(&[dead.clone(), url("/gone"), url("/busy")], Some(&hash), ""));
    let ran = place.fetch(&["--retries", "1"]).succeeds();
    assert!(ran.stderr.contains("/gone: 404") && ran.stderr.contains("/busy: 503"), "{}", ran.stderr);
    assert_eq!((count("/gone"), count("/busy"), place.fetched()), (1, 2, Some(body.clone())));

    let place = Place::with(&manifest(&[dead, url("/gone"), url("/broken")], Some(&hash), ""));
    let parts = ["127.0.0.1:9/a.txt: ", "/gone: 404", "/broken: 500", "--mirror", "--from DIR"];
    place.fetch(&["--retries", "2"]).fails(1, &parts);
    assert_eq!(count("/broken"), 3, "one attempt and two retries");

    // A mirror of the host has everything where the host has it; one with a path has files by name.
    for mirror in [web.url.clone(), url("/folder")] {
        let place = Place::with(&manifest(&["http://127.0.0.1:9/a.txt".into()], Some(&hash), ""));
        place.fetch(&["--mirror", &mirror]).succeeds();
        assert_eq!(place.fetched(), Some(body.clone()));
    }
    assert_eq!(count("/folder/a.txt"), 1);
    let place = Place::new(&web, Some(&hash));
    place.fetch(&["--mirror", "ftp://a.org"]).fails(2, &["--mirror", "write http://… or https://…"]);
}

#[test]
fn redirects_are_followed_but_not_in_circles() {
    let body = text(50_000);
    let page = Page::new(body.clone());
    let web = Web::start(move |request: &Request| match (request.path.as_str(), request.before) {
        ("/a.txt", _) => Answer::Redirect("/next".into()),
        ("/next", _) => Answer::Redirect("/file?token=1".into()),
        ("/file?token=1", 0) => Page { cut: Some(20_000), ..page.clone() }.answer(),
        ("/file?token=1", _) => page.clone().answer(),
        ("/round", _) => Answer::Redirect("/round".into()),
        _ => Answer::Status(404),
    });
    let place = Place::new(&web, Some(&sha256(&body)));
    place.fetch(&[]).succeeds();
    assert_eq!(place.fetched(), Some(body.clone()));
    let at_file: Vec<Request> =
        web.requests().into_iter().filter(|request| request.path.starts_with("/file")).collect();
    assert_eq!(at_file[1].range.as_deref(), Some("bytes=20000-"), "a range survives redirects");
    let place = Place::with(&manifest(&[format!("{}/round", web.url)], Some(&sha256(&body)), ""));
    place.fetch(&[]).fails(1, &["redirects more than 10 times"]);
}

/// A server that takes its time, and a fetch from it that has got somewhere.
fn slowly(body: &[u8]) -> (Web, Place, std::process::Child) {
    let page = Page::new(body.to_vec());
    let web = Web::of(move |request| match request.before {
        0 => Page { drip: Some((1000, Duration::from_millis(20))), ..page.clone() },
        _ => page.clone(),
    });
    let place = Place::new(&web, Some(&sha256(body)));
    let child = place.command(&[]).stdout(Stdio::null()).spawn().expect("the binary starts");
    let part = place.scratch.path("data/mine/fetching/a.txt.part");
    let started = Instant::now();
    while std::fs::metadata(&part).map_or(0, |part| part.len()) < 20_000 {
        assert!(started.elapsed() < Duration::from_secs(30), "nothing comes");
        std::thread::sleep(Duration::from_millis(2));
    }
    (web, place, child)
}

fn goes_on(web: &Web, place: &Place, body: &[u8]) {
    assert!(!place.scratch.path("data/mine/data").exists(), "a dataset is there or not");
    let ran = place.fetch(&[]).succeeds();
    assert!(ran.stderr.contains("going on after"), "{}", ran.stderr);
    assert_eq!(place.fetched().as_deref(), Some(body));
    let range = web.requests().last().and_then(|request| request.range.clone()).expect("a range");
    let start: usize = range["bytes=".len()..range.len() - 1].parse().expect("a number");
    assert!(start >= 20_000, "{range}");
}

#[test]
fn a_fetch_that_was_killed_goes_on_where_it_stopped() {
    let body = text(500_000);
    let (web, place, mut child) = slowly(&body);
    child.kill().expect("killed");
    child.wait().expect("it ends");
    goes_on(&web, &place, &body);
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_came() {
    let body = text(500_000);
    let (web, place, child) = slowly(&body);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("the same command goes on from there"), "{stderr}");
    goes_on(&web, &place, &body);
}

#[test]
fn a_dataset_is_fetched_by_one_process_at_a_time() {
    let (_web, place, mut child) = slowly(&text(500_000));
    let who = format!("process {} is fetching this dataset", child.id());
    place.fetch(&[]).fails(1, &["data/mine: ", &who]);
    child.kill().expect("killed");
    child.wait().expect("it ends");
}

#[test]
fn a_full_disk_loses_nothing() {
    /// A small file system, unmounted when the test ends, whatever its end.
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            Command::new("umount").arg(&self.0).status().ok();
        }
    }
    let body = text(300_000);
    let page = Page::new(body.clone());
    let web = Web::of(move |_| page.clone());
    let place = Place::new(&web, Some(&sha256(&body)));
    let disk = place.scratch.path("data");
    std::fs::create_dir(&disk).expect("made");
    let mount = |options: &str| {
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&disk).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !mount("size=128k") {
        eprintln!("skipped: this user cannot mount a small file system to fill");
        return;
    }
    let _mounted = Mounted(disk.clone());
    place.fetch(&[]).fails(1, &["a.txt.part", "No space left on device"]);
    assert!(mount("remount,size=2m"), "a file system can be made larger");
    let ran = place.fetch(&[]).succeeds();
    assert!(ran.stderr.contains("going on after"), "{}", ran.stderr);
    assert_eq!(place.fetched(), Some(body));
}

/// The archives of one story: what is wanted is `in/a.txt`, and something else is there as well.
fn archives() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let zip = |members: &[(&str, Option<&str>)]| {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, link) in members {
            match link {
                Some(target) => archive.add_symlink(*name, *target, options).expect("added"),
                None => {
                    archive.start_file(*name, options).expect("added");
                    archive.write_all(b"evil or good").expect("written");
                }
            }
        }
        archive.finish().expect("finished").into_inner()
    };
    let tar = |members: &[(&str, Option<&str>)]| {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, link) in members {
            let mut header = tar::Header::new_gnu();
            // Past the checks of `set_path`, which refuses what an attacker would write.
            header.as_gnu_mut().expect("it is one").name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_mode(0o644);
            let body: &[u8] = if link.is_some() { b"" } else { b"evil or good" };
            if let Some(target) = link {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name(target).expect("it fits");
            }
            header.set_size(body.len() as u64);
            header.set_cksum();
            archive.append(&header, body).expect("added");
        }
        archive.into_inner().expect("finished")
    };
    let good = ("in/a.txt", None);
    let outside = [("../../../evil", None), ("/tmp/firebrand-evil", None), good];
    // A link that a member behind it would be written through, and a link in the place of what is wanted.
    let through = [("in", Some("/tmp")), ("in/firebrand-evil", None), good];
    let linked = [("in/a.txt", Some("/etc/passwd"))];
    let refused = Some("in/a.txt is no regular file");
    vec![
        ("zip", zip(&outside), None),
        ("tar", tar(&outside), None),
        ("zip", zip(&through), None),
        ("tar", tar(&through), None),
        ("zip", zip(&linked), refused),
        ("tar", tar(&linked), refused),
        ("zip", zip(&[("other", None)]), Some("there is no in/a.txt in it")),
        ("tar", b"no archive at all".repeat(100), Some("cannot unpack it")),
        ("zip", b"no archive at all".repeat(100), Some("cannot unpack it")),
    ]
}

#[test]
fn archives_cannot_write_anywhere_else() {
    for (kind, bytes, refused) in archives() {
        let page = Page::new(bytes);
        let web = Web::of(move |_| page.clone());
        let url = [format!("{}/a.txt", web.url)];
        let text = manifest(&url, None, &format!("unpack = '{kind}'\nmembers = ['in/a.txt']"));
        let place = Place::with(&text.replace("name = 'a.txt'", "name = 'archive'"));
        match refused {
            Some(reason) => {
                place.fetch(&[]).fails(1, &["fetching/archive", reason]);
                assert!(!place.scratch.path("data/mine/data").exists());
            }
            None => {
                place.fetch(&[]).succeeds();
                assert_eq!(place.fetched().as_deref(), Some(&b"evil or good"[..]));
                let mut names: Vec<_> = std::fs::read_dir(place.scratch.path("data/mine/data"))
                    .expect("there")
                    .map(|entry| entry.expect("an entry").file_name())
                    .collect();
                names.sort();
                assert_eq!(names, ["a.txt", "dataset.toml", "fetched.toml"]);
            }
        }
        for evil in ["evil", "data/evil", "data/mine/evil"] {
            assert!(!place.scratch.path(evil).exists(), "{kind}: {evil}");
        }
        assert!(!std::path::Path::new("/tmp/firebrand-evil").exists(), "{kind}");
    }
}
