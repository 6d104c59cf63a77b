//! The server's side of SCRAM (RFC 5802).

mod client_final;
mod client_first;
mod exchange;

pub(super) use self::client_final::ClientFinal;
pub(super) use self::client_first::{Binding, ClientFirst};
pub(super) use self::exchange::{AwaitFinal, Challenge, Channel};
