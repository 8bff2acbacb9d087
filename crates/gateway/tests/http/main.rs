//! The gateway over HTTP, with scripted services behind it on their wire.

#[cfg(test)]
mod agents;
#[cfg(test)]
mod client;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod runs;
#[cfg(test)]
#[path = "../../src/sample.rs"]
mod sample;
#[cfg(test)]
mod streams;
