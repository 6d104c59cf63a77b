//! Fields of requests, and errors of other parts, in gRPC's terms.

use std::collections::BTreeSet;

use rookery_control::NodeRole;
use rookery_router::PASSWORD_BYTES_MAX;
use rookery_store::StoreError;
use rookery_xmpp::jid::Jid;
use tonic::Status;

use super::nodes::run_it_on;
use crate::config::Role;
use crate::operator::Operator;

/// A bare JID with a local part.
pub(super) fn account(text: &str) -> Result<Jid, Status> {
    let jid = any_jid(text)?;
    if jid.local().is_none() || !jid.is_bare() {
        return Err(Status::invalid_argument(format!(
            "`{text}` is not the address of an account: write name@host"
        )));
    }
    Ok(jid)
}

/// Any JID with a local part, with or without a resource.
pub(super) fn any_jid(text: &str) -> Result<Jid, Status> {
    let jid: Jid = text.parse().map_err(|error| {
        Status::invalid_argument(format!("`{text}` is not an address: {error}"))
    })?;
    if jid.local().is_none() {
        return Err(Status::invalid_argument(format!(
            "`{text}` names a host, not an account: write name@host"
        )));
    }
    Ok(jid)
}

/// The first of some texts, for a line of the log that says beside it how many there are.
pub(super) fn some_of(texts: &[String]) -> String {
    texts[..texts.len().min(LOGGED_MAX)].join(", ")
}

/// Texts in one line of the log.
const LOGGED_MAX: usize = 8;

/// Refuses a host that is not served.
pub(super) fn served(hosts: &BTreeSet<String>, wanted: &str) -> Result<(), Status> {
    if hosts.contains(wanted) {
        return Ok(());
    }
    let known: Vec<_> = hosts.iter().map(String::as_str).collect();
    Err(Status::invalid_argument(format!(
        "`{wanted}` is not served here; the hosts are: {}",
        known.join(", ")
    )))
}

/// The host that is named, or the only one that is served.
pub(super) fn host_or_only<'a>(
    hosts: &'a BTreeSet<String>,
    wanted: &'a str,
) -> Result<&'a str, Status> {
    if hosts.contains(wanted) {
        return Ok(wanted);
    }
    let known: Vec<_> = hosts.iter().map(String::as_str).collect();
    match hosts.first() {
        Some(only) if wanted.is_empty() && hosts.len() == 1 => Ok(only),
        _ if wanted.is_empty() => Err(Status::invalid_argument(format!(
            "name one of the hosts: {}",
            known.join(", ")
        ))),
        _ => served(hosts, wanted).map(|()| wanted),
    }
}

/// Refuses a password that no account may have because of its length.
pub(super) fn check_password(password: &str) -> Result<(), Status> {
    match password.len() <= PASSWORD_BYTES_MAX {
        true => Ok(()),
        false => Err(Status::invalid_argument(format!(
            "the password has {} bytes: it may have {PASSWORD_BYTES_MAX} at most",
            password.len()
        ))),
    }
}

/// What a caller is told when the store refuses.
pub(super) fn of_store(error: &StoreError) -> Status {
    match error {
        StoreError::NotFound => Status::not_found("there is no such account"),
        StoreError::AlreadyExists => Status::already_exists("the account exists already"),
        StoreError::Confusable { .. } | StoreError::Gone { .. } => {
            Status::failed_precondition(error.to_string())
        }
        StoreError::Invalid(_) => Status::invalid_argument(error.to_string()),
        StoreError::Full | StoreError::Busy => Status::resource_exhausted(error.to_string()),
        _ => Status::unavailable(error.to_string()),
    }
}

/// Refuses what only a node with the accounts can tell: another has a store too, which is not theirs.
pub(super) fn keeps_accounts(operator: &Operator) -> Result<(), Status> {
    if operator.has(Role::Router) {
        return Ok(());
    }
    let directory = operator.control().directory();
    let nodes = directory.nodes.iter();
    let routers = nodes.filter(|node| node.roles.contains(&NodeRole::Router));
    let told = format!("this node keeps no accounts: {}", run_it_on(routers));
    Err(Status::failed_precondition(told))
}

/// The size of a page: 100 unless told, 1000 at most.
pub(super) fn page_size(wanted: u32) -> usize {
    match wanted {
        0 => 100,
        wanted => wanted.min(1000) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_too_long_is_refused_by_its_length() {
        assert!(check_password(&"x".repeat(PASSWORD_BYTES_MAX)).is_ok());
        let refused = check_password(&"x".repeat(1_000_000)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains("4096"), "{refused}");
    }
}
