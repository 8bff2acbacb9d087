//! What time it is elsewhere.

use reqwest::{Client, header::DATE};
use std::time::{Duration, SystemTime};

/// How long to wait for an answer, whatever it says.
const LIMIT: Duration = Duration::from_secs(5);
/// The header counts whole seconds: on average it is half of one behind.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// How far this machine's clock is from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// Whether this clock is ahead.
    pub ahead: bool,
    /// By how much, to about a second.
    pub by: Duration,
}

/// Compares this clock with the `Date` header of any answer at this address. None where
/// nobody answers within 5 s, or without a date.
pub async fn date_at(url: &str) -> Option<Skew> {
    let client = Client::builder().timeout(LIMIT).build().ok()?;
    let sent = SystemTime::now();
    let reply = client.get(url).send().await.ok()?;
    let received = SystemTime::now();
    let date = httpdate::parse_http_date(reply.headers().get(DATE)?.to_str().ok()?).ok()?;
    let travelled = received.duration_since(sent).unwrap_or_default();
    Some(skew(sent + travelled / 2, date + HALF_A_SECOND))
}

fn skew(here: SystemTime, there: SystemTime) -> Skew {
    match here.duration_since(there) {
        Ok(by) => Skew { ahead: true, by },
        Err(error) => Skew { ahead: false, by: error.duration() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_has_a_direction() {
        let (now, by) = (SystemTime::now(), Duration::from_secs(3));
        assert_eq!(skew(now + by, now), Skew { ahead: true, by });
        assert_eq!(skew(now, now + by), Skew { ahead: false, by });
    }
}
