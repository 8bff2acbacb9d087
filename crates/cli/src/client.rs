//! A cluster to ask: the one at an endpoint, or one started here for as long as it takes.

use crate::{
    args::{AskArgs, EndpointArgs, PoolArgs},
    exit::Failure,
    live::Overrides,
    node::{Node, NodeOptions},
    profile::Profile,
};
use baton_codes::StartCode;
use baton_provider_http::{Api, ApiError};
use serde_json::{Map, Value, json};
use std::{
    io::Read as _,
    net::{Ipv4Addr, SocketAddr},
};

/// Longest question read from standard input, in bytes.
const QUESTION_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Where a cluster listens unless it is told otherwise.
const ENDPOINT: &str = "http://127.0.0.1:8484";

/// A cluster, with what has to be stopped when it is no longer needed.
pub(crate) struct Cluster {
    pub(crate) api: Api,
    pub(crate) profile: Profile,
    node: Option<Node>,
}

impl Cluster {
    /// The one at the endpoint; without an endpoint, one of our own, in memory.
    pub(crate) async fn find(endpoint: &EndpointArgs, pool: &PoolArgs) -> Result<Self, Failure> {
        let profile = Profile::in_force(endpoint)?;
        if let Some(url) = profile.endpoint(endpoint) {
            return Ok(Self { api: api(&url, &profile, endpoint)?, profile, node: None });
        }
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let overrides = Overrides { listen: Some(listen), ..Overrides::default() };
        let options = NodeOptions { overrides, stays: false, pool: pool.clone() };
        let node = Node::start(options).await?;
        let api = api(&format!("http://{}", node.address), &profile, endpoint)?;
        Ok(Self { api, profile, node: Some(node) })
    }

    pub(crate) async fn leave(self) -> Result<(), Failure> {
        match self.node {
            Some(node) => node.stop().await,
            None => Ok(()),
        }
    }
}

/// The cluster at the endpoint, or at the place where one usually is, with the profile
/// in force.
pub(crate) fn remote(endpoint: &EndpointArgs) -> Result<(Api, Profile), Failure> {
    let profile = Profile::in_force(endpoint)?;
    let url = profile.endpoint(endpoint).unwrap_or_else(|| ENDPOINT.to_owned());
    Ok((api(&url, &profile, endpoint)?, profile))
}

fn api(url: &str, profile: &Profile, endpoint: &EndpointArgs) -> Result<Api, Failure> {
    Api::new(url, profile.key(endpoint)?).map_err(failure)
}

/// What an endpoint's refusal means for the exit code.
pub(crate) fn failure(error: ApiError) -> Failure {
    match &error {
        ApiError::Refused { status, code, .. } => {
            let failure = match status {
                401 | 403 => Failure::auth(error.to_string()),
                400 | 404 | 413 | 422 => Failure::usage(error.to_string()),
                _ => Failure::other(error.to_string()),
            };
            failure.explained_by(code)
        }
        ApiError::Unreachable { .. } => {
            let message = format!("{error}. Start a cluster with `baton up`, or set --endpoint");
            Failure::other(message).named(StartCode::EndpointUnreachable)
        }
    }
}

/// The question, from the command line or from standard input.
pub(crate) fn question(said: &str) -> Result<String, Failure> {
    if said != "-" {
        return Ok(said.to_owned());
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(QUESTION_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("cannot read the question: {error}")))?;
    if text.len() as u64 > QUESTION_BYTES_MAX {
        return Err(Failure::usage(format!(
            "the question is longer than {QUESTION_BYTES_MAX} bytes"
        )));
    }
    Ok(text)
}

/// The body of a request to `POST /v1/chat/completions`.
pub(crate) fn body(question: &str, ask: &AskArgs) -> Value {
    let mut baton = Map::new();
    if let Some(usd) = ask.budget {
        baton.insert("budget".into(), json!({ "usd": usd }));
    }
    let mut say = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            baton.insert(name.into(), value);
        }
    };
    say("deadline", ask.deadline.map(Value::from));
    say("allow", (!ask.allow.is_empty()).then(|| json!(ask.allow)));
    say("deny", (!ask.deny.is_empty()).then(|| json!(ask.deny)));
    say("rounds", ask.rounds.map(Value::from));
    let judge = ask.judge.as_ref().map(|name| match name.as_str() {
        "" => json!({ "judge": true }),
        name => json!({ "judge": name }),
    });
    say("verify", judge);
    let mut body = json!({
        "model": ask.model,
        "messages": [{ "role": "user", "content": question }],
        "baton": baton,
    });
    if let Some(seed) = ask.seed {
        body["seed"] = seed.into();
    }
    body
}
