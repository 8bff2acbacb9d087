//! Does this machine's clock agree with another one?

use super::{Endpoint, check::Check};
use baton_provider_http::date_at;
use baton_registry::Settings;
use std::time::Duration;

/// Beyond this, times in logs and reports of several machines are out of order.
const SKEW_WARNING: Duration = Duration::from_secs(2);
/// Beyond this, keys with an expiry and signed requests are refused.
const SKEW_FAILED: Duration = Duration::from_secs(60);

/// Compared with a provider's, which is another machine's; else with the endpoint's.
pub(crate) async fn check(endpoint: &Endpoint, settings: Option<&Settings>, calls: bool) -> Check {
    let check = Check::ok("clock");
    let providers = settings.into_iter().flat_map(|settings| settings.providers.values());
    let urls = providers.map(|provider| provider.base_url.clone()).filter(|_| calls);
    let urls = urls.filter(|url| !url.contains(".invalid"));
    let own = match endpoint {
        Endpoint::Runs(api, _) | Endpoint::Refuses(api, _) => Some(api.url("/healthz")),
        Endpoint::Away(..) => None,
    };
    for url in urls.chain(own) {
        if let Some(skew) = date_at(&url).await {
            return judge(check, &url, skew.ahead, skew.by);
        }
    }
    check.found("not compared: nobody answered with a date")
}

fn judge(check: Check, with: &str, ahead: bool, by: Duration) -> Check {
    let way = if ahead { "ahead of" } else { "behind" };
    let found = format!("{:.1} s {way} {with}", by.as_secs_f64());
    let advice = "synchronise it, for example with chrony or systemd-timesyncd";
    match by {
        by if by > SKEW_FAILED => check.fail(found).advise(advice),
        by if by > SKEW_WARNING => check.warn(found).advise(advice),
        _within => check.found(format!("within {} s of {with}", SKEW_WARNING.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::State;

    #[test]
    fn skew_is_judged() {
        let check = |ms, expected| {
            let judged = judge(Check::ok("clock"), "x", true, Duration::from_millis(ms));
            assert_eq!(judged.state, expected, "{judged:?}");
        };
        check(1_900, State::Ok);
        check(2_100, State::Warning);
        check(61_000, State::Failed);
    }
}
