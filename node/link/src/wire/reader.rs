//! Reading: every step is held against what is left.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use rookery_xmpp::jid::Jid;

use super::Malformed;

/// What is left of a parcel, or of a frame in it.
pub(crate) struct Reader {
    rest: Bytes,
    /// The size of the parcel that a slice would keep in memory.
    whole: usize,
}

impl Reader {
    /// Reads a parcel.
    pub(crate) fn new(parcel: Bytes) -> Self {
        let whole = parcel.len();
        Self {
            rest: parcel,
            whole,
        }
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// A part as a reader of its own.
    pub(super) fn part(&mut self, length: usize) -> Result<Self, Malformed> {
        let rest = self.take(length)?;
        Ok(Self {
            rest,
            whole: self.whole,
        })
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        match self.left() {
            0 => Ok(()),
            _ => Err(Malformed("bytes behind a frame")),
        }
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.left() {
            return Err(Malformed("cut short"));
        }
        Ok(self.rest.split_to(length))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let array = *self.rest.first_chunk::<N>().ok_or(Malformed("cut short"))?;
        self.rest.advance(N);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("neither true nor false")),
        }
    }

    /// A number of things that have at least `size` bytes each.
    pub(super) fn count(&mut self, size: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        if count.saturating_mul(size) > self.left() {
            return Err(Malformed("more things than bytes"));
        }
        Ok(count)
    }

    /// A slice of the parcel; a copy where it would keep far more than itself in memory.
    pub(super) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let length = self.u32()? as usize;
        self.payload(length)
    }

    /// As [`bytes`](Self::bytes), of a known length.
    pub(super) fn payload(&mut self, length: usize) -> Result<Bytes, Malformed> {
        let slice = self.take(length)?;
        let shared = self.whole <= SHARED_PARCEL_MAX || slice.len() >= self.whole / SHARE_MIN;
        Ok(match shared {
            true => slice,
            false => Bytes::copy_from_slice(&slice),
        })
    }

    pub(super) fn octets(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = self.u32()? as usize;
        Ok(self.take(length)?.to_vec())
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.octets()?).map_err(|_| Malformed("not UTF-8"))
    }

    pub(super) fn some_text(&mut self) -> Result<Option<String>, Malformed> {
        self.bool()?.then(|| self.text()).transpose()
    }

    pub(super) fn jid(&mut self) -> Result<Jid, Malformed> {
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Malformed("not UTF-8"))?;
        Jid::parse(text).map_err(|_| Malformed("not an address"))
    }

    pub(super) fn shared_jid(&mut self) -> Result<Arc<Jid>, Malformed> {
        self.jid().map(Arc::new)
    }

    pub(super) fn address(&mut self) -> Result<IpAddr, Malformed> {
        match self.u8()? {
            4 => Ok(IpAddr::from(self.array::<4>()?)),
            6 => Ok(IpAddr::from(self.array::<16>()?)),
            _ => Err(Malformed("no such address family")),
        }
    }
}

/// Parcels up to this size, in bytes, are kept for any slice of them.
const SHARED_PARCEL_MAX: usize = 16_384;

/// Larger ones are kept for a slice that is at least this part of them.
const SHARE_MIN: usize = 8;
