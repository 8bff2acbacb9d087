//! The part of etcd's API that is used here, generated from `proto/etcd/rpc.proto`.

#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code; etcd's documentation describes it"
)]

tonic::include_proto!("etcdserverpb");
