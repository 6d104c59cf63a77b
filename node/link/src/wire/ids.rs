//! Sessions, and whose stanzas are whose.

use rookery_session::carrier::{Origin, SessionId};

use super::{Malformed, Out, Reader};

/// Bytes of an origin.
pub(super) fn origin_size(origin: Option<Origin>) -> usize {
    1 + origin.map_or(0, |_| SESSION + 8)
}

pub(super) fn write_origin(origin: Option<Origin>, out: &mut impl Out) {
    out.bool(origin.is_some());
    if let Some(Origin { session, sequence }) = origin {
        write_session(session, out);
        out.u64(sequence);
    }
}

pub(super) fn read_origin(input: &mut Reader) -> Result<Option<Origin>, Malformed> {
    if !input.bool()? {
        return Ok(None);
    }
    Ok(Some(Origin {
        session: read_session(input)?,
        sequence: input.u64()?,
    }))
}

/// Bytes of a session's id.
pub(super) const SESSION: usize = 12;

pub(super) fn write_session(session: SessionId, out: &mut impl Out) {
    out.u32(session.node);
    out.u64(session.serial);
}

pub(super) fn read_session(input: &mut Reader) -> Result<SessionId, Malformed> {
    Ok(SessionId {
        node: input.u32()?,
        serial: input.u64()?,
    })
}
