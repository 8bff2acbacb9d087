//! Generates etcd's types and clients without a `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}/etcd");
    let files = protox::compile(["etcd/rpc.proto"], [root])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
