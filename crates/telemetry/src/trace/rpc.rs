//! Spans of gRPC calls, in the terms of OpenTelemetry's RPC conventions (v1.44,
//! <https://opentelemetry.io/docs/specs/semconv/rpc/grpc/>), the same on both sides.

use super::span::{Span, SpanKind};
use crate::names;

/// What is no fault of the caller's, and so an error on the server's side too.
const SERVER_FAULTS: [&str; 6] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

impl Span {
    /// It is a call of this method, such as `baton.v1.Conductor/Submit`, to this server.
    pub fn calls(&mut self, method: &str, host: Option<&str>, port: Option<u16>) {
        self.set(names::RPC_SYSTEM, "grpc");
        self.set(names::RPC_METHOD, method);
        self.set_some(names::SERVER_ADDRESS, host);
        self.set_some(names::SERVER_PORT, port);
    }

    /// The call is over, with a status by its name, such as `NOT_FOUND`, as the side of
    /// `kind` sees it.
    pub fn answered(mut self, kind: SpanKind, status: &'static str, message: &str) {
        self.set(names::RPC_STATUS, status);
        let failed = match kind {
            SpanKind::Server => SERVER_FAULTS.contains(&status),
            SpanKind::Client | SpanKind::Internal => status != "OK",
        };
        if failed {
            self.fail(status, message.to_owned());
        }
        self.finish();
    }
}
