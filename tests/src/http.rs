//! A plain HTTP client: every status is a reply, and every byte can be sent.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    time::Duration,
};
use ureq::http::Response;

/// Longest wait for any reply.
const LIMIT: Duration = Duration::from_secs(120);
/// Longest reply read, in bytes.
const REPLY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A client of one endpoint.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    url: String,
    headers: Vec<(String, String)>,
}

/// Names in lower case, with values.
type Headers = Vec<(String, String)>;

/// A whole reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    headers: Headers,
    /// The JSON; a string where it is none.
    pub json: Value,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The text of the answer.
    pub fn answer(&self) -> &str {
        let text = self.json["choices"][0]["message"]["content"].as_str();
        text.unwrap_or_else(|| panic!("no answer: {self:?}"))
    }
}

impl Client {
    /// Of an endpoint such as `http://127.0.0.1:8484`.
    pub fn new(url: impl Into<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(LIMIT))
            .build();
        Self { agent: config.into(), url: url.into(), headers: Vec::new() }
    }

    /// The same client with one more header on each of its requests.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.into(), value.into()));
        client
    }

    /// GET.
    pub fn get(&self, path: &str) -> Reply {
        whole(self.open_get(path).unwrap())
    }

    /// Whether requests can be sent here, as a load balancer asks.
    pub fn is_ready(&self) -> bool {
        self.open_get("/readyz").is_ok_and(|reply| reply.status().as_u16() == 200)
    }

    /// POST of a JSON document.
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_bytes(path, body.to_string().as_bytes())
    }

    /// POST of anything.
    pub fn post_bytes(&self, path: &str, body: &[u8]) -> Reply {
        self.try_post_bytes(path, body).unwrap()
    }

    /// POST to a server that may be killed meanwhile.
    ///
    /// # Errors
    /// Where there is no whole reply.
    pub fn try_post_bytes(&self, path: &str, body: &[u8]) -> Result<Reply, ureq::Error> {
        try_whole(self.open_post(path, body)?)
    }

    /// `POST /v1/chat/completions`.
    pub fn chat(&self, body: &Value) -> Reply {
        self.post("/v1/chat/completions", body)
    }

    /// The events of a POST. Dropping them hangs up.
    pub fn stream(&self, path: &str, body: &Value) -> Events {
        Events::of(self.open_post(path, body.to_string().as_bytes()).unwrap())
    }

    /// The events of a POST to a server that may be killed meanwhile.
    pub fn try_stream(&self, path: &str, body: &Value) -> Option<Events> {
        self.open_post(path, body.to_string().as_bytes()).ok().map(Events::of)
    }

    /// The events of a GET.
    pub fn events(&self, path: &str) -> Events {
        Events::of(self.open_get(path).unwrap())
    }

    fn open_get(&self, path: &str) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.call()
    }

    fn open_post(&self, path: &str, body: &[u8]) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        request = request.header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.send(body)
    }
}

fn whole(reply: Response<ureq::Body>) -> Reply {
    try_whole(reply).unwrap()
}

fn try_whole(mut reply: Response<ureq::Body>) -> Result<Reply, ureq::Error> {
    let (status, headers) = (reply.status().as_u16(), headers(&reply));
    let text = reply.body_mut().with_config().limit(REPLY_BYTES_MAX).read_to_string()?;
    let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Reply { status, headers, json })
}

fn headers(reply: &Response<ureq::Body>) -> Headers {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = reply.headers().iter();
    headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its name; empty unless said.
    pub name: String,
    /// Its id; empty unless said.
    pub id: String,
    /// Its data.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Events while they come in; comments are left out.
pub struct Events {
    /// The HTTP status.
    pub status: u16,
    headers: Headers,
    lines: BufReader<Box<dyn std::io::Read>>,
}

impl Events {
    fn of(reply: Response<ureq::Body>) -> Self {
        let (status, headers) = (reply.status().as_u16(), headers(&reply));
        let lines = BufReader::new(Box::new(reply.into_body().into_reader()) as Box<_>);
        Self { status, headers, lines }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        let mut line = String::new();
        loop {
            line.clear();
            if self.lines.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if event != Event::default() {
                    return Some(event);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => event.name = value.into(),
                "id" => event.id = value.into(),
                "data" => event.data.push_str(value),
                _comments_and_unknown_fields => {}
            }
        }
    }
}
