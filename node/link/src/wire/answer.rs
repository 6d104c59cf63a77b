//! Answers of shards.

use std::sync::Arc;

use rookery_session::carrier::{
    AccountSummary, AdminAnswer, Answer, Barred, Resumed, SessionSummary,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::scram::{Credentials, Hash, ScramKeys};

use super::out::length;
use super::{Malformed, Out, Reader, errors, kept};

pub(super) fn write(answer: &Answer, out: &mut impl Out) {
    match answer {
        Answer::Credentials(None) => out.u8(0),
        Answer::Credentials(Some(credentials)) => {
            out.u8(1);
            write_credentials(credentials, out);
        }
        Answer::Barred(credentials, why) => {
            out.u8(12);
            out.u8(match why {
                Barred::AwaitsApproval => 0,
                Barred::Leaves => 1,
            });
            write_credentials(credentials, out);
        }
        Answer::Bound(jid) => {
            out.u8(2);
            out.text(jid.as_str());
        }
        Answer::Iq(iq) => {
            out.u8(3);
            out.bytes(iq);
        }
        Answer::Refused(error) => {
            out.u8(4);
            errors::write_stanza_error(error, out);
        }
        Answer::Unavailable => out.u8(5),
        Answer::Enabled { id, max_s } => {
            out.u8(6);
            out.text(id);
            out.u32(*max_s);
        }
        Answer::Resumed(resumed) => {
            out.u8(7);
            out.text(resumed.jid.as_str());
            out.text(&resumed.id);
            out.u32(resumed.max_s);
            out.u32(resumed.h);
            out.u64(resumed.acked);
            kept::write_seen(&resumed.seen, out);
        }
        Answer::NotResumed { h } => {
            out.u8(8);
            out.bool(h.is_some());
            out.u32(h.unwrap_or_default());
        }
        Answer::Admin(answer) => write_admin(answer, out),
    }
}

fn write_admin(answer: &AdminAnswer, out: &mut impl Out) {
    match answer {
        AdminAnswer::Done => out.u8(16),
        AdminAnswer::NotFound => out.u8(17),
        AdminAnswer::AlreadyExists => out.u8(18),
        AdminAnswer::Invalid(text) => {
            out.u8(19);
            out.text(text);
        }
        AdminAnswer::Account(account) => {
            out.u8(20);
            out.text(account.account.as_str());
            out.u64(account.created.0);
            out.bool(account.enabled);
            out.bool(account.last_seen.is_some());
            out.u64(account.last_seen.unwrap_or_default().0);
            out.u32(account.roster_items);
            out.u64(account.offline_messages);
            write_sessions(&account.sessions, out);
        }
        AdminAnswer::Sessions(sessions) => {
            out.u8(21);
            write_sessions(sessions, out);
        }
        AdminAnswer::Closed(count) => {
            out.u8(22);
            out.u32(*count);
        }
        AdminAnswer::Leaving(until) => {
            out.u8(27);
            out.u64(until.0);
        }
    }
}

/// The first version of the protocol that knows an answer.
pub(crate) fn since(answer: &Answer) -> u8 {
    match answer {
        Answer::Barred(..) | Answer::Admin(AdminAnswer::Leaving(_)) => 5,
        _ => 1,
    }
}

pub(super) fn read(input: &mut Reader) -> Result<Answer, Malformed> {
    Ok(match input.u8()? {
        0 => Answer::Credentials(None),
        1 => Answer::Credentials(Some(read_credentials(input)?)),
        12 => {
            let why = match input.u8()? {
                0 => Barred::AwaitsApproval,
                1 => Barred::Leaves,
                _ => return Err(Malformed("an account is barred for no reason")),
            };
            Answer::Barred(read_credentials(input)?, why)
        }
        2 => Answer::Bound(input.shared_jid()?),
        3 => Answer::Iq(input.bytes()?),
        4 => Answer::Refused(errors::read_stanza_error(input)?),
        5 => Answer::Unavailable,
        6 => Answer::Enabled {
            id: input.text()?,
            max_s: input.u32()?,
        },
        7 => Answer::Resumed(Resumed {
            jid: input.shared_jid()?,
            id: input.text()?,
            max_s: input.u32()?,
            h: input.u32()?,
            acked: input.u64()?,
            seen: kept::read_seen(input)?,
        }),
        8 => {
            let (is_known, h) = (input.bool()?, input.u32()?);
            Answer::NotResumed {
                h: is_known.then_some(h),
            }
        }
        kind => Answer::Admin(read_admin(kind, input)?),
    })
}

fn read_admin(kind: u8, input: &mut Reader) -> Result<AdminAnswer, Malformed> {
    Ok(match kind {
        16 => AdminAnswer::Done,
        17 => AdminAnswer::NotFound,
        18 => AdminAnswer::AlreadyExists,
        19 => AdminAnswer::Invalid(input.text()?),
        20 => AdminAnswer::Account(Box::new(AccountSummary {
            account: input.jid()?,
            created: Timestamp(input.u64()?),
            enabled: input.bool()?,
            last_seen: {
                let seen = input.bool()?;
                let at = Timestamp(input.u64()?);
                seen.then_some(at)
            },
            roster_items: input.u32()?,
            offline_messages: input.u64()?,
            sessions: read_sessions(input)?,
        })),
        21 => AdminAnswer::Sessions(read_sessions(input)?),
        22 => AdminAnswer::Closed(input.u32()?),
        27 => AdminAnswer::Leaving(Timestamp(input.u64()?)),
        _ => return Err(Malformed("no such answer")),
    })
}

fn write_credentials(credentials: &Credentials, out: &mut impl Out) {
    for keys in [&credentials.sha1, &credentials.sha256, &credentials.sha512] {
        write_keys(keys, out);
    }
}

fn read_credentials(input: &mut Reader) -> Result<Arc<Credentials>, Malformed> {
    Ok(Arc::new(Credentials {
        sha1: read_keys(input)?,
        sha256: read_keys(input)?,
        sha512: read_keys(input)?,
    }))
}

fn write_keys(keys: &ScramKeys, out: &mut impl Out) {
    out.u8(match keys.hash {
        Hash::Sha1 => 1,
        Hash::Sha256 => 2,
        Hash::Sha512 => 3,
    });
    out.u32(keys.iterations);
    out.bytes(&keys.salt);
    out.bytes(&keys.stored_key);
    out.bytes(&keys.server_key);
}

fn read_keys(input: &mut Reader) -> Result<ScramKeys, Malformed> {
    Ok(ScramKeys {
        hash: match input.u8()? {
            1 => Hash::Sha1,
            2 => Hash::Sha256,
            3 => Hash::Sha512,
            _ => return Err(Malformed("no such hash")),
        },
        iterations: input.u32()?,
        salt: input.octets()?,
        stored_key: input.octets()?,
        server_key: input.octets()?,
    })
}

fn write_sessions(sessions: &[SessionSummary], out: &mut impl Out) {
    out.u32(length(sessions.len()));
    for session in sessions {
        out.text(session.jid.as_str());
        out.address(session.address);
        out.u64(session.bound.0);
        out.bool(session.priority.is_some());
        out.u8(session.priority.unwrap_or_default() as u8);
        out.text(&session.show);
    }
}

fn read_sessions(input: &mut Reader) -> Result<Vec<SessionSummary>, Malformed> {
    let count = input.count(SESSION_MIN)?;
    let mut sessions = Vec::with_capacity(count);
    for _ in 0..count {
        sessions.push(SessionSummary {
            jid: input.jid()?,
            address: input.address()?,
            bound: Timestamp(input.u64()?),
            priority: {
                let known = input.bool()?;
                let priority = input.u8()? as i8;
                known.then_some(priority)
            },
            show: input.text()?,
        });
    }
    Ok(sessions)
}

/// Bytes of the shortest summary of a session.
const SESSION_MIN: usize = 4 + 5 + 8 + 2 + 4;
