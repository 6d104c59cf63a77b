//! Questions to shards.

use rookery_session::carrier::{AdminQuestion, Moderation, Question, ShardId, ShownToken};
use rookery_xmpp::clock::Timestamp;

use super::{Malformed, Out, Reader, errors};

pub(super) fn write(question: &Question, out: &mut impl Out) {
    match question {
        Question::Credentials { account } => {
            out.u8(0);
            out.text(account.as_str());
        }
        Question::Bind {
            account,
            resource,
            address,
        } => {
            out.u8(1);
            out.text(account.as_str());
            out.some_text(resource.as_deref());
            out.address(*address);
        }
        Question::Enable { account, first } => {
            out.u8(3);
            out.text(account.as_str());
            out.u64(*first);
        }
        Question::Resume {
            account,
            id,
            h,
            address,
        } => {
            out.u8(4);
            out.text(account.as_str());
            out.text(id);
            out.u32(*h);
            out.address(*address);
        }
        Question::Register {
            host,
            address,
            iq,
            invite,
        } => {
            out.u8(if invite.is_some() { 5 } else { 2 });
            out.text(host);
            out.address(*address);
            out.bytes(iq);
            if let Some(shown) = invite {
                out.text(&shown.token);
                out.u64(shown.age_ms);
            }
        }
        Question::Admin(question) => write_admin(question, out),
    }
}

fn write_admin(question: &AdminQuestion, out: &mut impl Out) {
    match question {
        AdminQuestion::CreateAccount {
            account,
            password,
            force,
        } => {
            out.u8(if *force { 23 } else { 16 });
            out.text(account.as_str());
            out.text(password);
        }
        AdminQuestion::DeleteAccount { account, now } => {
            out.u8(if *now { 27 } else { 17 });
            out.text(account.as_str());
        }
        AdminQuestion::Moderate { account, step } => {
            out.u8(28);
            out.text(account.as_str());
            write_step(*step, out);
        }
        AdminQuestion::SetPassword { account, password } => {
            out.u8(18);
            out.text(account.as_str());
            out.text(password);
        }
        AdminQuestion::SetEnabled { account, enabled } => {
            out.u8(19);
            out.text(account.as_str());
            out.bool(*enabled);
        }
        AdminQuestion::ShowAccount { account } => {
            out.u8(20);
            out.text(account.as_str());
        }
        AdminQuestion::ListSessions { account, shard } => {
            out.u8(21);
            out.some_text(account.as_ref().map(|account| account.as_str()));
            out.u16(shard.0);
        }
        AdminQuestion::CloseSessions { jid, error } => {
            out.u8(22);
            out.text(jid.as_str());
            errors::write_stream_error(error, out);
        }
    }
}

pub(super) fn read(input: &mut Reader) -> Result<Question, Malformed> {
    Ok(match input.u8()? {
        0 => Question::Credentials {
            account: input.jid()?,
        },
        1 => Question::Bind {
            account: input.jid()?,
            resource: input.some_text()?,
            address: input.address()?,
        },
        kind @ (2 | 5) => Question::Register {
            host: input.text()?,
            address: input.address()?,
            iq: input.bytes()?,
            invite: match kind {
                5 => Some(Box::new(ShownToken {
                    token: input.text()?,
                    age_ms: input.u64()?,
                })),
                _ => None,
            },
        },
        3 => Question::Enable {
            account: input.jid()?,
            first: input.u64()?,
        },
        4 => Question::Resume {
            account: input.jid()?,
            id: input.text()?,
            h: input.u32()?,
            address: input.address()?,
        },
        kind => Question::Admin(read_admin(kind, input)?),
    })
}

fn read_admin(kind: u8, input: &mut Reader) -> Result<AdminQuestion, Malformed> {
    Ok(match kind {
        16 | 23 => AdminQuestion::CreateAccount {
            account: input.jid()?,
            password: input.text()?,
            force: kind == 23,
        },
        17 | 27 => AdminQuestion::DeleteAccount {
            account: input.jid()?,
            now: kind == 27,
        },
        28 => AdminQuestion::Moderate {
            account: input.jid()?,
            step: read_step(input)?,
        },
        18 => AdminQuestion::SetPassword {
            account: input.jid()?,
            password: input.text()?,
        },
        19 => AdminQuestion::SetEnabled {
            account: input.jid()?,
            enabled: input.bool()?,
        },
        20 => AdminQuestion::ShowAccount {
            account: input.jid()?,
        },
        21 => AdminQuestion::ListSessions {
            account: input.bool()?.then(|| input.jid()).transpose()?,
            shard: ShardId(input.u16()?),
        },
        22 => AdminQuestion::CloseSessions {
            jid: input.jid()?,
            error: errors::read_stream_error(input)?,
        },
        _ => return Err(Malformed("no such question")),
    })
}

fn write_step(step: Moderation, out: &mut impl Out) {
    let (kind, number) = match step {
        Moderation::Restore => (0, 0),
        Moderation::Approve => (1, 0),
        Moderation::Deny { tombstone } => (2, tombstone.into()),
        Moderation::EndDue { awaiting_before } => (3, awaiting_before.0),
    };
    out.u8(kind);
    out.u64(number);
}

fn read_step(input: &mut Reader) -> Result<Moderation, Malformed> {
    let (kind, number) = (input.u8()?, input.u64()?);
    Ok(match kind {
        0 => Moderation::Restore,
        1 => Moderation::Approve,
        2 => Moderation::Deny {
            tombstone: number != 0,
        },
        3 => Moderation::EndDue {
            awaiting_before: Timestamp(number),
        },
        _ => return Err(Malformed("nothing of the kind is done about accounts")),
    })
}
