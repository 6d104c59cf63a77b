//! One shard: the machine that owns its accounts, and the actor that moves for it.

mod actor;
mod arrival;
mod effect;
mod gate;
mod invites;
mod left;
mod loading;
mod machine;
mod perform;
mod pictures;
mod standing;
mod streams;
mod turn;

pub use actor::{FromOutside, FromPeer, FromSession, Retire, ShardActor, Tenure};
pub use arrival::{Arrival, Came};
pub use effect::{Effect, Input, Reply, Request, RequestId};
pub use gate::{Admission, Gate};
pub use invites::{InviteReply, InviteRequest, ask_about_invites, of_somebody_who_may};
pub use left::LeftToNext;
pub use machine::Shard;
pub use perform::{Services, ask_store};
pub use rookery_session::carrier::PeerFrame;
pub use standing::Standing;
pub(crate) use turn::Cause;
pub use turn::{Run, RunFree, Then, Turn};
