//! What several measurements count in the same way.

use std::time::Duration;

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
