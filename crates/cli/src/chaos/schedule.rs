//! Which faults, when, and to whom: a function of the seed alone.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::fmt;

/// Time without any fault at the beginning, so that there is work to be disturbed.
const CALM_MS: u64 = 2_000;
/// Between the beginnings of two faults.
const GAP_MS: (u64, u64) = (800, 3_500);
/// How long Redis is away: a restart, within the patience of a lease.
const REDIS_AWAY_MS: (u64, u64) = (100, 1_500);
/// How long etcd is away.
const ETCD_AWAY_MS: (u64, u64) = (2_000, 20_000);
/// How long a slow link delays what passes, each way.
const SLOW_MS: (u64, u64) = (20, 150);
/// How long a target is left alone after its fault: it starts again, and takes up work.
const RECOVERY_MS: u64 = 4_000;
/// Attempts to find a target that is not in trouble already.
const DRAWS_MAX: usize = 16;

/// The kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// SIGKILL of a service's process; it is started again.
    Kill,
    /// SIGSTOP of a service's process for longer than a lease, then SIGCONT.
    Stop,
    /// SIGKILL of Redis, and its restart on the same data.
    Redis,
    /// SIGKILL of etcd, and its restart on the same data.
    Etcd,
    /// A service's process is cut off from stores and peers for longer than a lease, or its
    /// links are slow for a while.
    Link,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// The service at this place dies.
    Kill(usize),
    /// It stands still.
    Stop(usize),
    Redis,
    Etcd,
    /// Nothing passes between it and the others.
    Cut(usize),
    /// Everything takes so many milliseconds longer.
    Slow(usize, u64),
}

impl What {
    /// Which service, if it is one.
    pub(super) fn service(self) -> Option<usize> {
        match self {
            Self::Kill(at) | Self::Stop(at) | Self::Cut(at) | Self::Slow(at, _) => Some(at),
            Self::Redis | Self::Etcd => None,
        }
    }

    /// For people, with the services' names.
    pub(super) fn words(self, names: &[String]) -> String {
        let name = |at: usize| names.get(at).map_or("?", String::as_str);
        match self {
            Self::Kill(at) => format!("kill -9 {}", name(at)),
            Self::Stop(at) => format!("SIGSTOP {}", name(at)),
            Self::Redis => "kill -9 redis".into(),
            Self::Etcd => "kill -9 etcd".into(),
            Self::Cut(at) => format!("cut off {}", name(at)),
            Self::Slow(at, ms) => format!("slow links (+{ms} ms) of {}", name(at)),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// Milliseconds since the load began.
    pub(super) at_ms: u64,
    /// How long it lasts.
    pub(super) lasts_ms: u64,
    pub(super) what: What,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7.1} s {:?} for {} ms", seconds(self.at_ms), self.what, self.lasts_ms)
    }
}

/// For people.
#[expect(clippy::cast_precision_loss, reason = "shown to a tenth of a second")]
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// What the schedule is drawn for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) seed: u64,
    /// How long there is load.
    pub(super) lasts_ms: u64,
    /// How many services there are.
    pub(super) services: usize,
    pub(super) kinds: &'a [Kind],
    /// How long a lease lasts.
    pub(super) lease_ms: u64,
}

/// The faults, in the order in which they begin. A target is in one of them at a time.
pub(super) fn schedule(frame: Frame<'_>) -> Vec<Fault> {
    let mut lots = ChaCha8Rng::seed_from_u64(frame.seed);
    let mut faults: Vec<Fault> = Vec::new();
    let mut at_ms = CALM_MS;
    while at_ms < frame.lasts_ms && !frame.kinds.is_empty() && frame.services > 0 {
        for _ in 0..DRAWS_MAX {
            let fault = draw(&mut lots, frame, at_ms);
            if faults.iter().all(|earlier| is_apart(earlier, &fault)) {
                faults.push(fault);
                break;
            }
        }
        at_ms += lots.random_range(GAP_MS.0..=GAP_MS.1);
    }
    faults
}

fn draw(lots: &mut ChaCha8Rng, frame: Frame<'_>, at_ms: u64) -> Fault {
    let kind = frame.kinds[lots.random_range(0..frame.kinds.len())];
    let service = lots.random_range(0..frame.services);
    // From just above a lease to half as much again.
    let beyond = frame.lease_ms + lots.random_range(frame.lease_ms / 10..=frame.lease_ms / 2);
    let mut between = |(low, high): (u64, u64)| lots.random_range(low..=high);
    let (what, lasts_ms) = match kind {
        Kind::Kill => (What::Kill(service), 0),
        Kind::Stop => (What::Stop(service), beyond),
        Kind::Redis => (What::Redis, between(REDIS_AWAY_MS)),
        Kind::Etcd => (What::Etcd, between(ETCD_AWAY_MS).min(frame.lasts_ms / 3)),
        Kind::Link => match between((0, 2)) {
            0 => (What::Slow(service, between(SLOW_MS)), beyond),
            _ => (What::Cut(service), beyond),
        },
    };
    Fault { at_ms, lasts_ms, what }
}

/// Whether the two have nothing to do with each other.
fn is_apart(earlier: &Fault, later: &Fault) -> bool {
    let same = match (earlier.what.service(), later.what.service()) {
        (None, None) => earlier.what == later.what,
        (one, other) => one == other,
    };
    !same || earlier.at_ms + earlier.lasts_ms + RECOVERY_MS <= later.at_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 5] = [Kind::Kill, Kind::Stop, Kind::Redis, Kind::Etcd, Kind::Link];
    const FRAME: Frame<'_> =
        Frame { seed: 7, lasts_ms: 600_000, services: 12, kinds: &ALL, lease_ms: 4_000 };

    #[test]
    fn the_seed_alone_decides() {
        assert_eq!(schedule(FRAME), schedule(FRAME));
        assert_ne!(schedule(FRAME), schedule(Frame { seed: 8, ..FRAME }));
    }

    #[test]
    fn every_kind_comes_and_stops_outlast_leases() {
        let faults = schedule(FRAME);
        for is in [
            (|what| matches!(what, What::Kill(_))) as fn(&What) -> bool,
            |what| matches!(what, What::Stop(_)),
            |what| matches!(what, What::Redis),
            |what| matches!(what, What::Etcd),
            |what| matches!(what, What::Cut(_)),
            |what| matches!(what, What::Slow(..)),
        ] {
            assert!(faults.iter().any(|fault| is(&fault.what)), "{faults:?}");
        }
        for fault in &faults {
            if let What::Stop(_) | What::Cut(_) = fault.what {
                assert!(fault.lasts_ms > FRAME.lease_ms, "{fault}");
            }
            assert!((CALM_MS..FRAME.lasts_ms).contains(&fault.at_ms), "{fault}");
        }
    }

    #[test]
    fn a_target_is_in_one_fault_at_a_time() {
        let faults = schedule(Frame { services: 2, ..FRAME });
        for (index, later) in faults.iter().enumerate() {
            for earlier in &faults[..index] {
                assert!(is_apart(earlier, later), "{earlier} and {later}");
            }
        }
    }

    #[test]
    fn only_what_is_asked_for_comes() {
        let faults = schedule(Frame { kinds: &[Kind::Redis], ..FRAME });
        assert!(!faults.is_empty() && faults.iter().all(|fault| fault.what == What::Redis));
        assert_eq!(schedule(Frame { kinds: &[], ..FRAME }), []);
    }
}
