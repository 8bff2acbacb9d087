//! Real servers for tests, started and ended with the test.

pub mod baton;
pub mod otlp;
pub mod redis;
