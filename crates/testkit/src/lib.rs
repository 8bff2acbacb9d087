//! Real servers for tests, started and ended with the test.

pub mod baton;
pub mod certificates;
pub mod cluster;
pub mod etcd;
pub mod otlp;
pub mod redis;
pub mod stores;
