//! The place of a piece of work in its trace: the `traceparent` header of W3C Trace
//! Context, <https://www.w3.org/TR/trace-context/#traceparent-header>.

use std::{fmt, str::FromStr};

/// The only version that is written.
const VERSION: &str = "00";
/// The version that is forbidden.
const VERSION_INVALID: &str = "ff";
/// Length of the header in version 00, in bytes; later versions may only be longer.
const LENGTH: usize = 55;
/// The flag that says that the caller may have recorded its part of the trace.
const SAMPLED: u8 = 0x01;
/// The flags that version 00 defines. Whatever else a header sets is not passed on.
const FLAGS_KNOWN: u8 = SAMPLED;

/// A span and the trace it is part of. Never with an id of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// Why a header is no `traceparent`. The trace starts anew then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a traceparent: {reason}")]
pub struct TraceParentError {
    value: String,
    reason: &'static str,
}

impl TraceParent {
    /// The first span of a new trace. The ids should be random; nothing if one is zero,
    /// which the caller meets by drawing again.
    pub fn new_root(trace_id: u128, span_id: u64, sampled: bool) -> Option<Self> {
        let flags = if sampled { SAMPLED } else { 0 };
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags })
    }

    /// Another span of the same trace, equally sampled; nothing if its id is zero.
    pub fn child(self, span_id: u64) -> Option<Self> {
        (span_id != 0).then_some(Self { span_id, ..self })
    }

    /// Reads a header of version 00, or what version 00 knows of a later one.
    ///
    /// # Errors
    /// Whatever the specification calls invalid.
    pub fn parse(header: &str) -> Result<Self, TraceParentError> {
        fields(header).map_err(|reason| {
            let value = header.chars().take(LENGTH).collect();
            TraceParentError { value, reason }
        })
    }

    /// The trace.
    pub fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// The span.
    pub fn span_id(self) -> u64 {
        self.span_id
    }

    /// Whether the caller may have recorded its part.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

fn fields(header: &str) -> Result<TraceParent, &'static str> {
    let mut parts = header.splitn(5, '-');
    let mut part = || parts.next().unwrap_or_default();
    let (version, trace_id, span_id, flags) = (part(), part(), part(), part());
    let hexadecimal =
        "expected VERSION-TRACE-SPAN-FLAGS of 2, 32, 16 and 2 lower-case hexadecimal digits";
    for (part, digits) in [(version, 2), (trace_id, 32), (span_id, 16), (flags, 2)] {
        let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if part.len() != digits || !part.bytes().all(lower) {
            return Err(hexadecimal);
        }
    }
    if version == VERSION_INVALID {
        return Err("version ff is forbidden");
    }
    if version == VERSION && header.len() != LENGTH {
        return Err("version 00 ends after the flags");
    }
    let trace_id = u128::from_str_radix(trace_id, 16).map_err(|_| hexadecimal)?;
    let span_id = u64::from_str_radix(span_id, 16).map_err(|_| hexadecimal)?;
    let flags = u8::from_str_radix(flags, 16).map_err(|_| hexadecimal)? & FLAGS_KNOWN;
    if trace_id == 0 {
        return Err("the trace id is zero");
    }
    if span_id == 0 {
        return Err("the span id is zero");
    }
    Ok(TraceParent { trace_id, span_id, flags })
}

impl fmt::Display for TraceParent {
    /// The header, in version 00.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for TraceParent {
    type Err = TraceParentError;
    fn from_str(header: &str) -> Result<Self, TraceParentError> {
        Self::parse(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    /// The specification's own example.
    const SPEC: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn check(header: &str, expected: &str) {
        let seen = match TraceParent::parse(header) {
            Ok(parent) => parent.to_string(),
            Err(error) => error.reason.to_owned(),
        };
        assert_eq!(seen, expected, "{header:?}");
    }

    #[test]
    fn the_specifications_example_reads_back() {
        check(SPEC, SPEC);
        let parent: TraceParent = SPEC.parse().unwrap();
        assert_eq!(parent.trace_id(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(parent.span_id(), 0x00f0_67aa_0ba9_02b7);
        assert!(parent.is_sampled());
        assert!(!TraceParent::parse(&SPEC.replace("-01", "-00")).unwrap().is_sampled());
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        let form =
            "expected VERSION-TRACE-SPAN-FLAGS of 2, 32, 16 and 2 lower-case hexadecimal digits";
        for bad in [
            "",
            "00",
            "ü",
            &SPEC[..54],
            &SPEC[3..],
            &SPEC.to_uppercase(),
            &format!(" {SPEC}"),
            &SPEC.replace("4bf", "4bg"),
            &SPEC.replace("4bf", "+bf"),
            &SPEC.replace("-01", "-1"),
        ] {
            check(bad, form);
        }
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", "the trace id is zero");
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "the span id is zero");
        check(&SPEC.replacen("00", "ff", 1), "version ff is forbidden");
        check(&format!("{SPEC}-"), "version 00 ends after the flags");
        check(&format!("{SPEC}-more"), "version 00 ends after the flags");
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = SPEC.replacen("00", "cc", 1);
        check(&later, SPEC);
        check(&format!("{later}-what-the-future-holds"), SPEC);
        assert!(TraceParent::parse(&format!("{later}.x")).is_err(), "only a dash may follow");
    }

    #[test]
    fn unknown_flags_are_not_passed_on() {
        check(&SPEC.replace("-01", "-ff"), SPEC);
        check(&SPEC.replace("-01", "-fe"), &SPEC.replace("-01", "-00"));
    }

    #[test]
    fn zero_is_no_id() {
        assert_eq!(TraceParent::new_root(0, 1, true), None);
        assert_eq!(TraceParent::new_root(1, 0, true), None);
        assert_eq!(TraceParent::new_root(1, 1, true).unwrap().child(0), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_parent_or_an_error(text in "\\PC{0,70}") {
            if let Ok(parent) = TraceParent::parse(&text) {
                assert_eq!(TraceParent::parse(&parent.to_string()), Ok(parent));
            }
        }

        #[test]
        fn what_is_written_reads_back(trace in 1..u128::MAX, span in 1..u64::MAX, next in 1..u64::MAX, sampled in any::<bool>()) {
            let root = TraceParent::new_root(trace, span, sampled).unwrap();
            let child = root.child(next).unwrap();
            assert_eq!(child.to_string().parse(), Ok(child));
            assert_eq!((child.trace_id(), child.is_sampled()), (trace, sampled));
        }
    }
}
