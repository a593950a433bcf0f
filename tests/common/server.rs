//! A web server that misbehaves as told.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// What the server does with one request.
pub enum Answer {
    /// The file, or the part of it that is asked for if the tag still fits.
    File { bytes: Vec<u8>, tag: &'static str },
    /// The same, but the connection ends after so many bytes of the body.
    Cut { bytes: Vec<u8>, tag: &'static str, after: usize },
    /// The same, but nothing comes after so many bytes of the body, while the connection stays open.
    Stall { bytes: Vec<u8>, tag: &'static str, after: usize },
    /// A page with this status.
    Status(&'static str),
    /// Nothing at all.
    Silence,
    /// Another address.
    Redirect(String),
    /// As a proxy does: a tunnel, and this answer at its end.
    Tunnel(Box<Answer>),
}

/// One request: its lines.
pub type Request = Vec<String>;

/// A server that gives one answer after the other.
pub struct Server {
    pub address: String,
    requests: Receiver<Request>,
}

impl Server {
    pub fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = read(&stream);
                let _ = sender.send(request.clone());
                let answer = match &answer {
                    Answer::Tunnel(inner) => {
                        let _ = write!(stream, "HTTP/1.1 200 Connection established\r\n\r\n");
                        request = read(&stream);
                        let _ = sender.send(request.clone());
                        inner
                    }
                    answer => answer,
                };
                // A client that has seen enough closes; that is its right.
                let _ = give(&mut stream, answer, &request);
            }
        });
        Self { address, requests }
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

fn read(stream: &TcpStream) -> Request {
    BufReader::new(stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect()
}

/// The value of a header.
pub fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let find = |line: &'a String| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    };
    request.iter().find_map(find)
}

fn give(stream: &mut TcpStream, answer: &Answer, request: &Request) -> std::io::Result<()> {
    match answer {
        Answer::File { bytes, tag } => file(stream, (bytes, tag), request, usize::MAX).map(drop),
        Answer::Cut { bytes, tag, after } => file(stream, (bytes, tag), request, *after).map(drop),
        Answer::Stall { bytes, tag, after } => {
            file(stream, (bytes, tag), request, *after)?;
            wait();
            Ok(())
        }
        Answer::Status(status) => {
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsad\n")
        }
        Answer::Silence | Answer::Tunnel(_) => {
            wait();
            Ok(())
        }
        Answer::Redirect(to) => {
            write!(
                stream,
                "HTTP/1.1 302 DetectOutput\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        }
    }
}

/// Longer than any client of the tests is patient.
fn wait() {
    thread::sleep(Duration::from_secs(3));
}

fn file(stream: &mut TcpStream, (bytes, tag): (&[u8], &str), request: &Request, limit: usize) -> std::io::Result<()> {
    let range = header(request, "range").filter(|_| header(request, "if-range") == Some(tag));
    let start: usize = range.map_or(0, |range| range["bytes=".len()..range.len() - 1].parse().unwrap());
    let body = &bytes[start..];
    let (status, extra) = match start {
        0 => ("200 OK", String::new()),
        _ => ("206 Partial Content", format!("Content-Range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len())),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{extra}ETag: {tag}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body[..body.len().min(limit)])?;
    stream.flush()
}
