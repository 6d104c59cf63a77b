//! `rookery cluster renew`: another certificate for a node whose present one is still good.
//!
//! The key stays, so that one file changes, and with it everything or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use rookery_control::NodeRole;
use rookery_proto::control::RenewRequest;
use rookery_proto::control::control_client::ControlClient;
use rookery_xmpp::clock::Timestamp;
use tonic::{Code, Status};

use super::authority::{AuthorityError, request_again};
use super::credentials::{CredentialsError, Generation};
use super::dial::{DialError, dial};
use super::files::{Files, write_private};
use super::identity::{Identity, role_name};
use super::version::{self, Spoken};
use crate::config::Config;
use crate::operation::replace;

/// What came of it.
#[derive(Debug)]
pub struct Renewed {
    /// Whose certificate.
    pub identity: Identity,
    /// Until when it is good.
    pub until: Timestamp,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is another one than before.
    pub is_new: bool,
}

/// Why there is no other certificate; the operator's to solve.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The present one cannot be used, or the new one.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The key cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file cannot be read or written.
    #[error("cannot use {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The configuration names no member.
    #[error(
        "the configuration names no member of the control group: see cluster.peers and cluster.address"
    )]
    NoMember,
    /// The cluster refuses this node.
    #[error("the cluster refuses: {}", .0.message())]
    Refused(Box<Status>),
    /// No member that was asked has signed.
    #[error(
        "nobody signs, and the member that holds the authority's key must be among those who are asked:\n    {}",
        .0.join("\n    ")
    )]
    NotSigned(Vec<String>),
    /// The new certificate is of somebody else.
    #[error("the new certificate is that of {0}")]
    OtherNode(Identity),
}

/// Asks the members that the configuration names, one after another. Does nothing while the certificate is good for
/// longer than `enough`.
pub async fn renew(config: &Config, enough: Option<Duration>) -> Result<Renewed, RenewError> {
    let files = Files::configured(&config.cluster, &config.server.data_dir);
    let present = Generation::read(&files)?;
    let renewed = |generation: &Generation, is_new| Renewed {
        identity: generation.identity.clone(),
        until: generation.expires,
        path: files.certificate.clone(),
        is_new,
    };
    let is_enough = |enough| present.expires > Timestamp::now().plus(enough);
    if enough.is_some_and(is_enough) {
        return Ok(renewed(&present, false));
    }
    let key = fs::read_to_string(&files.key).map_err(|cause| file(&files.key, cause))?;
    let request = request_again(&key)?;
    let certificate = ask(config, &present, &request).await?;
    let fresh = take_over(&files, &present, &certificate)?;
    Ok(renewed(&fresh, true))
}

async fn ask(config: &Config, present: &Generation, request: &[u8]) -> Result<String, RenewError> {
    version::hold_back(config.cluster.protocol_max);
    let mut members = config.cluster.peers.clone();
    if !members.contains(&config.cluster.address) && !config.cluster.address.is_empty() {
        members.push(config.cluster.address.clone());
    }
    let mut told = Vec::new();
    for address in &members {
        match ask_one(address, present, request).await {
            Ok(Ok(certificate)) => return Ok(certificate),
            Ok(Err(status)) if status.code() == Code::PermissionDenied => {
                return Err(RenewError::Refused(Box::new(status)));
            }
            Ok(Err(status)) => told.push(format!("{address}: {}", status.message())),
            Err(error) => told.push(format!("{address}: {error}")),
        }
    }
    Err(match told.is_empty() {
        true => RenewError::NoMember,
        false => RenewError::NotSigned(told),
    })
}

async fn ask_one(
    address: &str,
    present: &Generation,
    request: &[u8],
) -> Result<Result<String, Status>, DialError> {
    let name = role_name(&present.identity.cluster, NodeRole::Control);
    let channel = dial(address, name, Arc::clone(&present.client)).await?;
    let (mut client, spoken) = (ControlClient::new(channel), Spoken::default());
    let mut request = RenewRequest {
        version: version::newest(),
        signing_request: request.to_vec().into(),
    };
    let mut answer = client.renew(request.clone()).await;
    if let Err(refusal) = &answer {
        spoken.heed(refusal);
        if spoken.get() != request.version {
            request.version = spoken.get();
            answer = client.renew(request).await;
        }
    }
    Ok(answer.map(|answer| answer.into_inner().certificate))
}

/// Puts the new certificate in the place of the present one, if it works with key and authority and is this node's.
fn take_over(
    files: &Files,
    present: &Generation,
    certificate: &str,
) -> Result<Generation, RenewError> {
    let mut draft = files.certificate.as_os_str().to_owned();
    draft.push(".renewed");
    let draft = PathBuf::from(draft);
    write_private(&draft, certificate).map_err(|cause| file(&draft, cause))?;
    let drafted = Files {
        certificate: draft.clone(),
        ..files.clone()
    };
    let fresh = Generation::read(&drafted)?;
    if fresh.identity != present.identity {
        return Err(RenewError::OtherNode(fresh.identity));
    }
    replace(&draft, &files.certificate).map_err(|cause| file(&files.certificate, cause))?;
    Ok(fresh)
}

fn file(path: &Path, cause: io::Error) -> RenewError {
    let path = path.to_owned();
    RenewError::File { path, cause }
}
