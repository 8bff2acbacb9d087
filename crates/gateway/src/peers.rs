//! Finds the other services, and keeps connections to them.

use crate::{
    error::ApiError,
    limits::{CALL_RETRY_PAUSE, CALL_TIMEOUT, CALL_TRIES_MAX, LATER, PEERS_MAX, SILENT_FOR},
};
use baton_proto::{
    Bounded, Deadline, Dialer, MESSAGE_BYTES_MAX,
    v1::{conductor_client::ConductorClient, worker_agent_client::WorkerAgentClient},
};
use baton_registry::{Kind, Member, Registry};
use baton_workflow::AgentId;
use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tonic::{Code, Response, Status, transport::Channel};

pub(crate) type Conductor = ConductorClient<Bounded>;
pub(crate) type WorkerAgent = WorkerAgentClient<Bounded>;

/// The services behind the gateway, as the registry knows them.
pub(crate) struct Peers {
    registry: Arc<dyn Registry>,
    dialer: Dialer,
    channels: Mutex<HashMap<String, Channel>>,
    /// Addresses that did not answer, until when they are asked last: the registry learns of
    /// a death later than whoever calls.
    silent: Mutex<HashMap<String, Instant>>,
    /// Rises with every choice, so that members take turns.
    turn: AtomicUsize,
}

impl Peers {
    pub(crate) fn new(registry: Arc<dyn Registry>, dialer: Dialer) -> Self {
        Self {
            registry,
            dialer,
            channels: Mutex::default(),
            silent: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Whether there is anybody to plan.
    pub(crate) fn has_conductor(&self) -> bool {
        !self.registry.members(Kind::Conductor).is_empty()
    }

    /// Asks one Conductor; the next one where it is away. Only for calls that may be
    /// made twice: a reply can be lost after the call was carried out.
    pub(crate) async fn ask<T, F>(
        &self,
        timeout: Duration,
        mut call: impl FnMut(Conductor) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.ask_at(timeout, |conductor, _| call(conductor)).await
    }

    /// The same, for calls that want to know the address.
    pub(crate) async fn ask_at<T, F>(
        &self,
        timeout: Duration,
        mut call: impl FnMut(Conductor, &str) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut last = ApiError::unavailable("no Conductor is running: start one, or try again");
        for attempt in 0..CALL_TRIES_MAX {
            if attempt > 0 {
                tokio::time::sleep(CALL_RETRY_PAUSE).await;
            }
            let Some((address, conductor)) = self.conductor(timeout) else { continue };
            match tokio::time::timeout(timeout, call(conductor, &address)).await {
                Ok(Ok(reply)) => return Ok(reply.into_inner()),
                Ok(Err(status)) if is_away(&status) => {
                    self.is_silent(address);
                    last = plain(status).into();
                }
                Ok(Err(status)) => return Err(status.into()),
                Err(_elapsed) => {
                    self.is_silent(address);
                    let seconds = timeout.as_secs();
                    let message = format!("no Conductor answered within {seconds} s: try again");
                    return Err(Status::deadline_exceeded(message).into());
                }
            }
        }
        Err(last)
    }

    fn conductor(&self, timeout: Duration) -> Option<(String, Conductor)> {
        let members = self.in_turn(self.registry.members(Kind::Conductor));
        let (address, channel) = members.into_iter().next()?;
        let conductor = ConductorClient::with_interceptor(channel, Deadline(timeout + LATER))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Some((address, conductor))
    }

    /// Has an address asked last for a while.
    fn is_silent(&self, address: String) {
        // A map is whole between any two of its operations, whoever panicked.
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        silent.retain(|_, until| *until > now);
        silent.insert(address, now + SILENT_FOR);
    }

    /// The worker-agent of this name, if it is alive.
    pub(crate) fn worker(&self, holder: &str) -> Option<WorkerAgent> {
        let members = self.registry.members(Kind::WorkerAgent);
        let member = members.into_iter().find(|member| member.holder == holder)?;
        self.channel(&member.address).map(worker_agent)
    }

    /// The worker-agents that host this agent, by their addresses, the one whose turn it is
    /// first.
    pub(crate) fn hosting(&self, agent: &AgentId) -> Vec<(String, WorkerAgent)> {
        let mut members = self.registry.members(Kind::WorkerAgent);
        members.retain(|member| member.agents.contains(agent));
        let channels = self.in_turn(members).into_iter();
        channels.map(|(address, channel)| (address, worker_agent(channel))).collect()
    }

    /// All worker-agents.
    pub(crate) fn workers(&self) -> Vec<WorkerAgent> {
        let members = self.registry.members(Kind::WorkerAgent);
        let channels = members.iter().filter_map(|member| self.channel(&member.address));
        channels.map(worker_agent).collect()
    }

    /// Channels to members, by their addresses: of the two whose turn it is, the one with
    /// less to do first, which spreads nearly as well as knowing everything, and never sends
    /// everybody to the one that was idle a moment ago; those that did not answer lately last.
    fn in_turn(&self, mut members: Vec<Member>) -> Vec<(String, Channel)> {
        if !members.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % members.len();
            members.rotate_left(turn);
        }
        if let [first, second, ..] = members.as_mut_slice()
            && is_busier(first, second)
        {
            std::mem::swap(first, second);
        }
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = Instant::now();
        members.sort_by_key(|member| silent.get(&member.address).is_some_and(|until| *until > now));
        let channels = members.into_iter().filter_map(|member| {
            let channel = self.channel(&member.address)?;
            Some((member.address, channel))
        });
        channels.collect()
    }

    fn channel(&self, address: &str) -> Option<Channel> {
        // A map is whole between any two of its operations, whoever panicked.
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Some(channel.clone());
        }
        let channel = match self.dialer.channel(address) {
            Ok(channel) => channel,
            Err(error) => {
                tracing::error!(%error, "a member cannot be called");
                return None;
            }
        };
        // Addresses change as processes come and go; starting over costs reconnecting.
        if channels.len() >= PEERS_MAX {
            channels.clear();
        }
        channels.insert(address.to_owned(), channel.clone());
        Some(channel)
    }
}

/// Whether the first holds more of what it can hold.
fn is_busier(first: &Member, second: &Member) -> bool {
    let part = |member: &Member| f64::from(member.load) / f64::from(member.capacity.max(1));
    part(first) > part(second)
}

fn worker_agent(channel: Channel) -> WorkerAgent {
    WorkerAgentClient::with_interceptor(channel, Deadline(CALL_TIMEOUT))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Whether nobody answered, rather than somebody with a refusal: only the transport's
/// own errors have a source.
pub(crate) fn is_away(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.source().is_some()
}

/// One code for every way in which a transport can fail.
pub(crate) fn plain(status: Status) -> Status {
    if status.code() == Code::Unavailable || !is_away(&status) {
        return status;
    }
    Status::unavailable(status.message())
}
