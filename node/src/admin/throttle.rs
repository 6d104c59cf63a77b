//! The service `Throttle`.

use rookery_control::{Control, ThrottleKey, ThrottleUse};
use rookery_proto::admin::throttle_server::Throttle;
use rookery_proto::admin::{
    ResetThrottleRequest, ResetThrottleResponse, ShowThrottleRequest, ShowThrottleResponse,
    ThrottleWindow,
};
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
        }))
    }

    async fn reset_throttle(
        &self,
        request: Request<ResetThrottleRequest>,
    ) -> Result<Response<ResetThrottleResponse>, Status> {
        let key = parse(&request.into_inner().key)?;
        let shown = key.to_string();
        let forgiven = self.control.reset_throttle(key).await;
        let forgiven = forgiven.map_err(unavailable)?;
        tracing::info!(key = shown, forgiven, "throttle reset");
        Ok(Response::new(ResetThrottleResponse { forgiven }))
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
