//! A router with real shards, and the way to it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use rookery_control::{Control, ControlOptions, NodeId, RegistrationPolicy};
use rookery_link::{Hall, HallConfig, ShardMap, Ways, WaysConfig, server_settings};
use rookery_router::environment::Environment;
use rookery_router::modules::{Registry, all};
use rookery_router::shard::Services;
use rookery_router::{RouterOptions, RouterRole};
use rookery_session::carrier::{
    Answer, AskId, Question, RoutersRef, ShardId, SinkRef, ToSession, ToShard,
};
use rookery_store::account::NewAccount;
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
}

/// The way to the shards, and all that it stands on.
pub(crate) struct World {
    pub(crate) routers: RoutersRef,
    serials: Cell<u64>,
    _role: RouterRole,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start(carrier: Carrier, router: RouterOptions) -> Self {
        let shards = router.shards;
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
        let env = Environment::new(
            ["localhost".to_owned()],
            [],
            router,
            Registry::new(all()),
            Timestamp::now(),
        );
        let services = Services::new(store, control, 1);
        let arbiters = [actix::Arbiter::current()];
        let role = RouterRole::start(env, &services, &arbiters).unwrap();
        let routers = match carrier {
            Carrier::InProcess => role.routers(),
            Carrier::Grpc | Carrier::BreakingGrpc => {
                let breaks = carrier == Carrier::BreakingGrpc;
                Arc::new(link(&role, shards, breaks).await)
            }
        };
        Self {
            routers,
            serials: Cell::new(0),
            _role: role,
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

/// Node 1 reaches the shards of node 2.
async fn link(role: &RouterRole, shards: u16, breaks: bool) -> Ways {
    let map = ShardMap::all_on(2, shards).shared();
    let hall = Hall::start(HallConfig {
        node: 2,
        life: 1,
        options: options(),
        map: map.clone(),
        shards: role.shards(),
        admit: Arc::new(|_, _| true),
        runtime: Handle::current(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = server_settings(Server::builder(), &options());
    let server = server.add_service(hall.service());
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let addresses = Addresses::default();
    let cutter = Cutter::before(address).await;
    addresses.set(2, cutter.address);
    if breaks {
        tokio::spawn(async move {
            let mut moments = tokio::time::interval(Duration::from_millis(7));
            loop {
                moments.tick().await;
                cutter.cut();
            }
        });
    } else {
        // It stays as long as the process.
        std::mem::forget(cutter);
    }
    Ways::start(WaysConfig {
        node: 1,
        life: 1,
        options: options(),
        map,
        local: None,
        dial: Arc::new(addresses),
        runtime: Handle::current(),
    })
}

async fn create(store: &MemoryStore, name: &str) {
    let account = NewAccount {
        jid: format!("{name}@localhost").parse().unwrap(),
        credentials: Credentials::derive("secret", b"salt", 1).unwrap(),
        created: Timestamp::now(),
        details: Default::default(),
        address: None,
    };
    store.create_account(account).await.unwrap();
}
