//! A quota a minute, as a bucket that leaks.
//!
//! What was taken is a debt that is paid off with time. The bucket holds a tenth of a
//! minute's quota and one unit, and leaks so much slower that bucket and leak together
//! never let more than the quota through in any 60 seconds, wherever they begin. A
//! provider that counts in calendar minutes therefore sees no more than it allows either.
//! All numbers are whole and far below 2^53, so that Lua reckons the same.

/// A minute, in milliseconds: also what one unit weighs in the debt, so that a leak of
/// one unit a minute is a debt of one a millisecond.
const MINUTE_MS: u64 = 60_000;
/// The bucket holds this part of a minute's quota.
const BUCKET_PART: u64 = 10;
/// No debt takes longer to pay off than this, in milliseconds.
const PAID_OFF_MS: u64 = 240_000;

/// What was taken lately.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Units times [`MINUTE_MS`], as of `at`.
    debt: u64,
    at: u64,
}

/// What leaks out in a millisecond.
fn leak(rate: u64) -> u64 {
    rate - rate / BUCKET_PART
}

fn bucket(rate: u64) -> u64 {
    (1 + rate / BUCKET_PART) * MINUTE_MS
}

impl Meter {
    /// Pays off, and says how long it takes until there is room for so many units, in
    /// milliseconds. More than the bucket holds has room once the bucket is empty.
    pub(super) fn wait_ms(&mut self, now: u64, rate: u64, units: u64) -> u64 {
        self.pay(now, rate);
        let room_from = bucket(rate).saturating_sub(units.min(rate) * MINUTE_MS);
        self.debt.saturating_sub(room_from).div_ceil(leak(rate))
    }

    /// Takes units, at most a minute's quota; gives how many. To be called at the time of
    /// a `wait_ms` that said 0.
    pub(super) fn take(&mut self, rate: u64, units: u64) -> u64 {
        let taken = units.min(rate);
        self.debt += taken * MINUTE_MS;
        taken
    }

    /// Puts what was used in the place of what was taken.
    pub(super) fn correct(&mut self, now: u64, rate: u64, taken: u64, used: u64) {
        self.pay(now, rate);
        let (taken, used) = (taken.min(rate), used.min(rate));
        let most = bucket(rate) + rate * MINUTE_MS;
        self.debt = (self.debt + used * MINUTE_MS).saturating_sub(taken * MINUTE_MS).min(most);
    }

    fn pay(&mut self, now: u64, rate: u64) {
        let passed = now.saturating_sub(self.at).min(PAID_OFF_MS);
        self.debt = self.debt.saturating_sub(passed * leak(rate));
        self.at = now;
    }
}
