//! Requests, closed loop and open loop.

use super::{
    figures::us,
    http::{Connection, Target},
};
use crate::exit::Failure;
use hdrhistogram::Histogram;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Longest latency that is told apart from longer ones, in microseconds: a minute.
const LATENCY_US_MAX: u64 = 60_000_000;
/// Digits of a latency that are kept.
const DIGITS: u8 = 3;

/// What is asked, as a function of the request's number: no two need to ask the same.
pub(super) type Ask = fn(u64) -> String;
/// Whether a reply is what it should be.
pub(super) type Check = fn(&str) -> bool;

/// Whom to ask for what.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) target: Target,
    pub(super) ask: Ask,
    pub(super) check: Check,
}

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Count(u32),
    Elapsed(Duration),
}

/// What came of it. Latencies in microseconds.
pub(super) struct Loaded {
    pub(super) latencies: Histogram<u64>,
    pub(super) took: Duration,
}

impl Loaded {
    pub(super) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// The quantile, 0 to 1, in microseconds.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        self.latencies.value_at_quantile(share) as f64
    }
}

pub(super) fn histogram() -> Result<Histogram<u64>, Failure> {
    let made = Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS);
    made.map_err(|error| Failure::other(error.to_string()))
}

async fn one(connection: &mut Connection, request: &Request, number: u64) -> Result<(), Failure> {
    let reply = connection.post(&request.target, &(request.ask)(number)).await?;
    if (request.check)(&reply) {
        return Ok(());
    }
    Err(Failure::other(format!("a run was not carried out whole: {reply}")))
}

/// `in_flight` clients, each of which asks again as soon as it is answered.
pub(super) async fn closed(
    request: &Request,
    until: Until,
    in_flight: u32,
) -> Result<Loaded, Failure> {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let asked = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..in_flight)
        .map(|_| {
            let (request, asked) = (request.clone(), asked.clone());
            tokio::spawn(async move {
                let mut latencies = histogram()?;
                let mut connection = Connection::open(&request.target).await?;
                loop {
                    let nth = asked.fetch_add(1, Ordering::Relaxed);
                    let over = match until {
                        Until::Count(count) => nth >= u64::from(count),
                        Until::Elapsed(span) => began.elapsed() >= span,
                    };
                    if over {
                        return Ok::<_, Failure>(latencies);
                    }
                    let sent = Instant::now();
                    one(&mut connection, &request, ASKED.fetch_add(1, Ordering::Relaxed)).await?;
                    latencies.saturating_record(us(sent.elapsed()) as u64);
                }
            })
        })
        .collect();
    let mut latencies = histogram()?;
    for client in futures::future::join_all(clients).await {
        let more = client.map_err(|error| Failure::other(error.to_string()))??;
        latencies.add(more).map_err(|error| Failure::other(error.to_string()))?;
    }
    Ok(Loaded { latencies, took: began.elapsed() })
}

/// Requests that come when they come, `rate` a second for so long, whether those before
/// them were answered or not. A latency counts from the moment when the request was due:
/// what a slow answer makes others wait for is not left out.
pub(super) async fn open(request: &Request, rate: f64, span: Duration) -> Result<Loaded, Failure> {
    let idle = Arc::new(Mutex::new(Vec::<Connection>::new()));
    let count = (rate * span.as_secs_f64()) as u64;
    let began = Instant::now();
    let mut sent = Vec::new();
    for number in 0..count {
        let due = began + Duration::from_secs_f64(number as f64 / rate);
        tokio::time::sleep_until(due).await;
        let (request, idle) = (request.clone(), idle.clone());
        sent.push(tokio::spawn(async move {
            let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match free {
                Some(connection) => connection,
                None => Connection::open(&request.target).await?,
            };
            one(&mut connection, &request, number).await?;
            let latency = due.elapsed();
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            Ok::<_, Failure>(latency)
        }));
    }
    let mut latencies = histogram()?;
    for request in sent {
        let latency = request.await.map_err(|error| Failure::other(error.to_string()))??;
        latencies.saturating_record(us(latency) as u64);
    }
    Ok(Loaded { latencies, took: began.elapsed() })
}
