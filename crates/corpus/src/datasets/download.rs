//! Downloads that survive: cut connections, servers that stall, processes that are killed.
//!
//! `NAME.part` grows as bytes arrive; beside it `NAME.part.toml` says which version of the file they are (the server's
//! `ETag` or `Last-Modified`). The next attempt asks for the rest of that very version, and a server that has another
//! one by now, or knows no ranges, sends all of it again. Where a checksum is known, pieces may even come from different
//! mirrors: should they not fit together, the file is downloaded once more from the beginning. A file gets its name
//! when its checksum is right.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use super::error::{DatasetError, Rejection};
use super::fetch::{Event, Expected, Options, checksum, received};
use super::manifest::Source;
use super::store::ReceivedFile;

/// Redirects followed before an address counts as broken.
const REDIRECTS: u32 = 10;
/// A connection that is not there by then will not come.
const CONNECT: Duration = Duration::from_secs(15);
/// An attempt that brought so many bytes was none in vain: the count of retries starts again.
const PROGRESS: u64 = 1 << 20;

/// Downloads into one folder.
pub(super) struct Downloader<'a> {
    work: &'a Path,
    options: &'a Options,
    agent: Agent,
}

/// Which version of a file a part is of.
#[derive(Debug, Serialize, Deserialize)]
struct Version {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl Version {
    /// What `If-Range` takes: a strong validator.
    fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }
}

/// Why an attempt failed.
enum Trouble {
    /// Here: nothing that another attempt would change.
    Local(DatasetError),
    /// There.
    Remote { reason: String, may_pass: bool, gained: u64 },
}

impl From<DatasetError> for Trouble {
    fn from(error: DatasetError) -> Self {
        Self::Local(error)
    }
}

impl Trouble {
    fn lasting(reason: impl Into<String>) -> Self {
        Self::Remote { reason: reason.into(), may_pass: false, gained: 0 }
    }

    fn passing(reason: impl Into<String>, gained: u64) -> Self {
        Self::Remote { reason: reason.into(), may_pass: true, gained }
    }
}

impl<'a> Downloader<'a> {
    pub(super) fn new(work: &'a Path, options: &'a Options) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .user_agent(concat!("firebrand/", env!("CARGO_PKG_VERSION")))
            // A size and a range are those of the file, not of a compressed form of it.
            .accept_encoding("identity")
            .timeout_resolve(Some(CONNECT.min(options.timeout)))
            .timeout_connect(Some(CONNECT.min(options.timeout)))
            .timeout_recv_response(Some(options.timeout))
            .timeout_per_read(Some(options.timeout))
            .timeout_per_write(Some(options.timeout))
            .build();
        Self { work, options, agent: config.into() }
    }

    /// Brings a file into the folder under its name, verified.
    ///
    /// `pinned_in` is the folder that holds the pin, for the message when it is not met.
    pub(super) fn download(
        &self,
        source: &Source,
        addresses: &[String],
        expected: Expected<'_>,
        pinned_in: PathBuf,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<ReceivedFile, DatasetError> {
        let done = self.work.join(&source.name);
        let part = self.beside(source, "part");
        if done.is_file() {
            // Completed by a fetch that was interrupted later on.
            fs::rename(&done, &part).map_err(DatasetError::io("rename", &done))?;
        }
        let mut once_more = true;
        loop {
            let (url, resumed) = self.receive(source, addresses, expected, report)?;
            let sha256 = checksum(&part, &source.name, report)?;
            let bytes = fs::metadata(&part).map_err(DatasetError::io("read", &part))?.len();
            let Some(wanted) = expected.sha256.filter(|wanted| **wanted != sha256) else {
                fs::rename(&part, &done).map_err(DatasetError::io("rename", &part))?;
                return Ok(received(source, bytes, sha256, url));
            };
            if resumed && once_more {
                once_more = false;
                fs::remove_file(&part).map_err(DatasetError::io("remove", &part))?;
                let reason = "the pieces it came in do not fit together; starting over";
                report(Event::GivenUp { file: &source.name, reason });
                continue;
            }
            let kept = self.beside(source, "rejected");
            fs::rename(&part, &kept).map_err(DatasetError::io("rename", &part))?;
            return Err(DatasetError::Rejected(Box::new(Rejection {
                file: PathBuf::from(&source.name),
                expected: wanted.to_owned(),
                found: sha256,
                authority: expected.authority(),
                kept: Some((url, kept)),
                pinned_in: (!expected.published).then_some(pinned_in),
                variants: Vec::new(),
            })));
        }
    }

    fn beside(&self, source: &Source, ending: &str) -> PathBuf {
        self.work.join(format!("{}.{ending}", source.name))
    }

    /// Completes the part from the first address that can. Gives the address, and whether bytes of before were used.
    fn receive(
        &self,
        source: &Source,
        addresses: &[String],
        expected: Expected<'_>,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<(String, bool), DatasetError> {
        let file = source.name.as_str();
        let mut attempts = Vec::new();
        for (number, url) in addresses.iter().enumerate() {
            let mut retries = 0;
            loop {
                let (reason, may_pass) = match self.attempt(source, url, expected, report) {
                    Ok(resumed) => return Ok((url.clone(), resumed)),
                    Err(Trouble::Local(error)) => return Err(error),
                    Err(Trouble::Remote { reason, may_pass, gained }) => {
                        retries = if gained >= PROGRESS { 0 } else { retries };
                        (format!("{url}: {reason}"), may_pass)
                    }
                };
                if !may_pass || retries >= self.options.retries {
                    // The last one is what the error will say.
                    if number + 1 < addresses.len() {
                        report(Event::GivenUp { file, reason: &reason });
                    }
                    attempts.push(reason);
                    break;
                }
                let wait = Duration::from_millis(500) * 2_u32.pow(retries.min(6));
                retries += 1;
                report(Event::Retrying { file, reason: &reason, wait });
                std::thread::sleep(wait);
            }
        }
        Err(DatasetError::Download { file: file.to_owned(), attempts })
    }

    /// One request. Gives whether bytes of before were used.
    fn attempt(
        &self,
        source: &Source,
        url: &str,
        expected: Expected<'_>,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, Trouble> {
        let (part, note) = (self.beside(source, "part"), self.beside(source, "part.toml"));
        let version = read_version(&note).filter(|version| version.url == url);
        let total = expected.bytes.or(version.as_ref().and_then(|version| version.total));
        let mut have = fs::metadata(&part).map_or(0, |metadata| metadata.len());
        let validator = version.as_ref().and_then(Version::validator);
        // Without a validator only a checksum can tell whether the rest belongs to the beginning.
        if total.is_some_and(|total| have > total) || (validator.is_none() && expected.sha256.is_none()) {
            have = 0;
        }
        report(Event::Begin { action: "downloading", file: &source.name, total });
        if have > 0 && total == Some(have) {
            return Ok(true);
        }
        // An address that promises encryption must not redirect to one that does not.
        let mut request = self.agent.get(url).config().https_only(url.starts_with("https://")).build();
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
            if let Some(validator) = validator {
                request = request.header("If-Range", validator);
            }
        }
        let response = request.call().map_err(|error| self.trouble(error, 0))?;
        let start = self.start(&response, have, &part)?;
        let length: Option<u64> = header(response.headers(), "content-length").and_then(|n| n.parse().ok());
        let total = length.map(|length| start + length).or(expected.bytes);
        if let (Some(total), Some(expected)) = (total, expected.bytes)
            && total != expected
        {
            return Err(Trouble::lasting(format!("has {total} bytes where the manifest says {expected}")));
        }
        report(Event::Begin { action: "downloading", file: &source.name, total });
        let mut out = if start > 0 {
            report(Event::Resumed { file: &source.name, at: start });
            File::options().append(true).open(&part).map_err(DatasetError::io("write", &part))?
        } else {
            let out = File::create(&part).map_err(DatasetError::io("create", &part))?;
            write_version(&note, url, response.headers(), total)?;
            out
        };
        self.body(response, &mut out, &part, (start, total), report)?;
        Ok(start > 0)
    }

    /// Where in the file the body of this response begins.
    fn start(&self, response: &Response<Body>, have: u64, part: &Path) -> Result<u64, Trouble> {
        let status = response.status();
        match status.as_u16() {
            200 => Ok(0),
            206 if header(response.headers(), "content-range").and_then(range_start) == Some(have) => {
                Ok(have)
            }
            206 | 416 => {
                // The server means another range than we do: begin again.
                fs::remove_file(part).map_err(DatasetError::io("remove", part))?;
                Err(Trouble::passing("has no such range", 0))
            }
            408 | 425 | 429 | 500..=599 => Err(Trouble::passing(status.to_string(), 0)),
            _ => Err(Trouble::lasting(status.to_string())),
        }
    }

    fn body(
        &self,
        response: Response<Body>,
        out: &mut File,
        part: &Path,
        (start, total): (u64, Option<u64>),
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Trouble> {
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        let mut done = start;
        let mut whole = false;
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => {
                    whole = true;
                    break;
                }
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) if hung_up(&error) => break,
                Err(error) => return Err(self.trouble(error.into(), done - start)),
            };
            done += count as u64;
            if let Some(total) = total.filter(|&total| done > total) {
                return Err(Trouble::lasting(format!("sends more than the {total} bytes it should")));
            }
            out.write_all(&buffer[..count]).map_err(DatasetError::io("write", part))?;
            report(Event::At(done));
        }
        out.sync_all().map_err(DatasetError::io("write", part))?;
        match total {
            Some(total) if done == total => Ok(()),
            None if whole => Ok(()),
            _ => {
                let of = total.map_or(String::new(), |total| format!(" of {total}"));
                let reason = format!("the connection ended after {done}{of} bytes");
                Err(Trouble::passing(reason, done - start))
            }
        }
    }

    fn trouble(&self, error: ureq::Error, gained: u64) -> Trouble {
        let seconds = self.options.timeout.as_secs_f64();
        let (reason, may_pass) = match &error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                ("no connection came about in time".to_owned(), true)
            }
            ureq::Error::Timeout(_) => (format!("sent nothing for {seconds} seconds"), true),
            ureq::Error::HostNotFound => ("there is no such host, or no network".to_owned(), false),
            ureq::Error::TooManyRedirects => (format!("redirects more than {REDIRECTS} times"), false),
            ureq::Error::Io(error) => (error.to_string(), true),
            ureq::Error::ConnectionFailed | ureq::Error::Protocol(_) => (error.to_string(), true),
            _ => (error.to_string(), false),
        };
        Trouble::Remote { reason, may_pass, gained }
    }
}

/// Whether the other side ended the connection in the middle of a file.
fn hung_up(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `bytes 10-99/100` begins at 10.
fn range_start(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// What is known about a part; nothing when the note is missing or damaged, which costs a download from the beginning.
fn read_version(note: &Path) -> Option<Version> {
    toml::from_str(&fs::read_to_string(note).ok()?).ok()
}

fn write_version(
    note: &Path,
    url: &str,
    headers: &HeaderMap,
    total: Option<u64>,
) -> Result<(), DatasetError> {
    let version = Version {
        url: url.to_owned(),
        etag: header(headers, "etag").map(str::to_owned),
        last_modified: header(headers, "last-modified").map(str::to_owned),
        total,
    };
    let text = toml::to_string(&version).expect("texts and a number are TOML");
    firebrand_durable::write(note, text.as_bytes()).map_err(DatasetError::io("write", note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_validators_ask_for_the_rest() {
        let version = |etag: Option<&str>, modified: Option<&str>| Version {
            url: String::new(),
            etag: etag.map(str::to_owned),
            last_modified: modified.map(str::to_owned),
            total: None,
        };
        assert_eq!(version(Some("\"a\""), Some("now")).validator(), Some("\"a\""));
        assert_eq!(version(Some("W/\"a\""), Some("now")).validator(), Some("now"));
        assert_eq!(version(Some("W/\"a\""), None).validator(), None);
    }

    #[test]
    fn ranges_say_where_they_begin() {
        assert_eq!(range_start("bytes 10-99/100"), Some(10));
        assert_eq!(range_start("bytes */100"), None);
        assert_eq!(range_start("10-99/100"), None);
    }
}
