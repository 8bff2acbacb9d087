//! Messages, as Anthropic defined them.

mod reader;
mod turns;
mod wire;

pub(crate) use reader::MessagesReader;
pub(crate) use wire::RequestBody;

/// The version of the API that is spoken.
pub(crate) const VERSION: &str = "2023-06-01";
