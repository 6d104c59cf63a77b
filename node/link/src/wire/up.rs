//! Frames from the node that dials: what its sessions and shards say to shards of the other node.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{
    AskId, Delivered, Kept, Origins, PeerFrame, Question, Receipt, SessionId, ShardId, ShardInput,
    SinkRef, ToShard,
};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Batch;

use super::ids::{SESSION, origin_size, read_origin, read_session, write_origin, write_session};
use super::out::{Counter, length};
use super::{Frame, Malformed, Out, Reader, batch, kept, question};

/// A frame for a shard.
#[derive(Clone)]
pub(crate) struct Up {
    /// Which shard.
    pub shard: ShardId,
    /// By what its sender knows it until it is settled; 0 where it does not wait for that.
    pub token: u64,
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
    /// A session that an earlier owner has bound.
    Announce(Announced),
    /// All sessions have been announced.
    AllAnnounced,
    /// The frame of that number was not taken by its session.
    NotTaken(u64),
    /// What follows for the shard begins anew, and is for its owner in this epoch.
    Again(u32),
    /// The shard has another owner: whatever this one has settled is to be told before the answer.
    Fence,
}

/// A session as its node knows it.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    /// Which.
    pub session: SessionId,
    /// The round whose deliveries it takes.
    pub round: u32,
    /// Its full JID.
    pub jid: Arc<Jid>,
    /// Where its client connects from.
    pub address: IpAddr,
    /// What an owner wanted remembered.
    pub state: Bytes,
    /// What is kept of a stream that can be resumed.
    pub kept: Option<Box<Kept>>,
}

/// What a session's client has not got.
#[derive(Debug)]
pub(crate) struct LeftBehind {
    session: SessionId,
    jid: Arc<Jid>,
    delivered: Delivered,
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
        token: u64,
        from: Arc<Jid>,
        sequence: u64,
        batch: Batch,
    },
    /// A word about a session, with a number: a token, or how many it has acknowledged.
    About {
        shard: ShardId,
        word: About,
        session: SessionId,
        number: u64,
        jid: Arc<Jid>,
    },
    Left(ShardId, u64, Box<LeftBehind>),
    Peer {
        shard: ShardId,
        token: u64,
        frame: PeerFrame,
    },
    Announce {
        shard: ShardId,
        announced: Announced,
    },
    AllAnnounced(ShardId),
    NotTaken(u64),
    Again(ShardId, u32),
    Fence(ShardId),
}

/// What is said about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// It is over.
    Closed,
    /// No node serves it.
    Detached,
    /// Its client has got so many.
    Acked,
}

/// What is said to the link itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ToLink {
    /// The frame of that number was not taken by its session.
    NotTaken(u64),
    /// What follows for the shard is for its owner in this epoch.
    Again(ShardId, u32),
    /// What was settled for the shard is to be told.
    Fence(ShardId),
}

const ASK: u8 = 1;
const STANZAS: u8 = 2;
const CLOSED: u8 = 3;
const PEER: u8 = 4;
const NOT_TAKEN: u8 = 5;
const AGAIN: u8 = 6;
const ANNOUNCE: u8 = 7;
const FENCE: u8 = 8;
const ALL_ANNOUNCED: u8 = 9;
const LEFT: u8 = 10;
// Since version 3.
const ACKED: u8 = 11;
const DETACHED: u8 = 12;
const ANNOUNCE_KEPT: u8 = 13;
const LEFT_NUMBERED: u8 = 14;

impl Frame for Up {
    fn write(&self, out: &mut impl Out) {
        match &self.body {
            UpBody::Session(ToShard::Stanzas {
                session,
                from,
                sequence,
                batch,
                ..
            }) => {
                let text = from.as_str();
                out.u8(STANZAS);
                out.u32(length(
                    2 + SESSION + 8 + 4 + text.len() + 8 + batch::size(batch),
                ));
                out.u16(self.shard.0);
                write_session(*session, out);
                out.u64(self.token);
                out.text(text);
                out.u64(*sequence);
                batch::write(batch, out);
            }
            UpBody::Peer(frame) => self.write_peer(frame, out),
            UpBody::Announce(announced) => self.write_announced(announced, out),
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
            UpBody::Session(ToShard::Closed { session, jid, .. }) => {
                self.write_about(CLOSED, *session, self.token, jid, out);
            }
            UpBody::Session(ToShard::Detached { session, jid, .. }) => {
                self.write_about(DETACHED, *session, self.token, jid, out);
            }
            UpBody::Session(ToShard::Acked {
                session,
                jid,
                acked,
            }) => self.write_about(ACKED, *session, *acked, jid, out),
            UpBody::Session(ToShard::Left {
                session,
                jid,
                delivered,
            }) => self.write_left(*session, jid, delivered, out),
            // Sessions are announced by their node's own hand.
            UpBody::Session(ToShard::Announce { .. }) => {}
            UpBody::NotTaken(number) => {
                out.u8(NOT_TAKEN);
                out.u32(8);
                out.u64(*number);
            }
            UpBody::AllAnnounced => self.write_word(ALL_ANNOUNCED, out),
            UpBody::Again(epoch) => {
                out.u8(AGAIN);
                out.u32(2 + 4);
                out.u16(self.shard.0);
                out.u32(*epoch);
            }
            UpBody::Fence => self.write_word(FENCE, out),
        }
    }
}

impl Up {
    /// A frame that has no token yet.
    pub(crate) fn new(shard: ShardId, body: UpBody) -> Self {
        Self {
            shard,
            token: 0,
            body,
        }
    }

    /// A word about a session, with a number.
    fn write_about(
        &self,
        kind: u8,
        session: SessionId,
        number: u64,
        jid: &Jid,
        out: &mut impl Out,
    ) {
        let text = jid.as_str();
        out.u8(kind);
        out.u32(length(2 + SESSION + 8 + 4 + text.len()));
        out.u16(self.shard.0);
        write_session(session, out);
        out.u64(number);
        out.text(text);
    }

    fn write_peer(&self, frame: &PeerFrame, out: &mut impl Out) {
        let (from, to) = (frame.from.as_str(), frame.to.as_str());
        out.u8(PEER);
        out.u32(length(
            2 + 8
                + 4
                + from.len()
                + 4
                + to.len()
                + origin_size(frame.origin)
                + batch::size(&frame.batch),
        ));
        out.u16(self.shard.0);
        out.u64(self.token);
        out.text(from);
        out.text(to);
        write_origin(frame.origin, out);
        batch::write(&frame.batch, out);
    }

    fn write_left(&self, session: SessionId, jid: &Jid, left: &Delivered, out: &mut impl Out) {
        let text = jid.as_str();
        if left.number != 0 {
            out.u8(LEFT_NUMBERED);
            let size = 2 + SESSION + 8 + 4 + text.len() + kept::numbered_size(left);
            out.u32(length(size));
            out.u16(self.shard.0);
            write_session(session, out);
            out.u64(self.token);
            out.text(text);
            return kept::write_numbered(left, out);
        }
        let origins = || (0..left.batch.recs.len()).map(|at| left.origins.at(at));
        let origins_bytes: usize = origins().map(origin_size).sum();
        out.u8(LEFT);
        out.u32(length(
            2 + SESSION + 8 + 4 + text.len() + 8 + batch::size(&left.batch) + origins_bytes,
        ));
        out.u16(self.shard.0);
        write_session(session, out);
        out.u64(self.token);
        out.text(text);
        out.u64(left.arrival);
        batch::write(&left.batch, out);
        origins().for_each(|origin| write_origin(origin, out));
    }

    fn write_announced(&self, announced: &Announced, out: &mut impl Out) {
        let text = announced.jid.as_str();
        let mut address = Counter(0);
        address.address(announced.address);
        let kept = announced.kept.as_deref();
        out.u8(kept.map_or(ANNOUNCE, |_| ANNOUNCE_KEPT));
        let size = 2 + SESSION + 4 + 4 + text.len() + address.0 + 4 + announced.state.len();
        out.u32(length(size + kept.map_or(0, kept::size)));
        out.u16(self.shard.0);
        write_session(announced.session, out);
        out.u32(announced.round);
        out.text(text);
        out.address(announced.address);
        out.bytes(&announced.state);
        if let Some(kept) = kept {
            kept::write(kept, out);
        }
    }

    fn write_word(&self, kind: u8, out: &mut impl Out) {
        out.u8(kind);
        out.u32(2);
        out.u16(self.shard.0);
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
                token: input.u64()?,
                from: input.shared_jid()?,
                sequence: input.u64()?,
                batch: batch::read(input)?,
            }),
            PEER => Ok(Self::Peer {
                shard,
                token: input.u64()?,
                frame: PeerFrame {
                    from: input.shared_jid()?,
                    to: input.shared_jid()?,
                    origin: read_origin(input)?,
                    batch: batch::read(input)?,
                    receipt: None,
                },
            }),
            ASK => Ok(Self::Ask {
                shard,
                session: read_session(input)?,
                ask: AskId(input.u32()?),
                question: question::read(input)?,
            }),
            CLOSED | DETACHED | ACKED => Ok(Self::About {
                shard,
                word: match kind {
                    CLOSED => About::Closed,
                    DETACHED => About::Detached,
                    _ => About::Acked,
                },
                session: read_session(input)?,
                number: input.u64()?,
                jid: input.shared_jid()?,
            }),
            LEFT | LEFT_NUMBERED => {
                let session = read_session(input)?;
                let token = input.u64()?;
                let left = LeftBehind::read(session, kind, input)?;
                Ok(Self::Left(shard, token, Box::new(left)))
            }
            ANNOUNCE | ANNOUNCE_KEPT => Ok(Self::Announce {
                shard,
                announced: Announced {
                    session: read_session(input)?,
                    round: input.u32()?,
                    jid: input.shared_jid()?,
                    address: input.address()?,
                    state: input.bytes()?,
                    kept: match kind {
                        ANNOUNCE_KEPT => Some(Box::new(kept::read(input)?)),
                        _ => None,
                    },
                },
            }),
            ALL_ANNOUNCED => Ok(Self::AllAnnounced(shard)),
            AGAIN => Ok(Self::Again(shard, input.u32()?)),
            FENCE => Ok(Self::Fence(shard)),
            _ => Err(Malformed("no such kind of frame for a shard")),
        }
    }

    /// What the shard is told by this node. `sink` is the way to a session, in the round of an announcement;
    /// `receipt` belongs to a frame that its sender keeps. `Err` is said to the link.
    pub(crate) fn into_input(
        self,
        node: u32,
        sink: impl FnOnce(ShardId, SessionId, Option<&Announced>) -> SinkRef,
        receipt: impl FnOnce(ShardId, u64) -> Option<Receipt>,
    ) -> Result<(ShardId, ShardInput), ToLink> {
        let (shard, input) = match self {
            Self::Ask {
                shard,
                session,
                ask,
                question,
            } => {
                let from = sink(shard, session, None);
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
                token,
                from,
                sequence,
                batch,
            } => {
                let stanzas = ToShard::Stanzas {
                    session,
                    from,
                    sequence,
                    batch,
                    receipt: receipt(shard, token),
                };
                (shard, ShardInput::Session(stanzas))
            }
            Self::About {
                shard,
                word,
                session,
                number,
                jid,
            } => {
                let said = word.into_frame(session, jid, number, |token| receipt(shard, token));
                (shard, ShardInput::Session(said))
            }
            Self::Left(shard, token, left) => (shard, left.into_input(receipt(shard, token))),
            Self::Announce { shard, announced } => {
                let from = sink(shard, announced.session, Some(&announced));
                (shard, ShardInput::Session(announced.into_frame(from)))
            }
            Self::Peer {
                shard,
                token,
                mut frame,
            } => {
                frame.receipt = receipt(shard, token);
                (shard, ShardInput::Peer(frame))
            }
            Self::AllAnnounced(shard) => (shard, ShardInput::AllAnnounced(node)),
            Self::NotTaken(number) => return Err(ToLink::NotTaken(number)),
            Self::Again(shard, epoch) => return Err(ToLink::Again(shard, epoch)),
            Self::Fence(shard) => return Err(ToLink::Fence(shard)),
        };
        Ok((shard, input))
    }
}

impl Announced {
    /// What the shard is told, with the way to the session.
    pub(crate) fn into_frame(self, from: SinkRef) -> ToShard {
        ToShard::Announce {
            from,
            jid: self.jid,
            address: self.address,
            state: self.state,
            kept: self.kept,
        }
    }
}

fn read_left(input: &mut Reader) -> Result<Delivered, Malformed> {
    let arrival = input.u64()?;
    let batch = batch::read(input)?;
    let origins = batch.recs.iter().map(|_| read_origin(input));
    let origins = Origins::Each(origins.collect::<Result<_, _>>()?);
    Ok(Delivered {
        origins,
        arrival,
        ..Delivered::from(batch)
    })
}

impl LeftBehind {
    fn read(session: SessionId, kind: u8, input: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            session,
            jid: input.shared_jid()?,
            delivered: match kind {
                LEFT_NUMBERED => kept::read_numbered(input)?,
                _ => read_left(input)?,
            },
        })
    }

    fn into_input(mut self, receipt: Option<Receipt>) -> ShardInput {
        self.delivered.receipt = receipt;
        ShardInput::Session(ToShard::Left {
            session: self.session,
            jid: self.jid,
            delivered: Box::new(self.delivered),
        })
    }
}

impl About {
    fn into_frame(
        self,
        session: SessionId,
        jid: Arc<Jid>,
        number: u64,
        receipt: impl FnOnce(u64) -> Option<Receipt>,
    ) -> ToShard {
        match self {
            Self::Closed => ToShard::Closed {
                session,
                jid,
                receipt: receipt(number),
            },
            Self::Detached => ToShard::Detached {
                session,
                jid,
                receipt: receipt(number),
            },
            Self::Acked => ToShard::Acked {
                session,
                jid,
                acked: number,
            },
        }
    }
}
