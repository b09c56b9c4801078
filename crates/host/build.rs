//! Compiles `proto/fabric.proto` without `protoc`: protox parses it, tonic writes the Rust.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/fabric.proto");
    let descriptors = protox::compile(["proto/fabric.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".cryptlet.fabric.v1").compile_fds(descriptors)?;
    Ok(())
}
