//! What is done over one connection: list, watch, keep the lease alive, register.
//!
//! A session begins by reading everything, whatever was known before. So nothing depends
//! on how long the connection was cut, or on what etcd has compacted meanwhile.

use crate::{
    client::{Client, Stream, all_of, op},
    keeper::{Ask, Link, Shared},
    keys::end_of,
    value,
    wire::{
        DeleteRangeRequest, Event, KeyValue, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
        PutRequest, RangeRequest, TxnRequest, WatchCreateRequest, WatchRequest, WatchResponse,
        event::EventType, request_op::Request as Op, response_op::Response as Answer,
        watch_request::RequestUnion,
    },
};
use baton_actor::Mailbox;
use baton_registry::{Member, RegistryError, Stranger};
use std::collections::BTreeMap;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Code;

/// Members of a cluster: what is read at once, and far more than a cluster has.
const MEMBERS_MAX: i64 = 4096;
/// Writes in one transaction; etcd's own bound is 128 unless it is set otherwise.
const WRITES_MAX: usize = 64;

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum Break {
    /// It was told to.
    Stopped,
    /// What was to be watched is compacted: everything has to be read again.
    Compacted,
    /// etcd is away, or of no use.
    Lost(RegistryError),
}

impl From<RegistryError> for Break {
    fn from(error: RegistryError) -> Self {
        Self::Lost(error)
    }
}

/// What etcd held at one moment.
pub(crate) struct Listed {
    pub(crate) revision: i64,
    pub(crate) members: Vec<KeyValue>,
    pub(crate) config: Option<KeyValue>,
}

impl Listed {
    /// Reads all members and the configuration, as they were at one moment.
    pub(crate) async fn read(client: &Client, shared: &Shared) -> Result<Self, RegistryError> {
        let config = shared.keys.config().into_bytes();
        let config = RangeRequest { key: config, ..RangeRequest::default() };
        let request = TxnRequest {
            compare: Vec::new(),
            success: vec![
                op(Op::RequestRange(all_of(&shared.keys.members(), MEMBERS_MAX))),
                op(Op::RequestRange(config)),
            ],
            failure: Vec::new(),
        };
        let answer = client.txn(request).await.map_err(|status| client.told(&status))?;
        let revision = answer.header.map(|header| header.revision).unwrap_or_default();
        let mut ranges = answer.responses.into_iter().filter_map(|part| match part.response {
            Some(Answer::ResponseRange(range)) => Some(range),
            Some(Answer::ResponsePut(_) | Answer::ResponseDeleteRange(_)) | None => None,
        });
        let members = ranges.next().unwrap_or_default();
        if members.more {
            let number = members.count;
            tracing::error!(number, most = MEMBERS_MAX, "more members than are looked at");
        }
        let config = ranges.next().unwrap_or_default().kvs.into_iter().next();
        Ok(Self { revision, members: members.kvs, config })
    }
}

/// One connection at work.
pub(crate) struct Session<'a> {
    shared: &'a Shared,
    client: Client,
    /// Outlives the session: with it, what is registered stays.
    lease: &'a mut Option<i64>,
    /// What etcd holds under the lease, by its keys.
    written: BTreeMap<String, Vec<u8>>,
    /// What was last read is of this revision; of it and those before, nothing is news.
    revision: i64,
    /// Until when who is gone may come back.
    until: Option<Instant>,
    changes: Stream<WatchRequest, WatchResponse>,
    alive: Stream<LeaseKeepAliveRequest, LeaseKeepAliveResponse>,
    /// When the last question about the lease must have been answered.
    answer_by: Option<Instant>,
}

impl<'a> Session<'a> {
    /// Reads everything, has a lease, watches, and registers who is announced here.
    /// `was_away`: etcd may have lost leases of processes that live.
    pub(crate) async fn open(
        shared: &'a Shared,
        client: Client,
        lease: &'a mut Option<i64>,
        was_away: bool,
    ) -> Result<Self, Break> {
        let listed = Listed::read(&client, shared).await?;
        let id = match *lease {
            Some(id) => id,
            None => *lease.insert(client.grant().await?),
        };
        let alive = client.keep_alive(LeaseKeepAliveRequest { id }).await?;
        let changes = client.watch(watched(shared, listed.revision)).await?;
        let until = was_away.then(|| Instant::now() + shared.options.timing.grace);
        let written = shared.take_list(&listed, *lease, until);
        let answer_by = Some(Instant::now() + shared.options.timing.call);
        let revision = listed.revision;
        let mut session =
            Self { shared, client, lease, written, revision, until, changes, alive, answer_by };
        session.settle().await?;
        Ok(session)
    }

    /// Works until it cannot, or is told to stop.
    pub(crate) async fn run(&mut self, asked: &Mailbox<Ask>, stop: &CancellationToken) -> Break {
        let endpoint = self.client.endpoint().to_owned();
        self.shared.set_link(Link::Up { endpoint });
        let timing = self.shared.options.timing;
        let mut keep_alive = interval(timing.keep_alive_every());
        let mut load = interval(timing.load_every);
        let mut list = interval(timing.list_every);
        for ticks in [&mut keep_alive, &mut load, &mut list] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.reset();
        }
        loop {
            let end = self.shared.next_end();
            let step = tokio::select! {
                () = stop.cancelled() => Err(Break::Stopped),
                answer = self.changes.answers.message() => match answer {
                    Ok(Some(changes)) => self.changed(changes),
                    Ok(None) => Err(self.closed()),
                    Err(status) => Err(Break::Lost(self.client.told(&status))),
                },
                answer = self.alive.answers.message() => match answer {
                    Ok(Some(answer)) => self.kept_alive(answer).await,
                    Ok(None) => Err(self.closed()),
                    Err(status) => Err(Break::Lost(self.client.told(&status))),
                },
                _ = keep_alive.tick() => self.keep_alive(),
                () = at(self.answer_by) => Err(self.silent()),
                ask = asked.next() => match ask {
                    Some(Ask::Settle(reply)) => self.asked(reply).await,
                    // Nobody can ask any more: the registry goes on until it is stopped.
                    None => std::future::pending().await,
                },
                _ = load.tick() => {
                    self.shared.publish();
                    self.settle().await.map_err(Break::Lost)
                }
                _ = list.tick() => self.list().await,
                () = at(end) => {
                    self.shared.change(|known| known.forget(Instant::now()));
                    Ok(())
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Takes back all that is registered.
    pub(crate) async fn close(self) -> Result<(), RegistryError> {
        match self.lease.take() {
            Some(lease) => self.client.revoke(lease).await,
            None => Ok(()),
        }
    }

    async fn asked(
        &mut self,
        reply: baton_actor::Reply<Result<(), RegistryError>>,
    ) -> Result<(), Break> {
        let settled = self.settle().await;
        // Whoever asked may have stopped waiting.
        let _heard = reply.send(settled.clone());
        settled.map_err(Break::Lost)
    }

    /// Makes etcd hold exactly the processes that are announced here.
    async fn settle(&mut self) -> Result<(), RegistryError> {
        // The second time under another lease, where the first turns out to be gone.
        for _ in 0..2 {
            let mut wanted = BTreeMap::new();
            for member in self.shared.own() {
                let key = self.shared.keys.member(member.kind, &member.holder)?;
                wanted.insert(key, value::member_text(&member)?);
            }
            if self.write(wanted).await? {
                return Ok(());
            }
            self.new_lease().await?;
        }
        Err(RegistryError::Unavailable("etcd loses each lease that it grants".to_owned()))
    }

    /// Writes what differs. False if the lease is gone.
    async fn write(&mut self, wanted: BTreeMap<String, Vec<u8>>) -> Result<bool, RegistryError> {
        let lease = self.lease.unwrap_or_default();
        let put = |(key, value): (&String, &Vec<u8>)| {
            let (key, value) = (key.clone().into_bytes(), value.clone());
            op(Op::RequestPut(PutRequest { key, value, lease }))
        };
        let delete = |key: &String| {
            let key = key.clone().into_bytes();
            op(Op::RequestDeleteRange(DeleteRangeRequest { key, range_end: Vec::new() }))
        };
        let other = wanted.iter().filter(|(key, value)| self.written.get(*key) != Some(value));
        let gone = self.written.keys().filter(|key| !wanted.contains_key(*key));
        let writes: Vec<_> = other.map(put).chain(gone.map(delete)).collect();
        for success in writes.chunks(WRITES_MAX) {
            let success = success.to_vec();
            let request = TxnRequest { success, ..TxnRequest::default() };
            match self.client.txn(request).await {
                Ok(_) => {}
                Err(status) if status.code() == Code::NotFound => return Ok(false),
                Err(status) => return Err(self.client.told(&status)),
            }
        }
        self.written = wanted;
        Ok(true)
    }

    async fn new_lease(&mut self) -> Result<(), RegistryError> {
        self.written.clear();
        tracing::warn!("etcd has ended this process's lease: it registers again");
        *self.lease = Some(self.client.grant().await?);
        Ok(())
    }

    /// Reads everything again.
    async fn list(&mut self) -> Result<(), Break> {
        let listed = Listed::read(&self.client, self.shared).await?;
        self.revision = listed.revision;
        self.written = self.shared.take_list(&listed, *self.lease, self.grace());
        Ok(self.settle().await?)
    }

    /// Until when who is gone may come back, if etcd was away just now.
    fn grace(&self) -> Option<Instant> {
        self.until.filter(|until| *until > Instant::now())
    }

    fn keep_alive(&mut self) -> Result<(), Break> {
        // One question at a time: the next one when this is answered, or too late.
        let Some(id) = self.lease.filter(|_| self.answer_by.is_none()) else { return Ok(()) };
        if self.alive.questions.try_send(LeaseKeepAliveRequest { id }).is_err() {
            return Err(self.closed());
        }
        self.answer_by = Some(Instant::now() + self.shared.options.timing.call);
        Ok(())
    }

    async fn kept_alive(&mut self, answer: LeaseKeepAliveResponse) -> Result<(), Break> {
        self.answer_by = None;
        if answer.ttl > 0 || Some(answer.id) != *self.lease {
            return Ok(());
        }
        self.new_lease().await?;
        Ok(self.settle().await?)
    }

    fn changed(&mut self, changes: WatchResponse) -> Result<(), Break> {
        if changes.canceled {
            if changes.compact_revision > 0 {
                return Err(Break::Compacted);
            }
            let (endpoint, reason) = (self.client.endpoint(), &changes.cancel_reason);
            return Err(Break::Lost(RegistryError::Unavailable(format!(
                "etcd at {endpoint} has ended the watch: {reason}"
            ))));
        }
        let until = self.grace();
        for event in changes.events {
            let gone = event.r#type() == EventType::Delete;
            let Event { kv: Some(kv), .. } = event else { continue };
            if kv.mod_revision <= self.revision {
                continue;
            }
            match gone {
                true => self.shared.take_delete(&kv, until),
                false => self.shared.take_put(&kv),
            }
        }
        Ok(())
    }

    fn closed(&self) -> Break {
        let endpoint = self.client.endpoint();
        Break::Lost(RegistryError::Unavailable(format!("etcd at {endpoint} has hung up")))
    }

    fn silent(&self) -> Break {
        let (endpoint, ms) = (self.client.endpoint(), self.shared.options.timing.call.as_millis());
        Break::Lost(RegistryError::Unavailable(format!(
            "etcd at {endpoint} does not answer within {ms} ms"
        )))
    }
}

/// What is watched, from the revision after this one on.
fn watched(shared: &Shared, revision: i64) -> Vec<WatchRequest> {
    let start_revision = revision.saturating_add(1);
    let watch = |key: String, range_end: Vec<u8>| {
        let key = key.into_bytes();
        let create = WatchCreateRequest { key, range_end, start_revision };
        WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
    };
    let (members, config) = (shared.keys.members(), shared.keys.config());
    let members_end = end_of(&members);
    vec![watch(members, members_end), watch(config, Vec::new())]
}

/// What stands at the key of a member.
pub(crate) fn member_at(shared: &Shared, kv: &KeyValue) -> (String, Result<Member, Stranger>) {
    let key = String::from_utf8_lossy(&kv.key).into_owned();
    let read = value::member(&key, shared.keys.member_of(&key), &kv.value);
    (key, read)
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
