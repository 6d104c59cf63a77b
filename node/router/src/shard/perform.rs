//! Carries out what a shard requests: the one place where the router touches store, control group
//! and key derivation.

use std::sync::Arc;

use metrics::counter;
use rookery_control::{Control, RegistrationMode, RegistrationRefused, SettleError};
use rookery_store::{Store, StoreError};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::{Credentials, ScramKeys};
use tokio::sync::Semaphore;

use super::pictures::Pictures;
use super::{Reply, Request, ask_about_invites};
use crate::{PASSWORD_BYTES_MAX, PasswordOptions, Sparing};

/// What requests are carried out with.
pub struct Services {
    store: Arc<dyn Store>,
    control: Control,
    /// Key derivation costs milliseconds of a core: only so many at once.
    derivations: Semaphore,
    pictures: Pictures,
    /// What the log says of requests that came to nothing.
    failures: Sparing,
}

impl Services {
    /// Services over a store and a control group.
    pub fn new(store: Arc<dyn Store>, control: Control, derivations_max: u32) -> Arc<Self> {
        let derivations = Semaphore::new(derivations_max.max(1) as usize);
        Arc::new(Self {
            store,
            control,
            derivations,
            pictures: Pictures::default(),
            failures: Sparing::default(),
        })
    }

    fn failed(&self, error: StoreError) -> Reply {
        if !error.is_about_name()
            && error != StoreError::NotFound
            && let Some(others) = self.failures.says()
        {
            tracing::warn!(%error, others, "store refused a request");
        }
        Reply::Failed(error)
    }
}

/// Carries out one request.
pub(super) async fn perform(services: Arc<Services>, request: Request) -> Reply {
    match request {
        Request::Settled(bell) => {
            bell.await;
            Reply::Done
        }
        Request::Derive {
            password,
            salt,
            iterations,
        } => derive(&services, password, salt, iterations).await,
        Request::JudgePassword {
            password,
            account,
            rules,
        } => judge(&services, password, account, rules).await,
        Request::VerifyPassword { password, keys } => verify(&services, password, *keys).await,
        Request::DrawCaptcha { text, seed, pace } => services.pictures.draw(text, seed, pace).await,
        Request::RegistrationIsOpen => match services.control.policy().registration.mode {
            RegistrationMode::Approval => Reply::RegistrationNeedsApproval,
            RegistrationMode::Invite => {
                Reply::RegistrationRefused(RegistrationRefused::InviteNeeded)
            }
            mode => Reply::RegistrationIsOpen(mode != RegistrationMode::Closed),
        },
        Request::Invite(request) => {
            ask_about_invites(&services.control, request, Timestamp::now()).await
        }
        Request::Reserve { .. }
        | Request::CommitReservation(_)
        | Request::ReleaseReservation(_) => reserve(&services, request).await,
        Request::CheckName(name) => check_name(&services, &name).await,
        Request::CreateAccount(account) => {
            let (jid, asker) = (account.jid.clone(), asker(account.address.is_some()));
            let created = services.store.create_account(*account).await;
            created.map_or_else(
                |error| {
                    count_refused(&jid, &error, asker);
                    services.failed(error)
                },
                |()| Reply::Done,
            )
        }
        other => ask_store(&*services.store, other)
            .await
            .unwrap_or_else(|error| services.failed(error)),
    }
}

/// Who wants an account, for metrics: only strangers come from an address.
fn asker(has_address: bool) -> &'static str {
    match has_address {
        true => "stranger",
        false => "operator",
    }
}

fn count_refused(account: &Jid, error: &StoreError, by: &'static str) {
    if error.is_about_name() {
        counter!(NAMES_REFUSED, "cause" => error.kind(), "by" => by).increment(1);
        // Strangers try names all day.
        match by {
            "stranger" => tracing::debug!(%account, %error, by, "account refused by its name"),
            _ => tracing::info!(%account, %error, by, "account refused by its name"),
        }
    }
}

async fn check_name(services: &Services, name: &str) -> Reply {
    match services.control.check_name(name).await {
        Ok(withheld) => {
            if let Some((rule, kind)) = &withheld {
                let cause = kind.as_str();
                counter!(NAMES_REFUSED, "cause" => cause, "by" => asker(false)).increment(1);
                tracing::info!(name, rule, cause, "account refused by its name");
            }
            Reply::Name(withheld)
        }
        Err(error) => services.failed(StoreError::Unavailable(error.to_string().into())),
    }
}

/// Carries out a request of the store.
pub async fn ask_store(store: &dyn Store, request: Request) -> Result<Reply, StoreError> {
    Ok(match request {
        Request::Load(jid) => Reply::Loaded(store.load(&jid).await?),
        Request::CreateAccount(account) => done(store.create_account(*account).await)?,
        Request::SetCredentials(jid, keys) => done(store.set_credentials(&jid, *keys).await)?,
        Request::SetEnabled(jid, enabled) => done(store.set_enabled(&jid, enabled).await)?,
        Request::SetStanding(jid, standing) => done(store.set_standing(&jid, standing).await)?,
        Request::DeleteAccount(jid, tombstone) => {
            Reply::Deleted(store.delete_account(&jid, tombstone).await?)
        }
        Request::UpdateRoster(jid, change) => done(store.update_roster(&jid, change).await)?,
        Request::Document {
            owner,
            collection,
            key,
        } => Reply::Document(store.document(&owner, collection, &key).await?),
        Request::Documents { owner, collection } => {
            Reply::Documents(store.documents(&owner, collection).await?)
        }
        Request::PutDocument {
            owner,
            collection,
            key,
            document,
        } => done(store.put_document(&owner, collection, &key, document).await)?,
        Request::DeleteDocument {
            owner,
            collection,
            key,
        } => Reply::Deleted(store.delete_document(&owner, collection, &key).await?),
        Request::Append(entries) => done(store.append(entries).await)?,
        Request::ReadLog(jid, query) => Reply::Log(store.read_log(&jid, query).await?),
        Request::FindLog(jid, search) => Reply::Log(store.find_log(&jid, search).await?),
        Request::ReplaceLog(jid, position, stanza) => {
            done(store.replace_log(&jid, position, stanza).await)?
        }
        Request::RemoveLog(jid, range) => done(store.remove_log(&jid, range).await)?,
        Request::SetCursor(jid, name, position) => {
            done(store.set_cursor(&jid, name, position).await)?
        }
        Request::LogUsage(jid) => Reply::LogUsage(store.log_usage(&jid).await?),
        Request::Deliver { .. }
        | Request::Settled(_)
        | Request::Derive { .. }
        | Request::JudgePassword { .. }
        | Request::VerifyPassword { .. }
        | Request::DrawCaptcha { .. }
        | Request::RegistrationIsOpen
        | Request::CheckName(_)
        | Request::Invite(_)
        | Request::Reserve { .. }
        | Request::CommitReservation(_)
        | Request::ReleaseReservation(_) => Reply::Failed(StoreError::Invalid("not for the store")),
    })
}

fn done<T>(outcome: Result<T, StoreError>) -> Result<Reply, StoreError> {
    outcome.map(|_| Reply::Done)
}

async fn reserve(services: &Services, request: Request) -> Reply {
    let control = &services.control;
    let outcome = match request {
        Request::Reserve {
            host,
            address,
            name,
        } => {
            let now = Timestamp::now();
            let ask = rookery_control::Reserve {
                host,
                address,
                name,
                now,
            };
            return match control.reserve(ask).await {
                Ok(reserved) if reserved.awaits_approval => Reply::ReservedToAwait(reserved.id),
                Ok(reserved) => Reply::Reserved(reserved.id),
                Err(refused) => {
                    if let RegistrationRefused::Name(kind) = refused {
                        let by = asker(true);
                        counter!(NAMES_REFUSED, "cause" => kind.as_str(), "by" => by).increment(1);
                    }
                    Reply::RegistrationRefused(refused)
                }
            };
        }
        Request::CommitReservation(id) => control.commit_registration(id).await,
        Request::ReleaseReservation(id) => control.release_registration(id).await,
        _ => return Reply::Failed(StoreError::Invalid("not for the control group")),
    };
    match outcome {
        Ok(()) => Reply::Done,
        Err(SettleError::NotReserved) => Reply::NotReserved,
        Err(SettleError::Unavailable(error)) => {
            tracing::warn!(%error, "control group did not settle a reservation");
            Reply::Failed(StoreError::Unavailable(error.to_string().into()))
        }
    }
}

async fn derive(services: &Services, password: String, salt: [u8; 16], iterations: u32) -> Reply {
    // From a node of the cluster, perhaps, that does not look.
    if password.len() > PASSWORD_BYTES_MAX {
        return Reply::BadPassword;
    }
    let derive = move || match Credentials::derive(&password, &salt, iterations) {
        Ok(keys) => Reply::Credentials(Box::new(keys)),
        Err(_) => Reply::BadPassword,
    };
    off_the_shard(services, derive).await
}

async fn judge(
    services: &Services,
    password: String,
    account: Jid,
    rules: Arc<PasswordOptions>,
) -> Reply {
    let judge = move || match rules.check(&password, &account) {
        Ok(()) => Reply::Done,
        Err(flaw) => Reply::PasswordFlaw(flaw),
    };
    off_the_shard(services, judge).await
}

async fn verify(services: &Services, password: String, keys: ScramKeys) -> Reply {
    if password.len() > PASSWORD_BYTES_MAX {
        return Reply::PasswordIs(false);
    }
    let verify = move || Reply::PasswordIs(keys.verify_password(&password));
    off_the_shard(services, verify).await
}

/// Does what costs milliseconds of a core on a thread of its own, so many at once.
async fn off_the_shard(
    services: &Services,
    work: impl FnOnce() -> Reply + Send + 'static,
) -> Reply {
    let Ok(_permit) = services.derivations.acquire().await else {
        return Reply::Failed(StoreError::Invalid("shutting down"));
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Reply::Failed(StoreError::Invalid(
        "work on a password panicked",
    )))
}

/// Accounts that were not made because of their names.
const NAMES_REFUSED: &str = "rookery_names_refused_total";
