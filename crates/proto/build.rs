//! Generates the gRPC code from `/proto`, with a protobuf compiler that needs no installation.

use std::{env, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 8] = [
    "accord/identity/v1/identity.proto",
    "accord/connections/v1/connections.proto",
    "accord/sync/v1/sync.proto",
    "accord/audit/v1/audit.proto",
    "accord/attribution/v1/attribution.proto",
    "accord/attribution/v1/native.proto",
    "accord/attribution/v1/guards.proto",
    "accord/crm/v1/crm.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("accord.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .include_file("mod.rs")
        .enum_attribute(
            "accord.attribution.v1.CommissionAnswer.answer",
            "#[expect(clippy::large_enum_variant, reason = \"refusals are the rare ones\")]",
        )
        .compile_fds(descriptors)?;
    Ok(())
}
