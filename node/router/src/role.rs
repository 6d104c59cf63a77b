//! Starts the router role.

use std::sync::Arc;

use actix::{Actor, ArbiterHandle};
use rookery_session::carrier::{RoutersRef, ShardId, ShardsRef};
use thiserror::Error;

use crate::carrier::{InProcess, Peers};
use crate::environment::Environment;
use crate::shard::{Services, ShardActor};

/// The running router role: all shards of this process.
pub struct RouterRole {
    carrier: Arc<InProcess>,
    env: Arc<Environment>,
}

/// Why the role could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The caller gave no thread to run on.
    #[error("the router role needs at least one arbiter")]
    NoArbiter,
}

impl RouterRole {
    /// Starts one actor a shard, spread over the arbiters, all of which are in this process. Must be
    /// called inside an actix system.
    pub fn start(
        env: Arc<Environment>,
        services: &Arc<Services>,
        arbiters: &[ArbiterHandle],
    ) -> Result<Self, StartError> {
        Self::start_among(env, services, arbiters, |shards| shards)
    }

    /// Starts the role where shards may be on other nodes: `peers` is given this process's shards
    /// and makes their way to all others.
    pub fn start_among<P: Peers + 'static>(
        env: Arc<Environment>,
        services: &Arc<Services>,
        arbiters: &[ArbiterHandle],
        peers: impl FnOnce(Arc<InProcess>) -> Arc<P>,
    ) -> Result<Self, StartError> {
        if arbiters.is_empty() {
            return Err(StartError::NoArbiter);
        }
        let carrier = Arc::new(InProcess::default());
        let peers: Arc<dyn Peers> = peers(carrier.clone());
        let start = |id: u16| {
            let (env, services, peers) = (env.clone(), services.clone(), peers.clone());
            let arbiter = &arbiters[usize::from(id) % arbiters.len()];
            ShardActor::start_in_arbiter(arbiter, move |_| {
                ShardActor::new(ShardId(id), env, services, peers)
            })
        };
        let shards = (0..env.shards).map(start).collect();
        carrier.connect(shards);
        Ok(Self { carrier, env })
    }

    /// The way to the shards, for the connection role and the admin API.
    pub fn routers(&self) -> RoutersRef {
        self.carrier.clone()
    }

    /// The shards, for the links that bring frames from other nodes.
    pub fn shards(&self) -> ShardsRef {
        self.carrier.clone()
    }

    /// What the shards share; its options can be replaced while running.
    pub fn environment(&self) -> &Arc<Environment> {
        &self.env
    }
}
