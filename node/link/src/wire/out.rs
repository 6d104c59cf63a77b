//! Writing: the same code counts bytes and writes them.

use std::net::IpAddr;

use bytes::BufMut;

/// Takes bytes.
pub(crate) trait Out {
    /// Appends these.
    fn put(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    fn bytes(&mut self, value: &[u8]) {
        self.u32(length(value.len()));
        self.put(value);
    }

    fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    fn some_text(&mut self, value: Option<&str>) {
        self.bool(value.is_some());
        if let Some(value) = value {
            self.text(value);
        }
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => {
                self.u8(4);
                self.put(&v4.octets());
            }
            IpAddr::V6(v6) => {
                self.u8(6);
                self.put(&v6.octets());
            }
        }
    }
}

/// A length as it is written. What is queued is far smaller than 4 GiB, for a link refuses it
/// before.
pub(super) fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Counts what would be written.
pub(super) struct Counter(pub(super) usize);

impl Out for Counter {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

impl<B: BufMut> Out for B {
    fn put(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}
