//! Floor 0: the gRPC interfaces, generated from the .proto files beside this crate. Written by hand are the
//! codec of the carrier's parcels, and which versions of the interfaces between nodes a node takes.
//!
//! * [`admin`]: the operator's API (`admin.proto`).
//! * [`backup`]: the records of a backup (`backup.proto`).
//! * [`carrier`]: what carries frames between nodes (`carrier.proto`).
//! * [`control`]: what nodes ask the control group (`control.proto`).
//! * [`raft`]: between members of the control group (`raft.proto`).
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

/// The records of a backup.
pub mod backup {
    #![allow(
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        reason = "generated"
    )]
    tonic::include_proto!("rookery.backup.v1");
}

/// What nodes ask the control group, and how a node gets in.
pub mod control {
    #![allow(
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        reason = "generated"
    )]
    tonic::include_proto!("rookery.control.v1");
}

/// Between members of the control group.
pub mod raft {
    #![allow(
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        reason = "generated"
    )]
    tonic::include_proto!("rookery.raft.v1");
}

mod version;

pub use version::{PROTOCOL, PROTOCOL_OLDEST, VERSION_KEY, speaks};

/// The encoded `FileDescriptorSet` of the operator's API, with comments.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
