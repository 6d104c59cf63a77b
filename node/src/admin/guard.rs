//! The service `Guard`.

use rookery_control::{BanTarget, Control, GuardCount};
use rookery_proto::admin::guard_server::Guard;
use rookery_proto::admin::{
    GuardTarget, ResetGuardRequest, ResetGuardResponse, ShowGuardRequest, ShowGuardResponse,
};
use tonic::{Request, Response, Status};

use super::nodes::unavailable;
use super::status::page_size;

/// Answers for the failed logins that the control group remembers.
pub(super) struct GuardService {
    control: Control,
}

impl GuardService {
    pub(super) fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl Guard for GuardService {
    async fn show_guard(
        &self,
        request: Request<ShowGuardRequest>,
    ) -> Result<Response<ShowGuardResponse>, Status> {
        let ShowGuardRequest { target, limit } = request.into_inner();
        let report = self.control.guard_report(parse(&target)?).await;
        let report = report.map_err(unavailable)?;
        let shown = report.counts.into_iter().take(page_size(limit)).map(to_api);
        Ok(Response::new(ShowGuardResponse {
            counts: shown.collect(),
            targets: report.targets,
        }))
    }

    async fn reset_guard(
        &self,
        request: Request<ResetGuardRequest>,
    ) -> Result<Response<ResetGuardResponse>, Status> {
        let ResetGuardRequest { target, all } = request.into_inner();
        if target.is_empty() != all {
            let why = "name a network or an account, or all of them";
            return Err(Status::invalid_argument(why));
        }
        let forgiven = self.control.reset_guard(parse(&target)?).await;
        let forgiven = forgiven.map_err(unavailable)?;
        tracing::info!(target, forgiven, "login guard reset");
        Ok(Response::new(ResetGuardResponse { forgiven }))
    }
}

/// None where nobody is named.
fn parse(text: &str) -> Result<Option<BanTarget>, Status> {
    let wrong = || {
        let shown: String = text.chars().take(64).collect();
        Status::invalid_argument(format!(
            "\"{shown}\" is neither a network such as 192.0.2.0/24 nor an account such as juliet@example.org"
        ))
    };
    match text {
        "" => Ok(None),
        text => match text.parse() {
            Ok(BanTarget::Domain(_)) | Err(_) => Err(wrong()),
            Ok(target) => Ok(Some(target)),
        },
    }
}

fn to_api(count: GuardCount) -> GuardTarget {
    GuardTarget {
        target: count.target.to_string(),
        kind: count.target.kind().to_owned(),
        failures: count.failures,
        blocked_until_ms: count.blocked_until.map(|until| until.as_millis()),
        known: u32::try_from(count.known).unwrap_or(u32::MAX),
    }
}
