//! A router with real shards, and the way to it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rookery_control::{Control, ControlOptions, NodeId, RegistrationPolicy};
use rookery_link::{Hall, HallConfig, ShardMap, SharedMap, Ways, WaysConfig, server_settings};
use rookery_router::carrier::InProcess;
use rookery_router::environment::Environment;
use rookery_router::modules::{Registry, all};
use rookery_router::shard::Services;
use rookery_router::{Lease, RouterOptions, RouterRole, Surroundings};
use rookery_session::carrier::{
    Answer, AskId, Question, RoutersRef, ShardId, ShardsRef, SinkRef, ToSession, ToShard,
};
use rookery_store::account::NewAccount;
use rookery_store::name::NameChecks;
use rookery_store::standing::Standing;
use rookery_store::{MemoryStore, Store};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::scram::Credentials;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::support::{Addresses, Cutter, Mailbox, options};

/// What carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    InProcess,
    Grpc,
    BreakingGrpc,
    /// Two routers have half of the shards each.
    TwoRouters,
    BreakingTwoRouters,
}

impl Carrier {
    fn breaks(self) -> bool {
        matches!(self, Self::BreakingGrpc | Self::BreakingTwoRouters)
    }
}

/// The way to the shards, and all that it stands on.
pub(crate) struct World {
    pub(crate) routers: RoutersRef,
    serials: Cell<u64>,
    _roles: Vec<RouterRole>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start(carrier: Carrier, options: RouterOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::start(
            ControlOptions::default(),
            folder.path(),
            NodeId::FIRST,
            RegistrationPolicy::default(),
        )
        .unwrap();
        let store = Arc::new(MemoryStore::new());
        for name in ["romeo", "juliet", "mercutio", "tybalt"] {
            create(&store, name).await;
        }
        let shards = options.shards;
        let env = Environment::new(
            ["localhost".to_owned()],
            [],
            options,
            Registry::new(all()),
            Timestamp::now(),
        );
        let services = Services::new(store, control, 1);
        let (roles, routers) = match carrier {
            Carrier::InProcess => {
                let arbiters = [actix::Arbiter::current()];
                let role = RouterRole::start(env, &services, &arbiters).unwrap();
                let routers = role.routers();
                (vec![role], routers)
            }
            Carrier::Grpc | Carrier::BreakingGrpc => {
                cluster(ShardMap::all_on(2, shards), carrier, &env, &services).await
            }
            Carrier::TwoRouters | Carrier::BreakingTwoRouters => {
                let map = ShardMap::of(1, (0..shards).map(|shard| 2 + u32::from(shard % 2)));
                cluster(map, carrier, &env, &services).await
            }
        };
        Self {
            routers,
            serials: Cell::new(0),
            _roles: roles,
            _folder: folder,
        }
    }

    /// A mailbox of a new session.
    pub(crate) fn mailbox(&self, capacity: usize) -> Arc<Mailbox> {
        self.serials.set(self.serials.get() + 1);
        Mailbox::new(self.serials.get(), capacity)
    }

    /// Asks the shard of an account as a session of its own.
    pub(crate) async fn ask(&self, account: &str, question: Question) -> Answer {
        self.ask_for(&self.mailbox(1), account, question).await
    }

    pub(crate) async fn ask_for(
        &self,
        mailbox: &Arc<Mailbox>,
        account: &str,
        question: Question,
    ) -> Answer {
        let from: SinkRef = mailbox.clone();
        let (shard, ask) = (self.shard_of(account), AskId(1));
        let asked = ToShard::Ask {
            from,
            ask,
            question,
        };
        self.routers.send_when_room(shard, asked).await;
        match mailbox.next().await {
            ToSession::Answer { answer, .. } => answer,
            other => panic!("{other:?} instead of an answer"),
        }
    }

    pub(crate) fn shard_of(&self, account: &str) -> ShardId {
        ShardId::of(&format!("{account}@localhost"), self.routers.shards())
    }
}

/// Node 1 has sessions, nodes 2 and 3 have shards.
async fn cluster(
    map: ShardMap,
    carrier: Carrier,
    env: &Arc<Environment>,
    services: &Arc<Services>,
) -> (Vec<RouterRole>, RoutersRef) {
    let (map, addresses) = (map.shared(), Addresses::default());
    let mut roles = Vec::new();
    for node in [2, 3] {
        let shards = InProcess::new(env.shards);
        let ways = Arc::new(ways(node, &map, Some(shards.clone()), &addresses));
        let surroundings = Surroundings {
            carrier: shards,
            peers: ways.clone(),
            routers: ways,
            lease: Lease::for_ever(),
        };
        let arbiters = [actix::Arbiter::current()];
        let role = RouterRole::join(env.clone(), services, &arbiters, surroundings).unwrap();
        role.serve_all();
        let address = serve(node, &map, &role).await;
        let cutter = Cutter::before(address).await;
        addresses.set(node, cutter.address);
        tokio::spawn(cut_again_and_again(cutter, carrier.breaks()));
        roles.push(role);
    }
    (roles, Arc::new(ways(1, &map, None, &addresses)))
}

fn ways(node: u32, map: &SharedMap, local: Option<Arc<InProcess>>, dial: &Addresses) -> Ways {
    Ways::start(WaysConfig {
        node,
        life: 1,
        options: options(),
        map: map.clone(),
        local: local.map(|shards| shards as ShardsRef),
        dial: Arc::new(dial.clone()),
        runtime: Handle::current(),
    })
}

async fn serve(node: u32, map: &SharedMap, role: &RouterRole) -> SocketAddr {
    let hall = Hall::start(HallConfig {
        node,
        life: 1,
        options: options(),
        map: map.clone(),
        shards: role.shards(),
        admit: Arc::new(|_, _| Some(rookery_link::Rights::ALL)),
        runtime: Handle::current(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = server_settings(Server::builder(), &options());
    let server = server.add_service(hall.service());
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

/// Keeps the way between nodes, and if it shall break cuts it so many times, at moments that have
/// nothing to do with what goes over it.
async fn cut_again_and_again(cutter: Cutter, breaks: bool) {
    if breaks {
        let mut moments = tokio::time::interval(Duration::from_millis(7));
        for _ in 0..CUTS {
            moments.tick().await;
            cutter.cut();
        }
    }
    std::future::pending().await
}

/// On a slow machine no connection comes to anything between two cuts.
const CUTS: u32 = 300;

async fn create(store: &MemoryStore, name: &str) {
    let account = NewAccount {
        jid: format!("{name}@localhost").parse().unwrap(),
        credentials: Credentials::derive("secret", b"salt", 1).unwrap(),
        created: Timestamp::now(),
        details: Default::default(),
        address: None,
        checks: NameChecks::ALL,
        standing: Standing::Member,
        inviter: None,
    };
    store.create_account(account).await.unwrap();
}
