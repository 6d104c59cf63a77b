//! One shard: the machine that owns its accounts, and the actor that moves for it.

mod actor;
mod effect;
mod machine;
mod perform;
mod turn;

pub use actor::{FromPeer, FromSession, ShardActor};
pub use effect::{Effect, Input, PeerFrame, Reply, Request, RequestId};
pub use machine::Shard;
pub use perform::{Services, ask_store};
pub use turn::{Run, RunFree, Then, Turn};
