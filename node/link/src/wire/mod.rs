//! The bytes between nodes.
//!
//! ```text
//! parcel = version u8, 0, hello                                    the first of each direction
//!        | version u8, 1, forget u64, first u64, count u32, frame*  all others
//! frame  = kind u8, length u32, body
//! batch  = records u32, bytes u32, record* (26 bytes each), the stanzas behind one another
//! text   = length u32, UTF-8
//! ```
//!
//! Numbers are little endian. Frames of stanzas are written for speed; questions and answers are
//! rare, and written to be read. Every length is held against what is left before anything is
//! allocated for it. Slices of a parcel keep the whole of it in memory, so a batch that is a small
//! part of a large parcel is copied.

mod answer;
mod batch;
mod down;
mod errors;
mod hello;
mod ids;
mod kept;
mod needs;
mod out;
mod parcel;
mod question;
mod reader;
#[cfg(test)]
mod tests;
mod up;

pub(crate) use answer::since as answer_since;
pub(crate) use down::{Down, DownBody, DownIn, WRONG_PASSWORD_SINCE};
pub(crate) use hello::Hello;
pub(crate) use out::Out;
pub(crate) use parcel::{Header, Incoming, Outgoing, read_parcel};
pub(crate) use reader::Reader;
pub(crate) use up::{Announced, ToLink, Up, UpBody, UpIn};

/// The newest form of the protocol that this build speaks.
pub const VERSION: u8 = 7;

/// The oldest form that this build speaks: the one of the build before.
pub const VERSION_OLDEST: u8 = 2;

/// What a peer sent is not of this protocol: it is broken, or another version than it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed parcel: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A frame that is kept elsewhere, too.
impl<F: Frame> Frame for std::sync::Arc<F> {
    fn write(&self, out: &mut impl Out) {
        F::write(self, out);
    }
}

/// A frame that writes itself.
pub(crate) trait Frame: Send + Sync + 'static {
    /// Writes kind, length and body.
    fn write(&self, out: &mut impl Out);

    /// How many bytes that is.
    fn size(&self) -> usize {
        let mut counter = out::Counter(0);
        self.write(&mut counter);
        counter.0
    }
}
