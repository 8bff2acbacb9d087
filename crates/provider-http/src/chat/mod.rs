//! Chat Completions, as OpenAI defined them.

mod reader;
mod wire;

pub(crate) use reader::ChatReader;
pub(crate) use wire::RequestBody;
