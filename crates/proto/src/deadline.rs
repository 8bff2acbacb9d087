//! The deadline of a call, as whoever calls says it.

use std::time::Duration;
use tonic::Request;

/// The part of the time that is left for the answer's way back, and at most this.
const ANSWER_PART: u32 = 10;
const ANSWER_MAX: Duration = Duration::from_millis(200);

/// How long may be worked on an answer that is to be there in time; none where the caller
/// waits for ever. A deadline that cannot be read is none, as gRPC's own servers have it.
pub fn time_for<T>(request: &Request<T>) -> Option<Duration> {
    let time = read(request.metadata().get("grpc-timeout")?.to_str().ok()?)?;
    Some(time - (time / ANSWER_PART).min(ANSWER_MAX))
}

/// At most eight digits and a unit, as gRPC's protocol over HTTP/2 has it.
fn read(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let fits = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let amount: u64 = digits.parse().ok().filter(|_| fits)?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, ms: Option<u64>) {
        assert_eq!(read(text), ms.map(Duration::from_millis), "{text}");
    }

    #[test]
    fn deadlines_are_read_as_grpc_writes_them() {
        check("1H", Some(3_600_000));
        check("2M", Some(120_000));
        check("3S", Some(3_000));
        check("200m", Some(200));
        check("5000u", Some(5));
        check("7000000n", Some(7));
        for wrong in ["", "S", "5", "5s", "+5S", "-5S", "123456789S", "5 S", "é"] {
            check(wrong, None);
        }
    }

    #[test]
    fn the_answer_is_there_before_the_caller_is_gone() {
        let mut request = Request::new(());
        assert_eq!(time_for(&request), None);
        request.set_timeout(Duration::from_secs(10));
        assert_eq!(time_for(&request), Some(Duration::from_millis(9_800)));
        request.set_timeout(Duration::from_millis(100));
        assert_eq!(time_for(&request), Some(Duration::from_millis(90)));
    }
}
