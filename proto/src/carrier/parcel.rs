//! The parcels of `carrier.proto` without a copy: a codec that lets the frames write themselves
//! into the stream's own buffer, and gives what was received as one piece of it.
//!
//! On the wire this is exactly the message of the .proto: one field of bytes.

use bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// The frames of a parcel that is about to be sent.
pub trait Content: Send + Sync {
    /// How many bytes [`write`](Self::write) writes, exactly.
    fn size(&self) -> usize;

    /// Writes the frames.
    fn write(&self, out: &mut EncodeBuf<'_>);
}

/// One message of a link.
pub enum Parcel {
    /// What is to be sent.
    Outgoing(Box<dyn Content>),
    /// What was received: the content of the field.
    Incoming(Bytes),
}

/// Writes and reads [`Parcel`]s.
#[derive(Clone, Copy, Debug, Default)]
pub struct ParcelCodec;

impl Codec for ParcelCodec {
    type Encode = Parcel;
    type Decode = Parcel;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for ParcelCodec {
    type Item = Parcel;
    type Error = Status;

    fn encode(&mut self, parcel: Parcel, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let size = match &parcel {
            Parcel::Outgoing(content) => content.size(),
            Parcel::Incoming(bytes) => bytes.len(),
        };
        out.reserve(1 + VARINT_BYTES_MAX + size);
        out.put_u8(FIELD);
        put_varint(size as u64, out);
        match parcel {
            Parcel::Outgoing(content) => content.write(out),
            Parcel::Incoming(bytes) => out.put_slice(&bytes),
        }
        Ok(())
    }
}

impl Decoder for ParcelCodec {
    type Item = Parcel;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Parcel>, Status> {
        let whole = input.copy_to_bytes(input.remaining());
        let field = one_field(whole).ok_or_else(|| Status::invalid_argument("not a parcel"))?;
        Ok(Some(Parcel::Incoming(field)))
    }
}

/// The content of the only field of a message; an empty one may be left out, as protobuf has it.
fn one_field(mut message: Bytes) -> Option<Bytes> {
    if message.is_empty() {
        return Some(message);
    }
    if message.get_u8() != FIELD {
        return None;
    }
    let size = get_varint(&mut message)?;
    (size == message.len() as u64).then_some(message)
}

fn put_varint(mut value: u64, out: &mut impl BufMut) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn get_varint(input: &mut Bytes) -> Option<u64> {
    let mut value = 0;
    for shift in (0..VARINT_BYTES_MAX * 7).step_by(7) {
        if !input.has_remaining() {
            return None;
        }
        let byte = input.get_u8();
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Field 1, of bytes.
const FIELD: u8 = 1 << 3 | 2;

/// No parcel is larger than 2³⁵ bytes.
const VARINT_BYTES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: &[u8]) -> Vec<u8> {
        let mut out = vec![FIELD];
        put_varint(content.len() as u64, &mut out);
        out.extend_from_slice(content);
        out
    }

    #[test]
    fn the_field_of_a_message_is_found_whatever_its_size() {
        for size in [0, 1, 127, 128, 300, 16_383, 16_384, 70_000] {
            let content = vec![7; size];
            assert_eq!(
                one_field(message(&content).into()).unwrap(),
                content,
                "{size}"
            );
        }
        assert_eq!(one_field(Bytes::new()).unwrap(), Bytes::new());
    }

    #[test]
    fn what_is_not_that_message_is_refused() {
        let whole = message(&[1; 200]);
        for cut in 1..whole.len() {
            assert_eq!(one_field(Bytes::copy_from_slice(&whole[..cut])), None);
        }
        assert_eq!(one_field(Bytes::from_static(&[0x12, 0])), None);
        assert_eq!(
            one_field(Bytes::from_static(&[
                FIELD, 0xff, 0xff, 0xff, 0xff, 0xff, 0
            ])),
            None
        );
        let mut long = message(&[1]);
        long.push(0);
        assert_eq!(one_field(long.into()), None);
    }
}
