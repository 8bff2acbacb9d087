//! The gRPC wire: generated types, their services, errors across it.
//!
//! The only crate that names prost. Its types stop at the handler line that converts
//! them; nothing behind a handler knows them.

mod chat;
mod deadline;
mod detail;
mod dial;
mod tools;
mod trace;

pub use chat::WireError;
pub use deadline::time_for;
pub use detail::{detail_of, status};
pub use dial::{Bounded, Deadline, DialError, Dialer};
pub use trace::{ORIGIN, TRACEPARENT, code_name, origin_of, traceparent_of};

/// The generated types, clients and servers of `proto/baton/v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the documentation is in the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("baton.v1");
}

/// Descriptions of all services, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Largest message taken or sent, in bytes: a conversation of 10 MB and its frame.
pub const MESSAGE_BYTES_MAX: usize = 24 * 1024 * 1024;
