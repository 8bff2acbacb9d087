//! A client that costs little: it shares the machine with what is measured.
//!
//! HTTP/1.1 over a connection kept open, one request at a time.

use crate::exit::Failure;
use std::io;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Bytes that a reply's head may have.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a reply's body may have.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Headers that a reply may have.
const HEADERS_MAX: usize = 64;
/// Bytes asked of the connection at once.
const READ_BYTES: usize = 16 * 1024;

/// Where to send requests.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Such as `127.0.0.1:8484`.
    authority: String,
    path: String,
}

impl Target {
    /// From an address such as `http://127.0.0.1:8484/v1`, and what follows it.
    pub(crate) fn new(url: &str, path: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let (authority, base) = rest.split_once('/').unwrap_or((rest, ""));
        let slash = if base.is_empty() { "" } else { "/" };
        Self { authority: authority.to_owned(), path: format!("{slash}{base}{path}") }
    }
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What was read and not yet made sense of.
    read: Vec<u8>,
    request: Vec<u8>,
}

/// The beginning of a reply.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// `x-request-id`: the run, where there is one.
    pub(crate) run: Option<String>,
    /// `retry-after`, in seconds.
    pub(crate) retry_after: Option<u64>,
    length: Length,
}

/// How a reply's body ends.
#[derive(Debug, Clone, Copy)]
enum Length {
    Bytes(usize),
    Chunks,
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::other(format!("cannot reach {}: {error}", target.authority))
        };
        let stream = TcpStream::connect(&target.authority).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Self { stream, read: Vec::new(), request: Vec::new() })
    }

    /// Sends a request and gives the body of its reply.
    ///
    /// # Errors
    /// When the connection breaks, and when the reply is not one of success.
    pub(crate) async fn post(&mut self, target: &Target, body: &str) -> Result<String, Failure> {
        let broken = |error: io::Error| Failure::other(format!("{}: {error}", target.authority));
        let (status, reply) = self.exchange(target, body).await.map_err(broken)?;
        let reply = String::from_utf8(reply).map_err(|error| Failure::other(error.to_string()))?;
        if !(200..300).contains(&status) {
            let shown: String = reply.chars().take(500).collect();
            return Err(Failure::other(format!("{} answers {status}: {shown}", target.authority)));
        }
        Ok(reply)
    }

    async fn exchange(&mut self, target: &Target, body: &str) -> io::Result<(u16, Vec<u8>)> {
        let head = self.send("POST", target, &[], body).await?;
        let status = head.status;
        Ok((status, self.rest(head).await?))
    }

    /// Sends a request with these headers beside the usual ones, and reads the reply's head.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        target: &Target,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Head> {
        let Target { authority, path } = target;
        self.request.clear();
        let length = body.len();
        let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers: String = headers.collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\n\
             {headers}content-length: {length}\r\n\r\n"
        );
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body.as_bytes());
        self.stream.write_all(&self.request).await?;
        loop {
            if let Some(head) = self.head()? {
                return Ok(head);
            }
            self.more(HEAD_BYTES_MAX).await?;
        }
    }

    /// Reads what follows a head.
    pub(crate) async fn rest(&mut self, head: Head) -> io::Result<Vec<u8>> {
        match head.length {
            Length::Bytes(bytes) => self.take(bytes).await,
            Length::Chunks => self.chunks().await,
        }
    }

    /// The head, once it is there; what follows it stays.
    fn head(&mut self) -> io::Result<Option<Head>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut reply = httparse::Response::new(&mut headers);
        let malformed = |error: httparse::Error| io::Error::other(error.to_string());
        let httparse::Status::Complete(end) = reply.parse(&self.read).map_err(malformed)? else {
            return Ok(None);
        };
        let header = |name: &str| {
            let found = reply.headers.iter().find(|found| found.name.eq_ignore_ascii_case(name));
            found.and_then(|found| std::str::from_utf8(found.value).ok())
        };
        let length = match (header("content-length"), header("transfer-encoding")) {
            (Some(bytes), _) => {
                let bytes = bytes.trim().parse().ok().filter(|bytes| *bytes <= BODY_BYTES_MAX);
                Length::Bytes(bytes.ok_or_else(|| io::Error::other("a reply of no length"))?)
            }
            (None, Some(_)) => Length::Chunks,
            (None, None) => Length::Bytes(0),
        };
        let run = header("x-request-id").map(str::to_owned);
        let retry_after = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let status = reply.code.unwrap_or_default();
        self.read.drain(..end);
        Ok(Some(Head { status, run, retry_after, length }))
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let found = httparse::parse_chunk_size(&self.read);
            let found = found.map_err(|_| io::Error::other("a chunk of no size"))?;
            let httparse::Status::Complete((end, bytes)) = found else {
                self.more(HEAD_BYTES_MAX).await?;
                continue;
            };
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            if bytes.saturating_add(body.len()) > BODY_BYTES_MAX {
                return Err(io::Error::other("a reply that is too long"));
            }
            self.read.drain(..end);
            let chunk = self.take(bytes + 2).await?;
            if bytes == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..bytes]);
        }
    }

    async fn take(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < bytes {
            self.more(BODY_BYTES_MAX + READ_BYTES).await?;
        }
        let rest = self.read.split_off(bytes);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    async fn more(&mut self, max: usize) -> io::Result<()> {
        if self.read.len() > max {
            return Err(io::Error::other("a reply that is too long"));
        }
        self.read.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn replies_are_read_however_their_end_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::new(&format!("http://{}/v1", listener.local_addr().unwrap()), "/x");
        assert_eq!(target.path, "/v1/x");
        let mut connection = Connection::open(&target).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let replies = [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nin \r\n5\r\nparts\r\n0\r\n\r\n",
            "HTTP/1.1 429 Too Many\r\ncontent-length: 4\r\n\r\nbusy",
        ];
        let served = tokio::spawn(async move {
            let mut request = vec![0; 4096];
            for reply in replies {
                assert!(server.read(&mut request).await.unwrap() > 0);
                server.write_all(reply.as_bytes()).await.unwrap();
            }
        });
        assert_eq!(connection.post(&target, "{}").await.unwrap(), "whole");
        assert_eq!(connection.post(&target, "{}").await.unwrap(), "in parts");
        let refused = connection.post(&target, "{}").await.unwrap_err().to_string();
        assert!(refused.ends_with("answers 429: busy"), "{refused}");
        served.await.unwrap();
    }
}
