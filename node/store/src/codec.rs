//! The forms that values have in databases, the same in all of them.

use std::collections::BTreeMap;

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::inviter::Inviter;
use crate::log::Origin;
use crate::roster::Subscription;
use crate::standing::Remover;

/// Stored data does not make sense, for the reason `cause`.
pub(crate) fn corrupt(cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(cause.to_string().into())
}

/// A stored JID.
pub(crate) fn jid(text: &str) -> Result<Jid, StoreError> {
    Jid::parse(text).map_err(|error| corrupt(&error))
}

/// A moment as a signed integer; one beyond its range is kept as the last.
pub(crate) fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}

/// A stored moment.
pub(crate) fn timestamp(millis: i64) -> Timestamp {
    Timestamp(u64::try_from(millis).unwrap_or(0))
}

/// A stored origin.
pub(crate) fn origin(packed: &[u8]) -> Result<Origin, StoreError> {
    Origin::unpack(packed).ok_or_else(|| corrupt(&"an origin has another length"))
}

/// A value as text that operators can read too.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Invalid("the value cannot be stored"))
}

/// A stored value.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(&error))
}

/// What is known of how an account was made: what the form asked for, and who invited it.
pub(crate) fn details_to_json(
    mut details: BTreeMap<String, String>,
    inviter: Option<Inviter>,
) -> Result<String, StoreError> {
    if let Some(inviter) = inviter {
        inviter.put(&mut details);
    }
    to_json(&details)
}

/// The same as it was stored.
pub(crate) fn details_from_json(
    text: &str,
) -> Result<(BTreeMap<String, String>, Option<Inviter>), StoreError> {
    let mut details = from_json(text)?;
    let inviter = Inviter::take(&mut details)?;
    Ok((details, inviter))
}

/// Bit 0: to. Bit 1: from.
pub(crate) fn encode_subscription(subscription: Subscription) -> i64 {
    match subscription {
        Subscription::None => 0,
        Subscription::To => 1,
        Subscription::From => 2,
        Subscription::Both => 3,
    }
}

/// A stored subscription.
pub(crate) fn decode_subscription(code: i64) -> Result<Subscription, StoreError> {
    match code {
        0 => Ok(Subscription::None),
        1 => Ok(Subscription::To),
        2 => Ok(Subscription::From),
        3 => Ok(Subscription::Both),
        _ => Err(corrupt(&"a subscription is none of the four")),
    }
}

/// A stored remover.
pub(crate) fn decode_remover(code: i64) -> Result<Remover, StoreError> {
    let known = u8::try_from(code).ok().and_then(Remover::of_code);
    known.ok_or_else(|| corrupt(&"an account was removed by neither its owner nor an operator"))
}
