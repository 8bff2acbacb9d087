//! Generates the gRPC types without a `protoc`.

use prost::Message;
use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 4] = [
    "baton/v1/chat.proto",
    "baton/v1/conductor.proto",
    "baton/v1/worker_agent.proto",
    "baton/v1/verifier.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let files = protox::compile(FILES, [root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // For gRPC reflection.
    fs::write(out.join("descriptors.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".baton.v1").compile_fds(files)?;
    Ok(())
}
