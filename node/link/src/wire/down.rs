//! Frames from the node that was dialled: what its shards say to sessions of the other node, and
//! what became of frames.

use std::sync::Arc;

use rookery_session::carrier::{AskId, Delivered, Origins, SessionId, ShardId, ToSession};
use rookery_xmpp::jid::Jid;

use super::ids::{SESSION, origin_size, read_origin, read_session, write_origin, write_session};
use super::out::{Counter, length};
use super::{Frame, Malformed, Out, Reader, answer, batch, errors, kept};
use crate::ticket::Ticket;

/// A frame for a session, or for the link itself.
#[derive(Clone)]
pub(crate) struct Down {
    pub body: DownBody,
}

/// What a session, or the link, is told.
#[derive(Clone)]
pub(crate) enum DownBody {
    /// By its shard.
    Session {
        session: SessionId,
        /// Counts how often the session did not take something: what was sent before its shard
        /// heard of that is not taken either, so that stanzas stay in order.
        round: u32,
        /// Its address, for what comes back; not on the wire.
        jid: Option<Arc<Jid>>,
        /// In which epoch its shard says so, where that is known; not on the wire.
        epoch: Option<u32>,
        /// For a shard that keeps the stanzas until they are taken; not on the wire.
        ticket: Option<Ticket>,
        frame: ToSession,
    },
    /// The node does not own the shard, by the map of this version: everything for it is dropped
    /// until its sender begins anew.
    NotMine(ShardId, u64),
    /// The frame of that number waits for its shard, which is full: nothing more for it.
    Held(u64),
    /// All that waited for that shard was taken.
    Room(ShardId),
    /// These frames have been dealt with.
    Settled(Vec<(ShardId, u64)>),
    /// Whatever was settled for the shard has been told.
    Fenced(ShardId),
}

impl Down {
    /// The session that is told that it ends.
    pub(crate) fn ended(&self) -> Option<SessionId> {
        match &self.body {
            DownBody::Session {
                session,
                frame: ToSession::Close(_),
                ..
            } => Some(*session),
            _ => None,
        }
    }

    /// The session that is given stanzas.
    pub(crate) fn delivers_to(&self) -> Option<SessionId> {
        match &self.body {
            DownBody::Session {
                session,
                frame: ToSession::Deliver(_),
                ..
            } => Some(*session),
            _ => None,
        }
    }
}

/// A frame as it arrives.
#[derive(Debug)]
pub(crate) enum DownIn {
    Session {
        session: SessionId,
        round: u32,
        frame: ToSession,
    },
    NotMine(ShardId, u64),
    Held(u64),
    Room(ShardId),
    Settled(Vec<(ShardId, u64)>),
    Fenced(ShardId),
}

const DELIVER: u8 = 64;
const ANSWER: u8 = 65;
const CLOSE: u8 = 66;
const NOT_MINE: u8 = 67;
const HELD: u8 = 68;
const ROOM: u8 = 69;
const SETTLED: u8 = 70;
const FENCED: u8 = 71;
const REMEMBER: u8 = 72;
const DELIVER_LOGGED: u8 = 73;
/// Since version 3, to sessions that have asked for it.
const DELIVER_NUMBERED: u8 = 74;
/// Since version 6.
const WRONG_PASSWORD: u8 = 75;

/// The first version that knows of wrong passwords: whoever serves a session in an earlier one is told as it ends.
pub(crate) const WRONG_PASSWORD_SINCE: u8 = 6;

/// Bytes of a settled frame: its shard, its token.
const SETTLED_BYTES: usize = 2 + 8;

impl Frame for Down {
    fn write(&self, out: &mut impl Out) {
        match &self.body {
            DownBody::Session {
                session,
                round,
                frame,
                ..
            } => write_for_session(*session, *round, frame, out),
            DownBody::NotMine(shard, version) => {
                out.u8(NOT_MINE);
                out.u32(10);
                out.u16(shard.0);
                out.u64(*version);
            }
            DownBody::Settled(frames) => {
                out.u8(SETTLED);
                out.u32(length(4 + frames.len() * SETTLED_BYTES));
                out.u32(length(frames.len()));
                for (shard, token) in frames {
                    out.u16(shard.0);
                    out.u64(*token);
                }
            }
            DownBody::Fenced(shard) => {
                out.u8(FENCED);
                out.u32(2);
                out.u16(shard.0);
            }
            DownBody::Held(number) => {
                out.u8(HELD);
                out.u32(8);
                out.u64(*number);
            }
            DownBody::Room(shard) => {
                out.u8(ROOM);
                out.u32(2);
                out.u16(shard.0);
            }
        }
    }
}

fn write_for_session(session: SessionId, round: u32, frame: &ToSession, out: &mut impl Out) {
    match frame {
        ToSession::Deliver(delivered) if delivered.number != 0 => {
            out.u8(DELIVER_NUMBERED);
            out.u32(length(SESSION + 4 + kept::numbered_size(delivered)));
            write_session(session, out);
            out.u32(round);
            kept::write_numbered(delivered, out);
        }
        ToSession::Deliver(delivered) => {
            let Delivered { batch, origins, .. } = delivered;
            let (kind, named) = match origins {
                Origins::Each(_) => (DELIVER_LOGGED, batch.recs.len()),
                Origins::None | Origins::Run(_) => (DELIVER, 1),
            };
            let size: usize = (0..named).map(|at| origin_size(origins.at(at))).sum();
            out.u8(kind);
            out.u32(length(SESSION + 4 + batch::size(batch) + size));
            write_session(session, out);
            out.u32(round);
            batch::write(batch, out);
            (0..named).for_each(|at| write_origin(origins.at(at), out));
        }
        ToSession::Remember(state) => {
            out.u8(REMEMBER);
            out.u32(length(SESSION + 4 + 4 + state.len()));
            write_session(session, out);
            out.u32(round);
            out.bytes(state);
        }
        ToSession::Answer { ask, answer } => {
            let mut body = Counter(0);
            answer::write(answer, &mut body);
            out.u8(ANSWER);
            out.u32(length(SESSION + 4 + body.0));
            write_session(session, out);
            out.u32(ask.0);
            answer::write(answer, out);
        }
        ToSession::WrongPassword => {
            out.u8(WRONG_PASSWORD);
            out.u32(length(SESSION));
            write_session(session, out);
        }
        ToSession::Close(error) => {
            let mut body = Counter(0);
            errors::write_stream_error(error, &mut body);
            out.u8(CLOSE);
            out.u32(length(SESSION + body.0));
            write_session(session, out);
            errors::write_stream_error(error, out);
        }
    }
}

impl DownIn {
    /// Reads a frame of that kind.
    pub(crate) fn read(kind: u8, input: &mut Reader) -> Result<Self, Malformed> {
        match kind {
            DELIVER | DELIVER_LOGGED => Ok(Self::Session {
                session: read_session(input)?,
                round: input.u32()?,
                frame: ToSession::Deliver(read_delivered(kind, input)?),
            }),
            DELIVER_NUMBERED => Ok(Self::Session {
                session: read_session(input)?,
                round: input.u32()?,
                frame: ToSession::Deliver(kept::read_numbered(input)?),
            }),
            REMEMBER => Ok(Self::Session {
                session: read_session(input)?,
                round: input.u32()?,
                frame: ToSession::Remember(input.bytes()?),
            }),
            ANSWER => Ok(Self::Session {
                session: read_session(input)?,
                round: 0,
                frame: ToSession::Answer {
                    ask: AskId(input.u32()?),
                    answer: answer::read(input)?,
                },
            }),
            WRONG_PASSWORD => Ok(Self::Session {
                session: read_session(input)?,
                round: 0,
                frame: ToSession::WrongPassword,
            }),
            CLOSE => Ok(Self::Session {
                session: read_session(input)?,
                round: 0,
                frame: ToSession::Close(errors::read_stream_error(input)?),
            }),
            NOT_MINE => Ok(Self::NotMine(ShardId(input.u16()?), input.u64()?)),
            SETTLED => {
                let count = input.count(SETTLED_BYTES)?;
                let frame = |_| Ok((ShardId(input.u16()?), input.u64()?));
                Ok(Self::Settled(
                    (0..count).map(frame).collect::<Result<_, _>>()?,
                ))
            }
            FENCED => Ok(Self::Fenced(ShardId(input.u16()?))),
            HELD => Ok(Self::Held(input.u64()?)),
            ROOM => Ok(Self::Room(ShardId(input.u16()?))),
            _ => Err(Malformed("no such kind of frame for a session")),
        }
    }
}

/// Stanzas, and where they come from: one run of them, or each for itself as they lay in a log.
fn read_delivered(kind: u8, input: &mut Reader) -> Result<Delivered, Malformed> {
    let batch = batch::read(input)?;
    let origins = match kind {
        DELIVER_LOGGED => {
            let each = batch.recs.iter().map(|_| read_origin(input));
            Origins::Each(each.collect::<Result<_, _>>()?)
        }
        _ => read_origin(input)?.into(),
    };
    Ok(Delivered {
        origins,
        ..Delivered::from(batch)
    })
}
