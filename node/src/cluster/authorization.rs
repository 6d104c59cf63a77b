//! Who may call what on the internal port: each call is judged by the caller's certificate.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use rookery_control::NodeRole;
use rookery_router::Sparing;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tower::{Layer, Service};

use super::book::Book;
use super::identity::Identity;

/// What a service asks of its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Nothing: who joins has no certificate yet.
    Open,
    /// To be a node of this cluster. What it may say there is judged by its roles where it is understood: proposals by
    /// what they propose, frames by what they are (`rookery_link::Rights`), for the admin API of every node asks the
    /// group and the shards.
    Node,
    /// To be a member of the control group, or to become one.
    Member,
}

/// Services by the beginning of their paths. What is not here is refused.
const RULES: &[(&str, Rule)] = &[
    ("/rookery.control.v1.Admission/", Rule::Open),
    ("/rookery.control.v1.Control/", Rule::Node),
    ("/rookery.carrier.v1.Carrier/", Rule::Node),
    ("/rookery.raft.v1.Raft/", Rule::Member),
];

/// Puts the check in front of all services.
#[derive(Clone)]
pub(super) struct AuthorizationLayer(Arc<Judge>);

struct Judge {
    cluster: String,
    book: Arc<Book>,
    refused: Sparing,
}

/// The services behind the check.
#[derive(Clone)]
pub(super) struct Authorized<S> {
    judge: Arc<Judge>,
    inner: S,
}

impl AuthorizationLayer {
    pub(super) fn new(cluster: String, book: Arc<Book>) -> Self {
        Self(Arc::new(Judge {
            cluster,
            book,
            refused: Sparing::default(),
        }))
    }
}

impl<S> Layer<S> for AuthorizationLayer {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let judge = Arc::clone(&self.0);
        Authorized { judge, inner }
    }
}

impl<S, B> Service<Request<B>> for Authorized<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let caller = caller(&request);
        match self.judge.judge(request.uri().path(), caller.as_ref()) {
            Ok(()) => {
                request.extensions_mut().extend(extension(caller));
                Either::Left(self.inner.call(request))
            }
            Err(status) => {
                if let Some(unsaid) = self.judge.refused.says() {
                    let (method, reason) = (request.uri().path(), status.message());
                    let peer = peer(&request);
                    let caller = caller.map(|identity| identity.to_string());
                    tracing::warn!(method, peer, caller, reason, unsaid, "cluster call refused");
                }
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}

impl Judge {
    fn judge(&self, path: &str, caller: Option<&Identity>) -> Result<(), Status> {
        let rule = RULES.iter().find(|(service, _)| path.starts_with(service));
        let rule = rule.map(|(_, rule)| *rule);
        let denied = |why: &str| Err(Status::permission_denied(why));
        if rule == Some(Rule::Open) {
            return Ok(());
        }
        let Some(caller) = caller else {
            return Err(Status::unauthenticated(
                "this port serves nodes with certificates only",
            ));
        };
        if caller.cluster != self.cluster {
            return denied("the certificate is of another cluster");
        }
        match rule {
            Some(Rule::Node) if self.book.is_removed(caller.node) => {
                denied("this node was removed from the cluster")
            }
            Some(Rule::Member) if self.book.is_gone(caller.node) => {
                denied("this node was removed from the cluster")
            }
            Some(Rule::Member) if !caller.may(NodeRole::Control) => {
                denied("the certificate does not give the role `control`")
            }
            Some(_) => Ok(()),
            None => denied("no such service"),
        }
    }
}

/// The node that calls, as the services find it.
pub(super) fn identity<T>(request: &tonic::Request<T>) -> Result<Identity, Status> {
    let found = request.extensions().get::<Identity>().cloned();
    found.ok_or_else(|| Status::unauthenticated("this port serves nodes with certificates only"))
}

fn extension(caller: Option<Identity>) -> tonic::codegen::http::Extensions {
    let mut extensions = tonic::codegen::http::Extensions::new();
    if let Some(identity) = caller {
        extensions.insert(identity);
    }
    extensions
}

/// The certificate was verified by the TLS layer.
fn caller<B>(request: &Request<B>) -> Option<Identity> {
    let info = request
        .extensions()
        .get::<TlsConnectInfo<TcpConnectInfo>>()?;
    let certificates = info.peer_certs()?;
    Identity::of_certificate(certificates.first()?).ok()
}

fn peer<B>(request: &Request<B>) -> Option<String> {
    let info = request
        .extensions()
        .get::<TlsConnectInfo<TcpConnectInfo>>()?;
    info.get_ref()
        .remote_addr()
        .map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use rookery_control::{Directory, Member, NodeId};
    use tonic::Code;

    use super::*;

    fn node(id: u64, roles: &[NodeRole]) -> Identity {
        Identity {
            cluster: "nest".into(),
            node: NodeId::new(id).unwrap(),
            roles: roles.to_vec(),
        }
    }

    fn judge(path: &str, caller: Option<&Identity>) -> Code {
        let book = Book::new(Vec::new());
        book.set_directory(Arc::new(Directory {
            removed: [NodeId::new(8).unwrap(), NodeId::new(9).unwrap()].into(),
            members: vec![Member {
                node: NodeId::new(9).unwrap(),
                voter: true,
            }],
            ..Directory::default()
        }));
        let judge = Judge {
            cluster: "nest".into(),
            book: Arc::new(book),
            refused: Sparing::default(),
        };
        judge
            .judge(path, caller)
            .err()
            .map_or(Code::Ok, |status| status.code())
    }

    const PUSH: &str = "/rookery.raft.v1.Raft/Push";
    const PROPOSE: &str = "/rookery.control.v1.Control/Propose";
    const JOIN: &str = "/rookery.control.v1.Admission/Join";

    #[test]
    fn without_a_certificate_there_is_nothing_but_the_call_to_join() {
        assert_eq!(judge(JOIN, None), Code::Ok);
        for path in [PUSH, PROPOSE, "/grpc.health.v1.Health/Check", "/"] {
            assert_eq!(judge(path, None), Code::Unauthenticated, "{path}");
        }
    }

    #[test]
    fn a_node_reaches_what_its_role_allows() {
        let router = node(2, &[NodeRole::Router]);
        assert_eq!(judge(PROPOSE, Some(&router)), Code::Ok);
        assert_eq!(judge(PUSH, Some(&router)), Code::PermissionDenied);
        let member = node(3, &[NodeRole::Control]);
        assert_eq!(judge(PUSH, Some(&member)), Code::Ok);
        assert_eq!(
            judge("/rookery.other/X", Some(&member)),
            Code::PermissionDenied
        );
    }

    #[test]
    fn other_clusters_and_removed_nodes_are_refused() {
        let mut other = node(3, &[NodeRole::Control]);
        other.cluster = "elsewhere".into();
        assert_eq!(judge(PUSH, Some(&other)), Code::PermissionDenied);
        let removed = node(8, &[NodeRole::Control]);
        assert_eq!(judge(PUSH, Some(&removed)), Code::PermissionDenied);
        assert_eq!(judge(PROPOSE, Some(&removed)), Code::PermissionDenied);
        let leaving = node(9, &[NodeRole::Control]);
        assert_eq!(judge(PROPOSE, Some(&leaving)), Code::PermissionDenied);
        assert_eq!(
            judge(PUSH, Some(&leaving)),
            Code::Ok,
            "until the group has let it go"
        );
    }
}
