//! Generates the Rust code of the .proto files, in Rust alone (no `protoc` needs to be installed).

use std::path::PathBuf;
use std::{env, fs};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let admin = compiler("admin.proto")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        admin.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        .extern_path(".rookery.backup.v1", "crate::backup")
        .compile_fds(admin.file_descriptor_set())?;
    for file in ["backup.proto", "control.proto", "raft.proto"] {
        tonic_prost_build::configure()
            .bytes(".")
            .compile_fds(compiler(file)?.file_descriptor_set())?;
    }
    // A parcel writes and reads itself.
    tonic_prost_build::configure()
        .codec_path("crate::carrier::ParcelCodec")
        .extern_path(".rookery.carrier.v1.Parcel", "crate::carrier::Parcel")
        .compile_fds(compiler("carrier.proto")?.file_descriptor_set())?;
    Ok(())
}

fn compiler(file: &str) -> Result<protox::Compiler, Failure> {
    println!("cargo:rerun-if-changed={file}");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_file(file)?;
    Ok(compiler)
}
