//! The service `Names`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rookery_control::{Control, NameForms, NameKind, NameRule, NameRules, NamesRefused};
use rookery_proto::admin::names_server::Names;
use rookery_proto::admin::{
    CheckNameRequest, CheckNameResponse, Collision, ListCollisionsRequest, ListCollisionsResponse,
    ListNamesRequest, ListNamesResponse, ListTombstonesRequest, ListTombstonesResponse,
    NameRule as ApiRule, ReleaseNamesRequest, ReleaseNamesResponse, ReserveNamesRequest,
    ReserveNamesResponse, RestoreNameRequest, RestoreNameResponse, Tombstone as ApiTombstone,
};
use rookery_store::Store;
use rookery_store::account::Found;
use rookery_store::name::{Buried, Tombstone};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::{Jid, skeleton};
use tonic::{Request, Response, Status};

use super::freshness::stale;
use super::nodes::unavailable;
use super::status::{account, host_or_only, keeps_accounts, of_store, page_size, some_of};
use crate::operator::Operator;

/// Answers for names.
pub(super) struct NamesService {
    operator: Operator,
    control: Control,
    store: Arc<dyn Store>,
    hosts: BTreeSet<String>,
}

impl NamesService {
    pub(super) fn new(operator: Operator, store: Arc<dyn Store>) -> Self {
        let (control, hosts) = (operator.control().clone(), operator.hosts());
        Self {
            operator,
            control,
            store,
            hosts,
        }
    }

    /// Waits until this node knows a version of the rules, for whoever looks at accounts by them.
    async fn knows(&self, version: u64) {
        let mut lists = self.control.watch_names();
        let known = lists.wait_for(|list| list.version() >= version);
        // Who is too late lists collisions by the rules before: a look that can be taken again.
        let _ = tokio::time::timeout(PATIENCE, known).await;
    }

    async fn tombstone_and_presence(&self, jid: &Jid) -> Result<(bool, Option<Tombstone>), Status> {
        let found = self.store.load(jid).await;
        Ok(match found.map_err(|error| of_store(&error))? {
            Found::Account(_) => (true, None),
            Found::Gone(tombstone) => (false, Some(tombstone)),
            Found::Nobody => (false, None),
        })
    }
}

#[tonic::async_trait]
impl Names for NamesService {
    async fn list_names(
        &self,
        request: Request<ListNamesRequest>,
    ) -> Result<Response<ListNamesResponse>, Status> {
        let ListNamesRequest {
            page_size: size,
            page_token,
        } = request.into_inner();
        let stale = match page_token.is_empty() {
            true => stale(&self.operator).await,
            false => String::new(),
        };
        let list = self.control.names();
        let mut behind = list.iter().filter(|(rule, _)| rule.text > page_token);
        let page = behind.by_ref().take(page_size(size));
        let rules: Vec<_> = page.map(|(rule, added)| to_api(rule, added)).collect();
        let last = rules.last().filter(|_| behind.next().is_some());
        let next_page_token = last.map_or_else(String::new, |rule| rule.text.clone());
        Ok(Response::new(ListNamesResponse {
            rules,
            next_page_token,
            version: list.version(),
            stale,
        }))
    }

    async fn reserve_names(
        &self,
        request: Request<ReserveNamesRequest>,
    ) -> Result<Response<ReserveNamesResponse>, Status> {
        let ReserveNamesRequest {
            names,
            protect,
            reason,
        } = request.into_inner();
        if reason.len() > NameRule::REASON_BYTES_MAX {
            let most = NameRule::REASON_BYTES_MAX;
            let told = format!("the reason is too long: {most} bytes at most");
            return Err(Status::invalid_argument(told));
        }
        let (kind, now) = (kind(protect), Timestamp::now());
        let rules = check_count(&names)?.iter().map(|text| {
            let rule = NameRule::new(text, kind, &reason, now);
            rule.map_err(|error| Status::invalid_argument(error.to_string()))
        });
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<_> = rules.iter().map(|rule| rule.text.clone()).collect();
        let (count, kind) = (rules.len(), kind.as_str());
        let changed = self.control.reserve_names(rules).await.map_err(refused)?;
        let version = changed.version;
        tracing::info!(
            count,
            names = some_of(&names),
            kind,
            reason,
            version,
            "names withheld"
        );
        self.knows(version).await;
        Ok(Response::new(ReserveNamesResponse {
            version,
            names,
            under_way: changed.under_way,
        }))
    }

    async fn release_names(
        &self,
        request: Request<ReleaseNamesRequest>,
    ) -> Result<Response<ReleaseNamesResponse>, Status> {
        let names = request.into_inner().names;
        // Prepared as when they were made; what cannot be prepared is no rule, and passed over as such.
        let prepared = |text: &String| {
            let rule = NameRule::new(text, NameKind::Reserved, "", Timestamp(0));
            rule.map_or_else(|_| text.clone(), |rule| rule.text)
        };
        let texts: Vec<_> = check_count(&names)?.iter().map(prepared).collect();
        let some = some_of(&texts);
        let changed = self.control.release_names(texts).await.map_err(refused)?;
        let (version, released) = (changed.version, changed.changed);
        tracing::info!(released, names = some, version, "names released");
        self.knows(version).await;
        Ok(Response::new(ReleaseNamesResponse { version, released }))
    }

    async fn check_name(
        &self,
        request: Request<CheckNameRequest>,
    ) -> Result<Response<CheckNameResponse>, Status> {
        keeps_accounts(&self.operator)?;
        let jid = account(&request.into_inner().jid)?;
        host_or_only(&self.hosts, jid.domain())?;
        let local = jid.local().unwrap_or_default();
        let withheld = self.control.check_name(local).await.map_err(unavailable)?;
        let (exists, tombstone) = self.tombstone_and_presence(&jid).await?;
        let looks = skeleton(local);
        let like = self.store.names_like(jid.domain(), &looks, LIKE_SHOWN);
        let mut like = like.await.map_err(|error| of_store(&error))?;
        like.retain(|name| name != local);
        let now = Timestamp::now();
        let is_gone = tombstone.is_some_and(|it| it.holds(now));
        let is_alike = !like.is_empty() && self.operator.names().confusable;
        let (rule, kind) =
            withheld.map_or_else(Default::default, |(rule, kind)| (rule, kind.as_str()));
        Ok(Response::new(CheckNameResponse {
            free: !exists && !is_gone && !is_alike && rule.is_empty(),
            exists,
            rule,
            kind: kind.to_owned(),
            like: like
                .iter()
                .map(|name| format!("{name}@{}", jid.domain()))
                .collect(),
            tombstone: tombstone.map(|tombstone| {
                let jid = jid.clone();
                buried(&Buried { jid, tombstone }, now)
            }),
            jid: jid.as_str().to_owned(),
        }))
    }

    async fn list_collisions(
        &self,
        request: Request<ListCollisionsRequest>,
    ) -> Result<Response<ListCollisionsResponse>, Status> {
        keeps_accounts(&self.operator)?;
        let ListCollisionsRequest { host, page_token } = request.into_inner();
        let host = host_or_only(&self.hosts, &host)?;
        let (rules, mut after) = (self.control.names(), page_token);
        let (mut collisions, mut is_last) = (Vec::new(), false);
        for _ in 0..PAGES_LOOKED_AT {
            let page = self.store.list_accounts(host, Some(&after), PAGE).await;
            let page = page.map_err(|error| of_store(&error))?;
            is_last = page.len() < PAGE;
            let accounts = page.iter().map(|record| &record.jid);
            collisions.extend(accounts.filter_map(|jid| collision(&rules, jid)));
            if let Some(local) = page.last().and_then(|last| last.jid.local()) {
                after = local.to_owned();
            }
            if is_last || collisions.len() >= PAGE {
                break;
            }
        }
        if is_last {
            after.clear();
        }
        Ok(Response::new(ListCollisionsResponse {
            collisions,
            next_page_token: after,
        }))
    }

    async fn list_tombstones(
        &self,
        request: Request<ListTombstonesRequest>,
    ) -> Result<Response<ListTombstonesResponse>, Status> {
        keeps_accounts(&self.operator)?;
        let ListTombstonesRequest {
            host,
            page_size: size,
            page_token,
        } = request.into_inner();
        let (host, size) = (host_or_only(&self.hosts, &host)?, page_size(size));
        let after = Some(page_token.as_str()).filter(|token| !token.is_empty());
        let page = self.store.tombstones(host, after, size).await;
        let page = page.map_err(|error| of_store(&error))?;
        // A page that is full may be the last: the next one is empty then.
        let last = page.last().filter(|_| page.len() == size);
        let next = last.and_then(|last| last.jid.local()).unwrap_or_default();
        let now = Timestamp::now();
        Ok(Response::new(ListTombstonesResponse {
            next_page_token: next.to_owned(),
            tombstones: page.iter().map(|it| buried(it, now)).collect(),
        }))
    }

    async fn restore_name(
        &self,
        request: Request<RestoreNameRequest>,
    ) -> Result<Response<RestoreNameResponse>, Status> {
        keeps_accounts(&self.operator)?;
        let jid = account(&request.into_inner().jid)?;
        let lifted = self.store.lift_tombstone(&jid).await;
        if !lifted.map_err(|error| of_store(&error))? {
            return Err(Status::not_found(format!(
                "no deleted account withholds the name {}: `rookery admin names tombstones` lists those that do",
                jid.as_str()
            )));
        }
        tracing::info!(account = %jid, "name of a deleted account restored");
        Ok(Response::new(RestoreNameResponse {}))
    }
}

fn collision(rules: &NameRules, jid: &Jid) -> Option<Collision> {
    let rule = rules.withholding(&NameForms::of(jid.local()?))?;
    Some(Collision {
        jid: jid.as_str().to_owned(),
        rule: rule.text.clone(),
        kind: rule.kind.as_str().to_owned(),
    })
}

fn kind(protect: bool) -> NameKind {
    match protect {
        true => NameKind::Protected,
        false => NameKind::Reserved,
    }
}

fn check_count(names: &[String]) -> Result<&[String], Status> {
    match (1..=NAMES_MAX).contains(&names.len()) {
        true => Ok(names),
        false => Err(Status::invalid_argument(format!(
            "name from 1 to {NAMES_MAX} rules"
        ))),
    }
}

fn to_api(rule: &NameRule, by_operator: bool) -> ApiRule {
    ApiRule {
        text: rule.text.clone(),
        kind: rule.kind.as_str().to_owned(),
        reason: rule.reason.clone(),
        since_ms: rule.since.as_millis(),
        by_operator,
    }
}

fn buried(buried: &Buried, now: Timestamp) -> ApiTombstone {
    let Tombstone { at, until } = buried.tombstone;
    ApiTombstone {
        jid: buried.jid.as_str().to_owned(),
        gone_ms: at.as_millis(),
        until_ms: until.map_or(0, Timestamp::as_millis),
        holds: buried.tombstone.holds(now),
    }
}

fn refused(refused: NamesRefused) -> Status {
    match refused {
        NamesRefused::Full => Status::resource_exhausted(refused.to_string()),
        NamesRefused::Unavailable(error) => unavailable(error),
    }
}

/// In one call: it becomes one entry of the log.
const NAMES_MAX: usize = 1_000;

/// Look-alikes that are named.
const LIKE_SHOWN: usize = 10;

/// Accounts in one read of a walk, and how many reads make one answer: some ten thousand accounts, well below what a
/// caller waits for.
const PAGE: usize = 1_000;
const PAGES_LOOKED_AT: usize = 10;

/// How long a node may take to hear of what the group has decided.
const PATIENCE: Duration = Duration::from_secs(5);
