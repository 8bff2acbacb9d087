//! The gateway over HTTP, with scripted services behind it on their wire.

mod agents;
mod client;
mod edges;
mod leaving;
mod peer;
mod runs;
#[path = "../../src/sample.rs"]
mod sample;
mod streams;
