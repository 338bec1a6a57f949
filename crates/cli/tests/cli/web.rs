//! A web server on this machine that does what it is told, right or wrong.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    /// How often this path was asked for before.
    pub(crate) before: usize,
}

/// What is answered.
pub(crate) enum Answer {
    Page(Page),
    Status(u16),
    Redirect(String),
}

/// A file, and what goes wrong with sending it.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    pub(crate) etag: Option<&'static str>,
    /// Whether ranges are understood.
    pub(crate) ranges: bool,
    /// Whether the length is said beforehand.
    pub(crate) length: bool,
    /// After so many bytes of an answer the connection ends.
    pub(crate) cut: Option<usize>,
    /// After so many bytes of an answer nothing comes any more.
    pub(crate) stall: Option<usize>,
    /// So many bytes, then a pause.
    pub(crate) drip: Option<(usize, Duration)>,
}

impl Page {
    pub(crate) fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            etag: Some("\"one\""),
            ranges: true,
            length: true,
            cut: None,
            stall: None,
            drip: None,
        }
    }

    pub(crate) fn answer(self) -> Answer {
        Answer::Page(self)
    }
}

/// The server; its threads end with the test's process.
pub(crate) struct Web {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Web {
    pub(crate) fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (log, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            let counts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
            for stream in listener.incoming().flatten() {
                let (log, answer, counts) = (log.clone(), answer.clone(), counts.clone());
                std::thread::spawn(move || {
                    let Some(mut request) = read(&stream) else { return };
                    let mut counts = counts.lock().expect("no thread panics with it");
                    let count = counts.entry(request.path.clone()).or_default();
                    request.before = *count;
                    *count += 1;
                    drop(counts);
                    log.lock().expect("no thread panics with it").push(request.clone());
                    // Whoever hangs up knows why.
                    let _ = reply(stream, &request, answer(&request));
                });
            }
        });
        Self { url, requests }
    }

    /// A server of one file, `/a.txt`.
    pub(crate) fn of(page: impl Fn(&Request) -> Page + Send + Sync + 'static) -> Self {
        Self::start(move |request| match request.path.as_str() {
            "/a.txt" => page(request).answer(),
            _ => Answer::Status(404),
        })
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no thread panics with it").clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut request = Request { path, range: None, if_range: None, before: 0 };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_lowercase().as_str() {
            "range" => request.range = Some(value.trim().to_owned()),
            "if-range" => request.if_range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    Some(request)
}

fn reply(mut stream: TcpStream, request: &Request, answer: Answer) -> std::io::Result<()> {
    let page = match answer {
        Answer::Page(page) => page,
        Answer::Status(status) => {
            let text = format!("HTTP/1.1 {status} So\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n");
            return stream.write_all(text.as_bytes());
        }
        Answer::Redirect(to) => {
            let text = format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return stream.write_all(text.as_bytes());
        }
    };
    let all = page.body.len();
    let wanted = request
        .range
        .as_ref()
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let same = request.if_range.is_none() || request.if_range.as_deref() == page.etag;
    let mut head = String::new();
    let start = match wanted.filter(|_| page.ranges && same) {
        Some(start) if start >= all => {
            let text = "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return stream.write_all(text.as_bytes());
        }
        Some(start) => {
            head += &format!("HTTP/1.1 206 Part\r\nContent-Range: bytes {start}-{}/{all}\r\n", all - 1);
            start
        }
        None => {
            head += "HTTP/1.1 200 OK\r\n";
            0
        }
    };
    if let Some(etag) = page.etag {
        head += &format!("ETag: {etag}\r\n");
    }
    if page.length {
        head += &format!("Content-Length: {}\r\n", all - start);
    }
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    let body = &page.body[start..];
    let end = page.cut.or(page.stall).unwrap_or(body.len()).min(body.len());
    let (size, pause) = page.drip.unwrap_or((body.len().max(1), Duration::ZERO));
    for piece in body[..end].chunks(size) {
        stream.write_all(piece)?;
        stream.flush()?;
        std::thread::sleep(pause);
    }
    if page.stall.is_some_and(|stall| stall < body.len()) {
        std::thread::sleep(Duration::from_secs(60));
    }
    Ok(())
}
