//! A parcel: one message of the stream.

use std::sync::Arc;

use bytes::Bytes;
use rookery_proto::carrier::{Content, Parcel};
use tonic::codec::EncodeBuf;

use super::out::length;
use super::{Frame, Hello, Malformed, Out, Reader};

/// What stands before the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The version of everything in it.
    pub version: u8,
    /// The receiver may forget its own frames up to this number.
    pub forget: u64,
    /// The number of the first frame; the others follow.
    pub first: u64,
}

/// A parcel that is about to be sent.
pub(crate) enum Outgoing<F> {
    /// The first of a connection.
    Hello(Hello),
    /// Frames, and their bytes together.
    Frames(Header, Vec<Arc<F>>, usize),
}

/// A parcel that was received.
pub(crate) enum Incoming<T> {
    /// The first of a connection.
    Hello(Hello),
    /// Frames.
    Frames(Header, Vec<T>),
}

/// Bytes of a parcel without frames.
pub(crate) const PARCEL_OVERHEAD: usize = 2 + 8 + 8 + 4;

const HELLO: u8 = 0;
const FRAMES: u8 = 1;

/// A frame in memory is far larger than the smallest one on the wire: more room is made as they are
/// read.
const FRAMES_EXPECTED: usize = 1024;

/// Bytes of a frame's kind and length.
const FRAME_HEAD: usize = 5;

impl<F: Frame> From<Outgoing<F>> for Parcel {
    fn from(parcel: Outgoing<F>) -> Self {
        Self::Outgoing(Box::new(parcel))
    }
}

impl<F: Frame> Outgoing<F> {
    /// How many frames it has.
    pub(crate) fn frames(&self) -> usize {
        match self {
            Self::Hello(_) => 0,
            Self::Frames(_, frames, _) => frames.len(),
        }
    }

    pub(crate) fn write_to(&self, out: &mut impl Out) {
        match self {
            Self::Hello(hello) => {
                out.u8(hello.newest);
                out.u8(HELLO);
                hello.write(out);
            }
            Self::Frames(header, frames, _) => {
                out.u8(header.version);
                out.u8(FRAMES);
                out.u64(header.forget);
                out.u64(header.first);
                out.u32(length(frames.len()));
                for frame in frames {
                    frame.write(out);
                }
            }
        }
    }
}

impl<F: Frame> Content for Outgoing<F> {
    fn size(&self) -> usize {
        match self {
            Self::Hello(_) => {
                let mut counter = super::out::Counter(0);
                self.write_to(&mut counter);
                counter.0
            }
            Self::Frames(_, _, bytes) => PARCEL_OVERHEAD + bytes,
        }
    }

    fn write(&self, out: &mut EncodeBuf<'_>) {
        self.write_to(out);
    }
}

/// Reads a parcel whose frames `read` understands, by kind.
pub(crate) fn read_parcel<T>(
    parcel: Bytes,
    read: impl Fn(u8, &mut Reader) -> Result<T, Malformed>,
) -> Result<Incoming<T>, Malformed> {
    let input = &mut Reader::new(parcel);
    let version = input.u8()?;
    match input.u8()? {
        HELLO => {
            let hello = Hello::read(input)?;
            // A newer version may have more to say.
            Ok(Incoming::Hello(hello))
        }
        FRAMES => {
            let header = Header {
                version,
                forget: input.u64()?,
                first: input.u64()?,
            };
            let count = input.count(FRAME_HEAD)?;
            let mut frames = Vec::with_capacity(count.min(FRAMES_EXPECTED));
            for _ in 0..count {
                let kind = input.u8()?;
                let length = input.u32()? as usize;
                let body = &mut input.part(length)?;
                frames.push(read(kind, body)?);
                body.end()?;
            }
            input.end()?;
            Ok(Incoming::Frames(header, frames))
        }
        _ => Err(Malformed("neither a hello nor frames")),
    }
}
