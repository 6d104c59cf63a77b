//! What shards ask of the control group and of key derivation: as `node/router/src/shard/perform.rs`.

use std::time::Duration;

use rookery_control::{Control, RegistrationMode, ReservationId, Reserve, SettleError};
use rookery_router::shard::{Reply, Request, ask_about_invites};
use rookery_store::StoreError;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::scram::Credentials;

use super::{Process, push};
use crate::sim::planted::Planted;
use crate::sim::shard_mover::Word;

impl Process {
    /// Begins what is not for the store.
    pub(super) fn carry_out_requests(&mut self) {
        let now = self.clock.drift().wall(self.next_tick);
        for word in std::mem::take(&mut self.words) {
            match word {
                Word::Request(shard, epoch, id, request) if !is_for_store(&request) => {
                    let (control, replies) = (self.control.clone(), self.replies.clone());
                    let planted = self.settings.planted;
                    self.clock.runtime().spawn(async move {
                        let reply = perform(&control, request, now, planted).await;
                        push(&replies, shard, epoch, id, reply);
                    });
                }
                other => self.words.push(other),
            }
        }
    }
}

fn is_for_store(request: &Request) -> bool {
    !matches!(
        request,
        Request::Derive { .. }
            | Request::JudgePassword { .. }
            | Request::VerifyPassword { .. }
            | Request::DrawCaptcha { .. }
            | Request::RegistrationIsOpen
            | Request::CheckName(_)
            | Request::Invite(_)
            | Request::Reserve { .. }
            | Request::CommitReservation(_)
            | Request::ReleaseReservation(_)
    )
}

async fn perform(
    control: &Control,
    request: Request,
    now: Timestamp,
    planted: Option<Planted>,
) -> Reply {
    match request {
        Request::Derive {
            password,
            salt,
            iterations,
        } => match Credentials::derive(&password, &salt, iterations) {
            Ok(keys) => Reply::Credentials(Box::new(keys)),
            Err(_) => Reply::BadPassword,
        },
        Request::JudgePassword {
            password,
            account,
            rules,
        } => match rules.check(&password, &account) {
            Ok(()) => Reply::Done,
            Err(flaw) => Reply::PasswordFlaw(flaw),
        },
        Request::VerifyPassword { password, keys } => {
            Reply::PasswordIs(keys.verify_password(&password))
        }
        Request::RegistrationIsOpen => {
            let mode = control.policy().registration.mode;
            Reply::RegistrationIsOpen(mode != RegistrationMode::Closed)
        }
        Request::CheckName(name) => match control.check_name(&name).await {
            Ok(withheld) => Reply::Name(withheld),
            Err(error) => Reply::Failed(StoreError::Unavailable(error.to_string().into())),
        },
        Request::Reserve {
            host,
            address,
            name,
        } => {
            let ask = Reserve {
                host,
                address,
                name,
                now,
            };
            let reserved = control.reserve_registration(ask);
            let reserved = match planted {
                Some(Planted::ThrottleOpen) => tokio::time::timeout(IMPATIENCE, reserved)
                    .await
                    .unwrap_or(Ok(ReservationId::UNCOUNTED)),
                _ => reserved.await,
            };
            match reserved {
                Ok(id) => Reply::Reserved(id),
                Err(refused) => Reply::RegistrationRefused(refused),
            }
        }
        Request::Invite(request) => ask_about_invites(control, request, now).await,
        Request::CommitReservation(_) if planted == Some(Planted::CommitNotAwaited) => Reply::Done,
        Request::CommitReservation(id) => settled(control.commit_registration(id).await),
        Request::ReleaseReservation(id) => settled(control.release_registration(id).await),
        _ => Reply::Failed(StoreError::Invalid("not for the control group")),
    }
}

fn settled(outcome: Result<(), SettleError>) -> Reply {
    match outcome {
        Ok(()) => Reply::Done,
        Err(SettleError::NotReserved) => Reply::NotReserved,
        Err(SettleError::Unavailable(error)) => {
            Reply::Failed(StoreError::Unavailable(error.to_string().into()))
        }
    }
}

/// How long a router with [`Planted::ThrottleOpen`] waits for the group: less than its lease lasts, after which nothing
/// that it says would count.
const IMPATIENCE: Duration = Duration::from_secs(1);
