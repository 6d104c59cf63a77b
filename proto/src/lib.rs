//! Floor 0: the gRPC interfaces, generated from the .proto files beside this crate. Nothing here is written by hand.
//!
//! * [`admin`]: the operator's API (`admin.proto`).
//! * [`DESCRIPTORS`]: all of them as data, for reflection.

/// The operator's API.
pub mod admin {
    #![allow(
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        reason = "generated"
    )]
    tonic::include_proto!("rookery.admin.v1");
}

/// The encoded `FileDescriptorSet` of all interfaces, with comments.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
