//! What several measurements count in the same way.

use super::cpu::Account;
use crate::exit::Failure;
use std::time::{Duration, Instant};

/// Steps of the run that is measured.
pub(super) const STEPS: u32 = 3;

/// Microseconds.
pub(super) fn us(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The quantile `share` (0 to 1) of what was measured, which is sorted by this; nothing
/// where nothing was.
pub(super) fn at_share(measured: &mut [Duration], share: f64) -> Duration {
    measured.sort_unstable();
    let place = (measured.len() as f64 * share) as usize;
    let last = measured.len().saturating_sub(1);
    measured.get(place.min(last)).copied().unwrap_or_default()
}

/// What one of many turns of a loop took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Core {
    pub(super) wall_us: f64,
    pub(super) cpu_us: f64,
}

/// Takes `turns` turns on this thread, after some that do not count.
pub(super) fn core(turns: u32, mut turn: impl FnMut()) -> Result<Core, Failure> {
    for _ in 0..turns / 10 {
        turn();
    }
    let (cpu, began) = (Account::cpu_of_thread()?, Instant::now());
    for _ in 0..turns {
        turn();
    }
    let (wall, cpu) = (began.elapsed(), Account::cpu_of_thread()? - cpu);
    Ok(Core { wall_us: us(wall) / f64::from(turns), cpu_us: us(cpu) / f64::from(turns) })
}
