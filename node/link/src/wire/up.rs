//! Frames from the node that dials: what its sessions and shards say to shards of the other node.

use std::sync::Arc;

use rookery_session::carrier::{
    AskId, PeerFrame, Question, SessionId, ShardId, ShardInput, SinkRef, ToShard,
};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Batch;

use super::out::{Counter, length};
use super::{Frame, Malformed, Out, Reader, batch, question};

/// A frame for a shard.
#[derive(Clone)]
pub(crate) struct Up {
    /// Which shard.
    pub shard: ShardId,
    /// What it is told.
    pub body: UpBody,
}

/// What a shard, or the link itself, is told.
#[derive(Clone)]
pub(crate) enum UpBody {
    /// By a session.
    Session(ToShard),
    /// By another shard.
    Peer(PeerFrame),
    /// The frame of that number was not taken by its session.
    NotTaken(u64),
    /// All that was given back for the shard has come: what follows is to be taken again.
    Again,
}

/// A frame as it arrives: who asks is known by its id only.
#[derive(Debug)]
pub(crate) enum UpIn {
    Ask {
        shard: ShardId,
        session: SessionId,
        ask: AskId,
        question: Question,
    },
    Stanzas {
        shard: ShardId,
        session: SessionId,
        from: Arc<Jid>,
        sequence: u64,
        batch: Batch,
    },
    Closed {
        shard: ShardId,
        session: SessionId,
        jid: Arc<Jid>,
    },
    Peer {
        shard: ShardId,
        frame: PeerFrame,
    },
    NotTaken(u64),
    Again(ShardId),
}

/// What is said to the link itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ToLink {
    /// The frame of that number was not taken by its session.
    NotTaken(u64),
    /// What follows for the shard is to be taken again.
    Again(ShardId),
}

const ASK: u8 = 1;
const STANZAS: u8 = 2;
const CLOSED: u8 = 3;
const PEER: u8 = 4;
const NOT_TAKEN: u8 = 5;
const AGAIN: u8 = 6;

impl Frame for Up {
    fn write(&self, out: &mut impl Out) {
        match &self.body {
            UpBody::Session(ToShard::Stanzas {
                session,
                from,
                sequence,
                batch,
            }) => {
                let text = from.as_str();
                out.u8(STANZAS);
                out.u32(length(
                    2 + SESSION + 4 + text.len() + 8 + batch::size(batch),
                ));
                out.u16(self.shard.0);
                write_session(*session, out);
                out.text(text);
                out.u64(*sequence);
                batch::write(batch, out);
            }
            UpBody::Peer(PeerFrame { from, to, batch }) => {
                let (from, to) = (from.as_str(), to.as_str());
                out.u8(PEER);
                out.u32(length(
                    2 + 4 + from.len() + 4 + to.len() + batch::size(batch),
                ));
                out.u16(self.shard.0);
                out.text(from);
                out.text(to);
                batch::write(batch, out);
            }
            UpBody::Session(ToShard::Ask {
                from,
                ask,
                question,
            }) => {
                let mut body = Counter(0);
                question::write(question, &mut body);
                out.u8(ASK);
                out.u32(length(2 + SESSION + 4 + body.0));
                out.u16(self.shard.0);
                write_session(from.session(), out);
                out.u32(ask.0);
                question::write(question, out);
            }
            UpBody::Session(ToShard::Closed { session, jid }) => {
                let text = jid.as_str();
                out.u8(CLOSED);
                out.u32(length(2 + SESSION + 4 + text.len()));
                out.u16(self.shard.0);
                write_session(*session, out);
                out.text(text);
            }
            UpBody::NotTaken(number) => {
                out.u8(NOT_TAKEN);
                out.u32(8);
                out.u64(*number);
            }
            UpBody::Again => {
                out.u8(AGAIN);
                out.u32(2);
                out.u16(self.shard.0);
            }
        }
    }
}

impl UpIn {
    /// Reads a frame of that kind.
    pub(crate) fn read(kind: u8, input: &mut Reader) -> Result<Self, Malformed> {
        if kind == NOT_TAKEN {
            return Ok(Self::NotTaken(input.u64()?));
        }
        let shard = ShardId(input.u16()?);
        match kind {
            STANZAS => Ok(Self::Stanzas {
                shard,
                session: read_session(input)?,
                from: input.shared_jid()?,
                sequence: input.u64()?,
                batch: batch::read(input)?,
            }),
            PEER => Ok(Self::Peer {
                shard,
                frame: PeerFrame {
                    from: input.shared_jid()?,
                    to: input.shared_jid()?,
                    batch: batch::read(input)?,
                },
            }),
            ASK => Ok(Self::Ask {
                shard,
                session: read_session(input)?,
                ask: AskId(input.u32()?),
                question: question::read(input)?,
            }),
            CLOSED => Ok(Self::Closed {
                shard,
                session: read_session(input)?,
                jid: input.shared_jid()?,
            }),
            AGAIN => Ok(Self::Again(shard)),
            _ => Err(Malformed("no such kind of frame for a shard")),
        }
    }

    /// What the shard is told, by the session of that sink; `Err` is said to the link.
    pub(crate) fn into_input(
        self,
        sink: impl FnOnce(SessionId) -> SinkRef,
    ) -> Result<(ShardId, ShardInput), ToLink> {
        let (shard, input) = match self {
            Self::Ask {
                shard,
                session,
                ask,
                question,
            } => {
                let from = sink(session);
                let ask = ToShard::Ask {
                    from,
                    ask,
                    question,
                };
                (shard, ShardInput::Session(ask))
            }
            Self::Stanzas {
                shard,
                session,
                from,
                sequence,
                batch,
            } => {
                let stanzas = ToShard::Stanzas {
                    session,
                    from,
                    sequence,
                    batch,
                };
                (shard, ShardInput::Session(stanzas))
            }
            Self::Closed {
                shard,
                session,
                jid,
            } => (shard, ShardInput::Session(ToShard::Closed { session, jid })),
            Self::Peer { shard, frame } => (shard, ShardInput::Peer(frame)),
            Self::NotTaken(number) => return Err(ToLink::NotTaken(number)),
            Self::Again(shard) => return Err(ToLink::Again(shard)),
        };
        Ok((shard, input))
    }
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
