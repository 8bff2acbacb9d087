//! Where a run comes from: kept with it, in the place of a bare `traceparent`.
//!
//! The span of the request above a run is told by the gateway, when the answer has gone
//! out. A gateway that dies meanwhile tells nothing, so whoever ends the run must not name
//! that span as the one above: hence the run knows which gateway it was, and what stood
//! above the request.

use crate::TraceParent;
use std::fmt;

/// Where a run comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The span that asked for it.
    pub trace: TraceParent,
    /// The span above that one, if any.
    pub above: Option<u64>,
    /// Who tells of the span that asked: a gateway's name. None where it is the caller's.
    pub edge: Option<String>,
}

impl Origin {
    /// Reads what is kept with a run: a `traceparent`, alone or with more behind it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let trace = TraceParent::parse(parts.next()?).ok()?;
        let mut origin = Self { trace, above: None, edge: None };
        for part in parts {
            match part.split_once('=') {
                Some(("above", id)) => origin.above = u64::from_str_radix(id, 16).ok(),
                Some(("edge", name)) => origin.edge = Some(name.to_owned()),
                // Of a later version.
                Some(_) | None => {}
            }
        }
        Some(origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.trace)?;
        if let Some(above) = self.above {
            write!(f, ";above={above:016x}")?;
        }
        if let Some(edge) = &self.edge {
            write!(f, ";edge={edge}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn check(text: &str, above: Option<u64>, edge: Option<&str>) {
        let origin = Origin::parse(text).unwrap();
        assert_eq!((origin.above, origin.edge.as_deref()), (above, edge), "{text}");
        assert_eq!(Origin::parse(&origin.to_string()), Some(origin));
    }

    #[test]
    fn what_is_kept_with_a_run_reads_back() {
        check(HEADER, None, None);
        check(&format!("{HEADER};edge=gateway-1"), None, Some("gateway-1"));
        check(
            &format!("{HEADER};above=00f067aa0ba902b8;edge=g"),
            Some(0x00f0_67aa_0ba9_02b8),
            Some("g"),
        );
        check(&format!("{HEADER};later=1;above=zz;alone"), None, None);
        assert_eq!(Origin::parse(""), None);
        assert_eq!(Origin::parse(&HEADER[1..]), None);
    }
}
