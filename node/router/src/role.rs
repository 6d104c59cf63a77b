//! Starts the router role.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix::{Actor, ArbiterHandle};
use futures_util::future::join_all;
use rookery_session::carrier::{RoutersRef, ShardId, ShardsRef};
use thiserror::Error;

use crate::carrier::{InProcess, Peers};
use crate::environment::Environment;
use crate::lease::Lease;
use crate::shard::{Retire, Services, ShardActor, Tenure};

/// The running router role: the shards that this process serves.
pub struct RouterRole {
    surroundings: Surroundings,
    env: Arc<Environment>,
    services: Arc<Services>,
    arbiters: Vec<ArbiterHandle>,
}

/// What the role stands in.
#[derive(Clone)]
pub struct Surroundings {
    /// The shards of this process.
    pub carrier: Arc<InProcess>,
    /// The way to all shards, wherever they are.
    pub peers: Arc<dyn Peers>,
    /// The way to all shards for the connection role and the admin API.
    pub routers: RoutersRef,
    /// Until when this node may serve shards.
    pub lease: Lease,
}

/// Why the role could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The caller gave no thread to run on.
    #[error("the router role needs at least one arbiter")]
    NoArbiter,
}

impl Surroundings {
    /// A process that is its whole cluster.
    pub fn alone(shards: u16) -> Self {
        let carrier = InProcess::new(shards);
        Self {
            peers: carrier.clone(),
            routers: carrier.clone(),
            carrier,
            lease: Lease::for_ever(),
        }
    }
}

impl RouterRole {
    /// Starts the role on a set of arbiters, serving all shards for ever. Must be called inside an
    /// actix system.
    pub fn start(
        env: Arc<Environment>,
        services: &Arc<Services>,
        arbiters: &[ArbiterHandle],
    ) -> Result<Self, StartError> {
        Self::start_above(env, services, arbiters, 0)
    }

    /// The same, on a store that holds what was appended up to this epoch.
    pub fn start_above(
        env: Arc<Environment>,
        services: &Arc<Services>,
        arbiters: &[ArbiterHandle],
        epoch: u32,
    ) -> Result<Self, StartError> {
        let surroundings = Surroundings::alone(env.shards);
        let role = Self::join(env, services, arbiters, surroundings)?;
        role.serve_all_under(epoch.max(FIRST_EPOCH));
        Ok(role)
    }

    /// Starts the role in a cluster. It serves nothing until it is told to.
    pub fn join(
        env: Arc<Environment>,
        services: &Arc<Services>,
        arbiters: &[ArbiterHandle],
        surroundings: Surroundings,
    ) -> Result<Self, StartError> {
        if arbiters.is_empty() {
            return Err(StartError::NoArbiter);
        }
        Ok(Self {
            surroundings,
            env,
            services: services.clone(),
            arbiters: arbiters.to_vec(),
        })
    }

    /// Serves all shards from now on, as nobody else ever will.
    pub fn serve_all(&self) {
        self.serve_all_under(FIRST_EPOCH);
    }

    fn serve_all_under(&self, epoch: u32) {
        self.serve((0..self.env.shards).map(|shard| Tenure {
            shard: ShardId(shard),
            epoch,
            awaited: BTreeSet::new(),
            arrival: None,
        }));
    }

    /// Serves these shards from now on: one actor each, spread over the arbiters.
    pub fn serve(&self, tenures: impl IntoIterator<Item = Tenure>) {
        let started = tenures.into_iter().map(|tenure| {
            let (env, services) = (self.env.clone(), self.services.clone());
            let Surroundings { peers, lease, .. } = self.surroundings.clone();
            let arbiter = &self.arbiters[usize::from(tenure.shard.0) % self.arbiters.len()];
            let shard = tenure.shard;
            let actor = ShardActor::start_in_arbiter(arbiter, move |_| {
                ShardActor::new(tenure, lease, env, services, peers)
            });
            (shard, Some(actor))
        });
        let started: Vec<_> = started.collect();
        self.surroundings.carrier.set(started);
    }

    /// Serves these shards no more. When it returns, nothing of what they had begun is acknowledged any
    /// more; the next owner goes on with their sessions.
    pub async fn retire(&self, shards: impl IntoIterator<Item = ShardId>) {
        let gone = shards.into_iter().map(|shard| (shard, None));
        let gone: Vec<_> = gone.collect();
        let gone = self.surroundings.carrier.set(gone);
        // One that has stopped already is what is wanted.
        join_all(gone.into_iter().map(|actor| actor.send(Retire))).await;
    }

    /// The way to the shards, for the connection role and the admin API.
    pub fn routers(&self) -> RoutersRef {
        self.surroundings.routers.clone()
    }

    /// The way to the shards for stanzas that the server itself sends.
    pub fn peers(&self) -> Arc<dyn Peers> {
        self.surroundings.peers.clone()
    }

    /// Whether a shard is served here.
    pub fn serves(&self, shard: ShardId) -> bool {
        self.surroundings.carrier.serves(shard)
    }

    /// The shards, for the links that bring frames from other nodes.
    pub fn shards(&self) -> ShardsRef {
        self.surroundings.carrier.clone()
    }

    /// What the shards share; its options can be replaced while running.
    pub fn environment(&self) -> &Arc<Environment> {
        &self.env
    }
}

/// A process that is its whole cluster never has another owner.
const FIRST_EPOCH: u32 = 1;
