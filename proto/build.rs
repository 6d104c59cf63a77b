//! Generates the Rust code of the .proto files, in Rust alone (no `protoc` needs to be installed).

use std::path::PathBuf;
use std::{env, fs};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true);
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
        compiler.open_file(file)?;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

const FILES: &[&str] = &["admin.proto"];
