//! The service `Bans`.

use std::collections::BTreeSet;
use std::time::Duration;

use rookery_control::{Ban, BanList, BanTarget, BansRefused, Control};
use rookery_proto::admin::bans_server::Bans;
use rookery_proto::admin::{
    AddBansRequest, AddBansResponse, Ban as ApiBan, ListBansRequest, ListBansResponse,
    RemoveBansRequest, RemoveBansResponse,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use tonic::{Request, Response, Status};

use super::freshness::stale;
use super::status::{page_size, some_of};
use crate::operator::Operator;

/// Answers for the bans.
pub(super) struct BansService {
    operator: Operator,
    control: Control,
    hosts: BTreeSet<String>,
}

impl BansService {
    pub(super) fn new(operator: Operator) -> Self {
        let (control, hosts) = (operator.control().clone(), operator.hosts());
        Self {
            operator,
            control,
            hosts,
        }
    }

    /// Refuses what would lock out everybody.
    fn spares_hosts(&self, target: &BanTarget) -> Result<(), Status> {
        match target {
            BanTarget::Domain(domain) if self.hosts.contains(domain.as_ref()) => {
                let told = format!(
                    "`{domain}` is a host of this server: a ban would lock out all of its accounts; \
                     ban single ones, such as juliet@{domain}"
                );
                Err(Status::invalid_argument(told))
            }
            _ => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl Bans for BansService {
    async fn list_bans(
        &self,
        request: Request<ListBansRequest>,
    ) -> Result<Response<ListBansResponse>, Status> {
        let ListBansRequest {
            page_size: size,
            page_token,
        } = request.into_inner();
        let (after, stale) = match page_token.is_empty() {
            true => (None, stale(&self.operator).await),
            false => (Some(kept(&page_token)?), String::new()),
        };
        let (list, now) = (self.control.bans(), Timestamp::now());
        let mut held = list.after(after.as_ref()).filter(|ban| ban.holds(now));
        let bans: Vec<_> = held.by_ref().take(page_size(size)).map(to_api).collect();
        let last = bans.last().filter(|_| held.next().is_some());
        let next_page_token = last.map_or_else(String::new, |ban| ban.target.clone());
        Ok(Response::new(ListBansResponse {
            bans,
            next_page_token,
            version: list.version(),
            stale,
        }))
    }

    async fn add_bans(
        &self,
        request: Request<AddBansRequest>,
    ) -> Result<Response<AddBansResponse>, Status> {
        let AddBansRequest {
            targets,
            reason,
            seconds,
        } = request.into_inner();
        if reason.len() > Ban::REASON_BYTES_MAX {
            let most = Ban::REASON_BYTES_MAX;
            let told = format!("the reason is too long: {most} bytes at most");
            return Err(Status::invalid_argument(told));
        }
        let since = Timestamp::now();
        let expires = (seconds > 0).then(|| since.plus(Duration::from_secs(seconds)));
        let wanted = all(&targets, target)?;
        wanted
            .iter()
            .try_for_each(|target| self.spares_hosts(target))?;
        let bans = wanted.into_iter().map(|target| Ban {
            target,
            reason: reason.clone(),
            since,
            expires,
        });
        let added = self.control.add_bans(bans.collect()).await;
        let version = added.map_err(refused)?;
        let (count, some) = (targets.len(), some_of(&targets));
        tracing::info!(count, targets = some, reason, version, "bans added");
        Ok(Response::new(AddBansResponse { version }))
    }

    async fn remove_bans(
        &self,
        request: Request<RemoveBansRequest>,
    ) -> Result<Response<RemoveBansResponse>, Status> {
        let texts = request.into_inner().targets;
        let some = some_of(&texts);
        let targets: BTreeSet<_> = all(&texts, kept)?.into_iter().collect();
        let known = self.control.bans();
        let unknown = targets.iter().filter(|target| !known.has(target));
        let unknown: Vec<_> = unknown.map(BanTarget::to_string).collect();
        let wanted = targets.len() as u64;
        let removed = self
            .control
            .remove_bans(targets.into_iter().collect())
            .await;
        let (version, removed) = removed.map_err(refused)?;
        tracing::info!(removed, targets = some, version, "bans lifted");
        // This node may hear late of a ban: the group's count holds.
        let missing = if removed < wanted {
            unknown
        } else {
            Vec::new()
        };
        Ok(Response::new(RemoveBansResponse {
            version,
            removed,
            missing,
        }))
    }
}

fn all(
    texts: &[String],
    read: impl Fn(&str) -> Result<BanTarget, Status>,
) -> Result<Vec<BanTarget>, Status> {
    if texts.is_empty() || texts.len() > TARGETS_MAX {
        return Err(Status::invalid_argument(format!(
            "name from 1 to {TARGETS_MAX} targets"
        )));
    }
    texts.iter().map(|text| read(text)).collect()
}

/// The target of a ban that there may be, also one that nobody could add.
fn kept(text: &str) -> Result<BanTarget, Status> {
    target(text).or_else(|refused| BanTarget::try_from(text.to_owned()).map_err(|_| refused))
}

fn target(text: &str) -> Result<BanTarget, Status> {
    let parsed = text.parse::<BanTarget>();
    parsed.map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The ban that keeps an account out now, of itself or of its domain.
pub(super) fn of_account(bans: &BanList, jid: &Jid, now: Timestamp) -> Option<ApiBan> {
    let concerns = |target: &BanTarget| match target {
        BanTarget::Account(account) => **account == *jid.bare_str(),
        BanTarget::Domain(domain) => **domain == *jid.domain(),
        BanTarget::Network(_) => false,
    };
    let mut bans = bans.iter();
    bans.find(|ban| ban.holds(now) && concerns(&ban.target))
        .map(to_api)
}

fn to_api(ban: &Ban) -> ApiBan {
    ApiBan {
        target: ban.target.to_string(),
        kind: ban.target.kind().to_owned(),
        reason: ban.reason.clone(),
        since_ms: ban.since.as_millis(),
        expires_ms: ban.expires.map_or(0, Timestamp::as_millis),
    }
}

fn refused(refused: BansRefused) -> Status {
    match refused {
        BansRefused::Full => Status::resource_exhausted(refused.to_string()),
        BansRefused::Unavailable(unavailable) => super::nodes::unavailable(unavailable),
    }
}

/// In one call: it becomes one entry of the log.
const TARGETS_MAX: usize = 1_000;
