//! Floor 0: the gRPC interfaces, generated from the .proto files beside this crate. Only the codec of the carrier's
//! parcels is written by hand.
//!
//! * [`admin`]: the operator's API (`admin.proto`).
//! * [`carrier`]: what carries frames between nodes (`carrier.proto`).
//! * [`DESCRIPTORS`]: the operator's API as data, for reflection.

/// The way between nodes.
pub mod carrier {
    #![allow(
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        reason = "generated"
    )]
    mod parcel;

    pub use parcel::{Content, Parcel, ParcelCodec};

    tonic::include_proto!("rookery.carrier.v1");
}

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

/// The encoded `FileDescriptorSet` of the operator's API, with comments.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
