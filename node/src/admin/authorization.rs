//! Who may call what. A method that is not in the table is refused, to everybody.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};
use tower::{Layer, Service};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::config::AdminOptions;

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To look.
    Observe,
    /// To change something.
    Operate,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A process of the server's own user, or of root, over the Unix socket.
    Owner,
    /// Somebody whose certificate's name is in `admin.operators`.
    Operator,
    /// Somebody whose certificate's name is in `admin.observers`.
    Observer,
    /// Anybody else.
    Stranger,
}

impl Caller {
    /// Whether the caller holds a right.
    pub fn holds(self, right: Right) -> bool {
        match self {
            Self::Owner | Self::Operator => true,
            Self::Observer => right == Right::Observe,
            Self::Stranger => false,
        }
    }
}

/// The right that a method needs, by its path; `None` for a method that nobody decided on.
pub fn required_right(path: &str) -> Option<Right> {
    RIGHTS
        .iter()
        .find(|(method, _)| *method == path)
        .map(|(_, right)| *right)
}

const RIGHTS: &[(&str, Right)] = &[
    ("/grpc.health.v1.Health/Check", Right::Observe),
    ("/grpc.health.v1.Health/List", Right::Observe),
    ("/grpc.health.v1.Health/Watch", Right::Observe),
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Right::Observe,
    ),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        Right::Observe,
    ),
    // Keys and messages of everybody.
    ("/rookery.admin.v1.Backup/Export", Right::Operate),
    ("/rookery.admin.v1.Bans/AddBans", Right::Operate),
    ("/rookery.admin.v1.Bans/ListBans", Right::Observe),
    ("/rookery.admin.v1.Bans/RemoveBans", Right::Operate),
    ("/rookery.admin.v1.ControlGroup/ListMembers", Right::Observe),
    ("/rookery.admin.v1.ControlGroup/ShowLog", Right::Observe),
    (
        "/rookery.admin.v1.ControlGroup/TakeSnapshot",
        Right::Operate,
    ),
    (
        "/rookery.admin.v1.ControlGroup/TransferLeader",
        Right::Operate,
    ),
    ("/rookery.admin.v1.Events/ListEvents", Right::Observe),
    ("/rookery.admin.v1.Guard/ResetGuard", Right::Operate),
    ("/rookery.admin.v1.Guard/ShowGuard", Right::Observe),
    ("/rookery.admin.v1.Invites/CreateInvites", Right::Operate),
    // Who invites whom.
    ("/rookery.admin.v1.Invites/ListInvites", Right::Observe),
    ("/rookery.admin.v1.Invites/RevokeInvites", Right::Operate),
    ("/rookery.admin.v1.Names/CheckName", Right::Observe),
    ("/rookery.admin.v1.Names/ListCollisions", Right::Observe),
    ("/rookery.admin.v1.Names/ListNames", Right::Observe),
    ("/rookery.admin.v1.Names/ListTombstones", Right::Observe),
    ("/rookery.admin.v1.Names/ReleaseNames", Right::Operate),
    ("/rookery.admin.v1.Names/ReserveNames", Right::Operate),
    ("/rookery.admin.v1.Names/RestoreName", Right::Operate),
    ("/rookery.admin.v1.Nodes/CreateToken", Right::Operate),
    ("/rookery.admin.v1.Nodes/DrainNode", Right::Operate),
    ("/rookery.admin.v1.Nodes/ListNodes", Right::Observe),
    ("/rookery.admin.v1.Nodes/RemoveNode", Right::Operate),
    ("/rookery.admin.v1.Nodes/UndrainNode", Right::Operate),
    ("/rookery.admin.v1.Quota/ResetQuota", Right::Operate),
    ("/rookery.admin.v1.Quota/ShowQuota", Right::Observe),
    (
        "/rookery.admin.v1.Registration/ResetRegistration",
        Right::Operate,
    ),
    (
        "/rookery.admin.v1.Registration/SetRegistration",
        Right::Operate,
    ),
    (
        "/rookery.admin.v1.Registration/ShowRegistration",
        Right::Observe,
    ),
    ("/rookery.admin.v1.Server/Drain", Right::Operate),
    ("/rookery.admin.v1.Server/Reload", Right::Operate),
    ("/rookery.admin.v1.Server/SetLogLevel", Right::Operate),
    ("/rookery.admin.v1.Server/ShowLogLevel", Right::Observe),
    ("/rookery.admin.v1.Server/ShowStatus", Right::Observe),
    ("/rookery.admin.v1.Server/ShowVersion", Right::Observe),
    ("/rookery.admin.v1.Server/Stop", Right::Operate),
    ("/rookery.admin.v1.Sessions/CloseSessions", Right::Operate),
    ("/rookery.admin.v1.Sessions/ListSessions", Right::Observe),
    ("/rookery.admin.v1.Sessions/ShowSession", Right::Observe),
    ("/rookery.admin.v1.Shards/ListShards", Right::Observe),
    ("/rookery.admin.v1.Shards/MoveShard", Right::Operate),
    ("/rookery.admin.v1.Shards/ShowShard", Right::Observe),
    ("/rookery.admin.v1.Throttle/ChangeNetworks", Right::Operate),
    ("/rookery.admin.v1.Throttle/ListNetworks", Right::Observe),
    ("/rookery.admin.v1.Throttle/ResetNetworks", Right::Operate),
    ("/rookery.admin.v1.Throttle/ResetThrottle", Right::Operate),
    ("/rookery.admin.v1.Throttle/ShowRefusals", Right::Observe),
    ("/rookery.admin.v1.Throttle/ShowThrottle", Right::Observe),
    ("/rookery.admin.v1.Users/ApproveUser", Right::Operate),
    ("/rookery.admin.v1.Users/CreateUser", Right::Operate),
    ("/rookery.admin.v1.Users/DeleteUser", Right::Operate),
    ("/rookery.admin.v1.Users/DenyUser", Right::Operate),
    ("/rookery.admin.v1.Users/DisableUser", Right::Operate),
    ("/rookery.admin.v1.Users/EnableUser", Right::Operate),
    ("/rookery.admin.v1.Users/ListAwaiting", Right::Observe),
    ("/rookery.admin.v1.Users/ListUsers", Right::Observe),
    ("/rookery.admin.v1.Users/RestoreUser", Right::Operate),
    ("/rookery.admin.v1.Users/SetPassword", Right::Operate),
    ("/rookery.admin.v1.Users/ShowUser", Right::Observe),
];

/// Puts the check in front of all services.
#[derive(Clone)]
pub(super) struct AuthorizationLayer(Arc<Names>);

/// The names of certificates and what they may do.
struct Names {
    operators: Vec<String>,
    observers: Vec<String>,
}

/// The services behind the check.
#[derive(Clone)]
pub(super) struct Authorized<S> {
    names: Arc<Names>,
    inner: S,
}

impl AuthorizationLayer {
    pub(super) fn new(options: &AdminOptions) -> Self {
        let (operators, observers) = (options.operators.clone(), options.observers.clone());
        Self(Arc::new(Names {
            operators,
            observers,
        }))
    }
}

impl<S> Layer<S> for AuthorizationLayer {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorized {
            names: Arc::clone(&self.0),
            inner,
        }
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let caller = self.names.caller(&request);
        if required_right(path).is_some_and(|right| caller.holds(right)) {
            return Either::Left(self.inner.call(request));
        }
        tracing::warn!(method = path, ?caller, "admin call refused");
        Either::Right(ready(Ok(refusal(caller).into_http())))
    }
}

impl Names {
    fn caller<B>(&self, request: &Request<B>) -> Caller {
        if let Some(info) = request.extensions().get::<UdsConnectInfo>() {
            let user = info.peer_cred.map(|credentials| credentials.uid());
            return match user {
                Some(0) => Caller::Owner,
                Some(uid) if uid == rustix::process::geteuid().as_raw() => Caller::Owner,
                _ => Caller::Stranger,
            };
        }
        let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let certificates = info
            .and_then(TlsConnectInfo::peer_certs)
            .unwrap_or_default();
        let names = certificates
            .first()
            .and_then(|first| names_of(first))
            .unwrap_or_default();
        self.by_names(&names)
    }

    fn by_names(&self, names: &[String]) -> Caller {
        let is_on = |list: &[String]| names.iter().any(|name| list.contains(name));
        if is_on(&self.operators) {
            Caller::Operator
        } else if is_on(&self.observers) {
            Caller::Observer
        } else {
            Caller::Stranger
        }
    }
}

/// The DNS names and common names of a certificate that the TLS layer has verified.
fn names_of(certificate: &[u8]) -> Option<Vec<String>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let common = parsed
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok());
    let mut names: Vec<String> = common.map(str::to_owned).collect();
    if let Ok(Some(alternatives)) = parsed.subject_alternative_name() {
        names.extend(
            alternatives
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                }),
        );
    }
    Some(names)
}

fn refusal(caller: Caller) -> Status {
    Status::permission_denied(match caller {
        Caller::Stranger => {
            "this server does not know you: use the Unix socket as the server's user or root, or add \
             the name in your certificate to admin.operators or admin.observers"
        }
        Caller::Observer => "you may only look: this call needs a name in admin.operators",
        Caller::Owner | Caller::Operator => "no such method on this server",
    })
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// x27: a new method must not be open, or shut, because nobody thought of it.
    #[test]
    fn every_method_of_the_api_has_an_entry_and_no_entry_is_stale() {
        let set = FileDescriptorSet::decode(rookery_proto::DESCRIPTORS).unwrap();
        let mut methods = Vec::new();
        for file in set
            .file
            .iter()
            .filter(|file| file.package() == "rookery.admin.v1")
        {
            for service in &file.service {
                let path = |method: &prost_types::MethodDescriptorProto| {
                    format!("/{}.{}/{}", file.package(), service.name(), method.name())
                };
                methods.extend(service.method.iter().map(path));
            }
        }
        methods.sort();
        let ours = RIGHTS
            .iter()
            .map(|(path, _)| *path)
            .filter(|path| path.starts_with("/rookery."));
        assert_eq!(methods, ours.collect::<Vec<_>>());
    }

    #[test]
    fn methods_that_change_something_are_for_operators() {
        for (path, right) in RIGHTS {
            let method = path.rsplit('/').next().unwrap();
            let looks = ["Show", "List", "Check", "Watch", "ServerReflectionInfo"];
            let expected = if looks.iter().any(|prefix| method.starts_with(prefix)) {
                Right::Observe
            } else {
                Right::Operate
            };
            assert_eq!(*right, expected, "{path}");
        }
    }

    #[test]
    fn a_name_on_no_list_is_a_stranger_whoever_signed_it() {
        let names = Names {
            operators: vec!["ops".into()],
            observers: vec!["dash".into()],
        };
        assert_eq!(names.by_names(&["ops".into()]), Caller::Operator);
        assert_eq!(names.by_names(&["dash".into()]), Caller::Observer);
        assert_eq!(names.by_names(&["x".into()]), Caller::Stranger);
        assert!(!Caller::Observer.holds(Right::Operate) && !Caller::Stranger.holds(Right::Observe));
        assert_eq!(required_right("/rookery.admin.v1.Users/Unheard"), None);
    }
}
