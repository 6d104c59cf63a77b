//! How a link begins, and begins again.

use super::{Malformed, Out, Reader};

/// What each side says first. Its form is the same in every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The newest version that the node speaks.
    pub newest: u8,
    /// The oldest one.
    pub oldest: u8,
    /// Who speaks.
    pub from: u32,
    /// To whom: a node that another one's address leads to must notice.
    pub to: u32,
    /// Which life of the speaker this is; grows with every start.
    pub life: u64,
    /// Which link: the dialling side counts them.
    pub link: u64,
    /// From the accepting side: whether it knows this link. If not, a new one begins.
    pub resumed: bool,
    /// The number up to which frames have arrived: they are not sent again.
    pub received: u64,
    /// The number up to which frames can be forgotten.
    pub forget: u64,
}

impl Hello {
    pub(super) fn write(&self, out: &mut impl Out) {
        out.u8(self.newest);
        out.u8(self.oldest);
        out.u32(self.from);
        out.u32(self.to);
        out.u64(self.life);
        out.u64(self.link);
        out.bool(self.resumed);
        out.u64(self.received);
        out.u64(self.forget);
    }

    pub(super) fn read(input: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            newest: input.u8()?,
            oldest: input.u8()?,
            from: input.u32()?,
            to: input.u32()?,
            life: input.u64()?,
            link: input.u64()?,
            resumed: input.bool()?,
            received: input.u64()?,
            forget: input.u64()?,
        })
    }

    /// The version that both sides speak.
    pub(crate) fn common(&self, newest: u8, oldest: u8) -> Option<u8> {
        let version = self.newest.min(newest);
        (version >= self.oldest.max(oldest)).then_some(version)
    }
}
