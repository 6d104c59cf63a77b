//! The service `Admission`: the way in, with a token; and the tokens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rookery_control::{Control, LeaseStanding, NodeId, NodeRole, NodesRefused, TokenHash};
use rookery_proto::control::admission_server::Admission;
use rookery_proto::control::{JoinRequest, JoinResponse};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::{Entropy, OsEntropy};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::authority::{Authority, AuthorityError};
use super::book::Book;
use super::control_service::nodes_refused;
use super::credentials::Credentials;
use super::files::Files;
use super::identity::Identity;
use super::token::{Token, is_sealed, split_secret};
use super::version;

/// Lets nodes in.
#[derive(Clone)]
pub(super) struct Gate(Arc<Parts>);

/// What it works with.
pub(super) struct Parts {
    pub(super) control: Control,
    pub(super) credentials: Credentials,
    pub(super) files: Files,
    pub(super) book: Arc<Book>,
    /// Where this node is reached.
    pub(super) address: String,
    pub(super) places: Semaphore,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    /// Another node has to be asked. The operator's to solve.
    #[error(
        "this node does not hold the authority's key, so it lets nobody in: make the token on the node where \
         `rookery cluster init` ran, which has {0}"
    )]
    NoKey(String),
    /// The authority's files are wrong; the operator's to solve.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The group refuses.
    #[error(transparent)]
    Group(#[from] NodesRefused),
}

impl Gate {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// A token for one node that may hold these roles, and when it expires.
    pub(super) async fn create_token(
        &self,
        roles: Vec<NodeRole>,
        valid: Duration,
    ) -> Result<(Token, Timestamp), TokenRefused> {
        let authority = self.authority()?;
        let mut nonce = [0; 32];
        OsEntropy.fill(&mut nonce);
        let generation = self.0.credentials.now();
        let token = Token::new(
            generation.identity.cluster.clone(),
            generation.authority,
            nonce,
            authority.seal(&nonce),
            self.0.address.clone(),
        );
        let expires = Timestamp::now().plus(valid);
        let hash = TokenHash::of(&token.secret());
        self.0
            .control
            .create_token(hash, roles.clone(), expires)
            .await?;
        tracing::info!(?roles, valid_s = valid.as_secs(), "token made");
        Ok((token, expires))
    }

    /// Another certificate (PEM) for a node that has shown its present one: who it is does not change.
    pub(super) fn renew(&self, caller: &Identity, request: &[u8]) -> Result<String, Status> {
        let Ok(_place) = self.0.places.try_acquire() else {
            return Err(Status::resource_exhausted(
                "others join at this moment: try again",
            ));
        };
        let authority = self
            .authority()
            .map_err(|refused| Status::failed_precondition(refused.to_string()))?;
        authority
            .certify_request(caller, request, Timestamp::now())
            .map_err(|error| Status::invalid_argument(error.to_string()))
    }

    /// Read for each use, so that the key is in memory no longer than it must be, and may be taken away.
    fn authority(&self) -> Result<Authority, TokenRefused> {
        let files = &self.0.files;
        let key = std::fs::read_to_string(&files.authority_key);
        let certificate = std::fs::read_to_string(&files.authority);
        let (Ok(key), Ok(certificate)) = (key, certificate) else {
            return Err(TokenRefused::NoKey(
                files.authority_key.display().to_string(),
            ));
        };
        Ok(Authority::load(certificate, &key)?)
    }

    /// Refuses an address at which a node lives: the others would find one of the two there. Where a node was that is
    /// dead, another may be in its place.
    async fn check_nobody_lives_at(&self, address: &str) -> Result<(), Status> {
        let there = self.0.book.enlisted_at(address);
        if there.is_empty() {
            return Ok(());
        }
        let status = self.0.control.status().await;
        let leases = status.map(|status| status.leases).unwrap_or_default();
        let lives = |node: &&NodeId| matches!(leases.get(node), Some(LeaseStanding::Holds { .. }));
        match there.iter().find(lives) {
            None => Ok(()),
            Some(node) => Err(Status::failed_precondition(format!(
                "node {node} lives at {address}: give another --address; if it has just died, try again when its lease \
                 has ended"
            ))),
        }
    }

    async fn admit(&self, request: &JoinRequest) -> Result<JoinResponse, Status> {
        let authority = self
            .authority()
            .map_err(|refused| Status::failed_precondition(refused.to_string()))?;
        let strange = || Status::permission_denied(NodesRefused::Token.to_string());
        let (nonce, seal) = split_secret(&request.secret).ok_or_else(strange)?;
        if !is_sealed(seal, &authority.seal(nonce)) {
            return Err(strange());
        }
        check_address(&request.address)?;
        self.check_nobody_lives_at(&request.address).await?;
        // Before the token is used up.
        let now = Timestamp::now();
        let identity = self.0.credentials.now().identity.clone();
        let dry_run = authority.certify_request(&identity, &request.signing_request, now);
        dry_run.map_err(|error| Status::invalid_argument(error.to_string()))?;

        let hash = TokenHash::of(&request.secret);
        let admitted = self.0.control.admit(hash, request.address.clone()).await;
        let (node, roles) = admitted.map_err(|refused| nodes_refused(&refused))?;
        let identity = Identity {
            cluster: identity.cluster,
            node,
            roles,
        };
        let certificate = authority
            .certify_request(&identity, &request.signing_request, now)
            .map_err(|error| Status::internal(error.to_string()))?;
        tracing::info!(
            node = node.get(),
            address = request.address,
            "node admitted"
        );
        let mut peers = self.0.book.members("");
        if !peers.contains(&self.0.address) {
            peers.insert(0, self.0.address.clone());
        }
        Ok(JoinResponse {
            version: version::newest(),
            node: node.get(),
            certificate,
            authority: authority.certificate().to_owned(),
            peers,
            roles: identity
                .roles
                .iter()
                .map(|role| role.as_str().to_owned())
                .collect(),
        })
    }
}

#[tonic::async_trait]
impl Admission for Gate {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        version::check(request.get_ref().version, "join")?;
        let Ok(_place) = self.0.places.try_acquire() else {
            return Err(Status::resource_exhausted(
                "others join at this moment: try again",
            ));
        };
        let admitted = self.admit(request.get_ref()).await;
        if let Err(status) = &admitted {
            tracing::warn!(reason = status.message(), "join refused");
        }
        admitted.map(Response::new)
    }
}

fn check_address(address: &str) -> Result<(), Status> {
    match is_address(address) {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!(
            "`{address}` is not of the form host:port"
        ))),
    }
}

/// Whether a text can be where a node is reached from other machines: 0.0.0.0 and [::] can only be listened on.
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    if text
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_unspecified())
    {
        return false;
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    !host.is_empty()
        && text.len() <= ADDRESS_BYTES_MAX
        && host.bytes().all(is_plain)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Strangers can call: each call may cost a signature.
pub(super) const JOINS_MAX: usize = 2;

/// A DNS name and a port.
const ADDRESS_BYTES_MAX: usize = 260;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["a.example:5270", "127.0.0.1:1", "[::1]:5270"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "a.example",
            ":1",
            "a:0",
            "a:99999",
            "a b:1",
            "a/b:1",
            "0.0.0.0:1",
            "[::]:1",
            "",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
