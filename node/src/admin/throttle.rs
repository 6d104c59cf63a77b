//! The service `Throttle`.

use rookery_control::{
    Control, ListChange, ListsRefused, Network, RefusalCause, Refusals as Counted, ThrottleKey,
    ThrottleUse,
};
use rookery_proto::admin::throttle_server::Throttle;
use rookery_proto::admin::{
    ChangeNetworksRequest, ChangeNetworksResponse, ListNetworksRequest, ListNetworksResponse,
    OverloadBlock, RefusalHour, Refusals, ResetNetworksRequest, ResetNetworksResponse,
    ResetThrottleRequest, ResetThrottleResponse, ShowRefusalsRequest, ShowRefusalsResponse,
    ShowThrottleRequest, ShowThrottleResponse, ThrottleWindow,
};
use rookery_xmpp::clock::Timestamp;
use tonic::{Request, Response, Status};

use super::nodes::unavailable;
use super::status::page_size;

/// Answers for what the registration throttle has counted.
pub(super) struct ThrottleService {
    control: Control,
}

impl ThrottleService {
    pub(super) fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl Throttle for ThrottleService {
    async fn show_throttle(
        &self,
        request: Request<ShowThrottleRequest>,
    ) -> Result<Response<ShowThrottleResponse>, Status> {
        let ShowThrottleRequest { key, limit } = request.into_inner();
        let key = match key.is_empty() {
            true => None,
            false => Some(parse(&key)?),
        };
        let report = self.control.throttle_report(key).await;
        let report = report.map_err(unavailable)?;
        let shown = report.uses.into_iter().take(page_size(limit)).map(to_api);
        Ok(Response::new(ShowThrottleResponse {
            windows: shown.collect(),
            keys: report.keys,
            out: report.out.iter().map(out).collect(),
            remembered: report.remembered,
        }))
    }

    async fn reset_throttle(
        &self,
        request: Request<ResetThrottleRequest>,
    ) -> Result<Response<ResetThrottleResponse>, Status> {
        let ResetThrottleRequest { key, all } = request.into_inner();
        if key.is_empty() != all {
            let why = "name a key such as address:192.0.2.7, or all of them";
            return Err(Status::invalid_argument(why));
        }
        let forgiven = match all {
            true => self.control.reset_all_throttle().await,
            false => self.control.reset_throttle(parse(&key)?).await,
        };
        let forgiven = forgiven.map_err(unavailable)?;
        tracing::info!(key, all, forgiven, "throttle reset");
        Ok(Response::new(ResetThrottleResponse { forgiven }))
    }

    async fn list_networks(
        &self,
        _: Request<ListNetworksRequest>,
    ) -> Result<Response<ListNetworksResponse>, Status> {
        let policy = self.control.read_policy().await.map_err(unavailable)?;
        let shown = |list: &std::collections::BTreeSet<ipnet::IpNet>| {
            let shown = list.iter().map(|network| Network(*network).to_string());
            shown.collect()
        };
        Ok(Response::new(ListNetworksResponse {
            allow: shown(&policy.lists.allow),
            block: shown(&policy.lists.block),
            allow_only: policy.lists.allow_only,
            overridden: policy.lists_overridden,
            version: policy.version,
        }))
    }

    async fn change_networks(
        &self,
        request: Request<ChangeNetworksRequest>,
    ) -> Result<Response<ChangeNetworksResponse>, Status> {
        let request = request.into_inner();
        let change = ListChange {
            allow: networks(&request.allow)?,
            disallow: networks(&request.disallow)?,
            block: networks(&request.block)?,
            unblock: networks(&request.unblock)?,
            allow_only: request.allow_only,
        };
        let changed = self.control.change_lists(change).await;
        let (version, changed) = changed.map_err(|error| match error {
            ListsRefused::Full => Status::failed_precondition(error.to_string()),
            ListsRefused::Unavailable(error) => unavailable(error),
        })?;
        tracing::info!(
            allow = ?request.allow,
            disallow = ?request.disallow,
            block = ?request.block,
            unblock = ?request.unblock,
            allow_only = request.allow_only,
            version,
            "networks of the throttle changed"
        );
        Ok(Response::new(ChangeNetworksResponse { version, changed }))
    }

    async fn reset_networks(
        &self,
        _: Request<ResetNetworksRequest>,
    ) -> Result<Response<ResetNetworksResponse>, Status> {
        let version = self.control.reset_lists().await.map_err(unavailable)?;
        tracing::info!(version, "networks of the throttle are the configuration's");
        Ok(Response::new(ResetNetworksResponse { version }))
    }

    async fn show_refusals(
        &self,
        _: Request<ShowRefusalsRequest>,
    ) -> Result<Response<ShowRefusalsResponse>, Status> {
        let counted = self.control.refusals().await.map_err(unavailable)?;
        Ok(Response::new(refusals(&counted, Timestamp::now())))
    }
}

/// All of them in one change.
fn networks(texts: &[String]) -> Result<Vec<ipnet::IpNet>, Status> {
    let parse = |text: &String| match text.parse::<Network>() {
        Ok(network) => Ok(network.0),
        Err(error) => Err(Status::invalid_argument(error.to_string())),
    };
    texts.iter().map(parse).collect()
}

fn refusals(counted: &Counted, now: Timestamp) -> ShowRefusalsResponse {
    let hours = counted.hours.iter().map(|hour| RefusalHour {
        since_ms: hour.since.as_millis(),
        counts: hour
            .counts
            .iter()
            .map(|(cause, count)| (cause.as_str().to_owned(), *count))
            .collect(),
    });
    let of_hour = now.as_millis() / HOUR_MS * HOUR_MS;
    let causes = RefusalCause::ALL.into_iter().filter_map(|cause| {
        let in_hours = |from: u64| {
            let hours = counted.hours.iter();
            let hours = hours.filter(|hour| hour.since.as_millis() >= from);
            hours.filter_map(|hour| hour.counts.get(&cause)).sum()
        };
        Some(Refusals {
            cause: cause.as_str().to_owned(),
            total: *counted.total.get(&cause)?,
            day: in_hours(0),
            hour: in_hours(of_hour),
        })
    });
    ShowRefusalsResponse {
        causes: causes.collect(),
        hours: hours.collect(),
    }
}

const HOUR_MS: u64 = 3_600_000;

fn out((network, until): &(ipnet::IpNet, Timestamp)) -> OverloadBlock {
    OverloadBlock {
        network: Network(*network).to_string(),
        until_ms: until.as_millis(),
    }
}

fn parse(text: &str) -> Result<ThrottleKey, Status> {
    let parsed = text.parse::<ThrottleKey>();
    parsed.map_err(|error| Status::invalid_argument(error.to_string()))
}

fn to_api(window: ThrottleUse) -> ThrottleWindow {
    ThrottleWindow {
        key: window.key.to_string(),
        window: window.key.window().as_str().to_owned(),
        used: window.used,
        limit: window.limit,
        free_in_ms: window.free_in_ms,
    }
}
