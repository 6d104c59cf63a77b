//! Carries out what a shard requests: the one place where the router touches store, control group
//! and key derivation.

use std::sync::Arc;

use rookery_control::{Control, RegistrationMode, SettleError};
use rookery_store::{Store, StoreError};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::scram::Credentials;
use tokio::sync::Semaphore;

use super::{Reply, Request};
use crate::PASSWORD_BYTES_MAX;

/// What requests are carried out with.
pub struct Services {
    store: Arc<dyn Store>,
    control: Control,
    /// Key derivation costs milliseconds of a core: only so many at once.
    derivations: Semaphore,
}

impl Services {
    /// Services over a store and a control group.
    pub fn new(store: Arc<dyn Store>, control: Control, derivations_max: u32) -> Arc<Self> {
        let derivations = Semaphore::new(derivations_max.max(1) as usize);
        Arc::new(Self {
            store,
            control,
            derivations,
        })
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
        Request::RegistrationIsOpen => {
            let mode = services.control.policy().registration.mode;
            Reply::RegistrationIsOpen(mode != RegistrationMode::Closed)
        }
        Request::Reserve { .. }
        | Request::CommitReservation(_)
        | Request::ReleaseReservation(_) => reserve(&services, request).await,
        other => ask_store(&*services.store, other)
            .await
            .unwrap_or_else(|error| {
                if !matches!(error, StoreError::AlreadyExists | StoreError::NotFound) {
                    tracing::warn!(%error, "store refused a request");
                }
                Reply::Failed(error)
            }),
    }
}

/// Carries out a request of the store.
pub async fn ask_store(store: &dyn Store, request: Request) -> Result<Reply, StoreError> {
    Ok(match request {
        Request::Load(jid) => Reply::Loaded(store.load(&jid).await?.map(Box::new)),
        Request::CreateAccount(account) => {
            store.create_account(*account).await?;
            Reply::Done
        }
        Request::SetCredentials(jid, keys) => {
            store.set_credentials(&jid, *keys).await?;
            Reply::Done
        }
        Request::SetEnabled(jid, enabled) => {
            store.set_enabled(&jid, enabled).await?;
            Reply::Done
        }
        Request::DeleteAccount(jid) => Reply::Deleted(store.delete_account(&jid).await?),
        Request::UpdateRoster(jid, change) => {
            store.update_roster(&jid, change).await?;
            Reply::Done
        }
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
        } => {
            store
                .put_document(&owner, collection, &key, document)
                .await?;
            Reply::Done
        }
        Request::DeleteDocument {
            owner,
            collection,
            key,
        } => Reply::Deleted(store.delete_document(&owner, collection, &key).await?),
        Request::Append(entries) => {
            store.append(entries).await?;
            Reply::Done
        }
        Request::ReadLog(jid, query) => Reply::Log(store.read_log(&jid, query).await?),
        Request::RemoveLog(jid, range) => {
            store.remove_log(&jid, range).await?;
            Reply::Done
        }
        Request::SetCursor(jid, name, position) => {
            store.set_cursor(&jid, name, position).await?;
            Reply::Done
        }
        Request::LogUsage(jid) => Reply::LogUsage(store.log_usage(&jid).await?),
        Request::Deliver { .. }
        | Request::Settled(_)
        | Request::Derive { .. }
        | Request::RegistrationIsOpen
        | Request::Reserve { .. }
        | Request::CommitReservation(_)
        | Request::ReleaseReservation(_) => Reply::Failed(StoreError::Invalid("not for the store")),
    })
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
            return match control.reserve_registration(ask).await {
                Ok(id) => Reply::Reserved(id),
                Err(refused) => Reply::RegistrationRefused(refused),
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
    let Ok(_permit) = services.derivations.acquire().await else {
        return Reply::Failed(StoreError::Invalid("shutting down"));
    };
    let derived =
        tokio::task::spawn_blocking(move || Credentials::derive(&password, &salt, iterations));
    match derived.await {
        Ok(Ok(keys)) => Reply::Credentials(Box::new(keys)),
        Ok(Err(_)) => Reply::BadPassword,
        Err(_) => Reply::Failed(StoreError::Invalid("key derivation panicked")),
    }
}
