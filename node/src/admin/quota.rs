//! The service `Quota`.

use std::collections::BTreeSet;

use rookery_control::quota::TapState;
use rookery_control::{QuotaKey, QuotaKind, QuotaReport};
use rookery_proto::admin::quota_server::Quota;
use rookery_proto::admin::{
    QuotaBudget, QuotaFloor, QuotaLease, QuotaState, ResetQuotaRequest, ResetQuotaResponse,
    ShowQuotaRequest, ShowQuotaResponse, StreamLimit,
};
use rookery_session::BandwidthOptions;
use rookery_session::carrier::{AdminAnswer, AdminQuestion};
use rookery_xmpp::units::{Rate, Span};
use tonic::{Request, Response, Status};

use super::nodes::unavailable;
use super::shards::{Shards, unexpected};
use super::status::{account, page_size, served};
use super::users::no_account;
use crate::operator::Operator;
use crate::quota::QuotaKeeper;

/// Answers for the traffic budgets.
pub(super) struct QuotaService {
    operator: Operator,
    keeper: QuotaKeeper,
    shards: Shards,
    hosts: BTreeSet<String>,
}

impl QuotaService {
    pub(super) fn new(operator: &Operator, shards: Shards) -> Self {
        Self {
            operator: operator.clone(),
            keeper: operator.quota().clone(),
            shards,
            hosts: operator.hosts(),
        }
    }

    /// Refuses the budget of an account that does not exist: nobody could have used it up, so the name is mistyped.
    async fn has_owner(&self, key: &QuotaKey) -> Result<(), Status> {
        let QuotaKey::Account(name) = key else {
            return Ok(());
        };
        let jid = account(name)?;
        served(&self.hosts, jid.domain())?;
        let question = AdminQuestion::ShowAccount {
            account: jid.clone(),
        };
        match self.shards.ask(&jid, question).await? {
            AdminAnswer::Account(_) => Ok(()),
            AdminAnswer::NotFound => Err(no_account(&jid)),
            other => Err(unexpected(&other)),
        }
    }
}

#[tonic::async_trait]
impl Quota for QuotaService {
    async fn show_quota(
        &self,
        request: Request<ShowQuotaRequest>,
    ) -> Result<Response<ShowQuotaResponse>, Status> {
        let ShowQuotaRequest { key, limit } = request.into_inner();
        let key = match key.is_empty() {
            true => None,
            false => Some(parse(&key)?),
        };
        let report = self.keeper.report(key.clone()).await.map_err(unavailable)?;
        let policy = self.keeper.policy();
        let budgets = QuotaKind::ALL.into_iter().filter_map(|kind| {
            policy.rate(kind).map(|rate| QuotaBudget {
                kind: kind.as_str().to_owned(),
                bytes_per_second: rate.bytes_per_second,
                burst_ms: rate.burst_ms,
            })
        });
        let mut keys = self.keeper.show();
        keys.retain(|state| key.as_ref().is_none_or(|key| *key == state.key));
        let limit = page_size(limit);
        let bandwidth = self.operator.bandwidth();
        Ok(Response::new(ShowQuotaResponse {
            budgets: budgets.collect(),
            more_keys: keys.len() > limit,
            keys: keys.into_iter().take(limit).map(to_state).collect(),
            floors: floors(&report),
            more_leases: report.more || report.holdings.len() > limit,
            leases: leases(report, limit),
            streams: streams(&bandwidth),
            exempt: bandwidth.exempt,
        }))
    }

    async fn reset_quota(
        &self,
        request: Request<ResetQuotaRequest>,
    ) -> Result<Response<ResetQuotaResponse>, Status> {
        let key = parse(&request.into_inner().key)?;
        self.has_owner(&key).await?;
        tracing::info!(%key, "traffic budget reset");
        self.keeper.reset(key).await.map_err(unavailable)?;
        Ok(Response::new(ResetQuotaResponse {}))
    }
}

fn parse(text: &str) -> Result<QuotaKey, Status> {
    let parsed = text.parse::<QuotaKey>();
    parsed.map_err(|error| Status::invalid_argument(error.to_string()))
}

fn to_state(state: TapState) -> QuotaState {
    QuotaState {
        key: state.key.to_string(),
        floor: state.floor,
        leased: state.lent,
        level_bytes: state.level,
        read_bytes: state.spent,
        waits: state.limited,
        sessions: u32::try_from(state.sessions).unwrap_or(u32::MAX),
    }
}

fn streams(limits: &BandwidthOptions) -> Vec<StreamLimit> {
    let stream = |kind: &str, rate: Rate, burst: Span| StreamLimit {
        kind: kind.to_owned(),
        bytes_per_second: rate.bytes_per_second(),
        burst_ms: burst.as_ms(),
        ..StreamLimit::default()
    };
    let client = stream("client", limits.client_rate, limits.client_burst);
    vec![
        StreamLimit {
            stanzas_per_second: limits.client_stanzas_per_second,
            stanzas_burst: limits.client_stanzas_burst,
            ..client
        },
        stream("server-in", limits.server_in_rate, limits.server_in_burst),
        stream(
            "server-out",
            limits.server_out_rate,
            limits.server_out_burst,
        ),
    ]
}

fn floors(report: &QuotaReport) -> Vec<QuotaFloor> {
    let floors = report.floors.iter().map(|(node, billionths)| QuotaFloor {
        node: node.get(),
        billionths: *billionths,
    });
    floors.collect()
}

fn leases(report: QuotaReport, limit: usize) -> Vec<QuotaLease> {
    let holdings = report.holdings.into_iter().take(limit);
    let leases = holdings.map(|holding| QuotaLease {
        key: holding.key.to_string(),
        node: holding.node.get(),
        leased: holding.holds,
        wanted: holding.wants,
    });
    leases.collect()
}
