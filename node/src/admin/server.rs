//! The service `Server`.

use std::time::Duration;

use rookery_proto::admin::server_server::Server;
use rookery_proto::admin::{
    DrainRequest, DrainResponse, ReloadRequest, ReloadResponse, SetLogLevelRequest,
    SetLogLevelResponse, ShowLogLevelRequest, ShowLogLevelResponse, ShowStatusRequest,
    ShowStatusResponse, ShowVersionRequest, ShowVersionResponse, StopRequest, StopResponse,
};
use tonic::{Request, Response, Status};

use super::nodes::alone;
use crate::cluster::{RestError, nodes_refused};
use crate::operator::Operator;

/// Answers for the node.
pub(super) struct ServerService {
    operator: Operator,
}

impl ServerService {
    pub(super) fn new(operator: Operator) -> Self {
        Self { operator }
    }
}

#[tonic::async_trait]
impl Server for ServerService {
    async fn show_status(
        &self,
        _: Request<ShowStatusRequest>,
    ) -> Result<Response<ShowStatusResponse>, Status> {
        Ok(Response::new(self.operator.status().await))
    }

    async fn show_version(
        &self,
        _: Request<ShowVersionRequest>,
    ) -> Result<Response<ShowVersionResponse>, Status> {
        let (name, version) = (crate::NAME.to_owned(), crate::VERSION.to_owned());
        Ok(Response::new(ShowVersionResponse { name, version }))
    }

    async fn show_log_level(
        &self,
        _: Request<ShowLogLevelRequest>,
    ) -> Result<Response<ShowLogLevelResponse>, Status> {
        Ok(Response::new(ShowLogLevelResponse {
            filter: self.operator.log().filter(),
        }))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Result<Response<SetLogLevelResponse>, Status> {
        let filter = request.into_inner().filter;
        let previous = self.operator.log().set_filter(&filter).map_err(|error| {
            Status::invalid_argument(format!(
                "{error}; write `info` or `info,rookery_router=debug`"
            ))
        })?;
        tracing::info!(%filter, %previous, "log filter changed");
        Ok(Response::new(SetLogLevelResponse { previous }))
    }

    async fn reload(&self, _: Request<ReloadRequest>) -> Result<Response<ReloadResponse>, Status> {
        let report = self.operator.reload().await.map_err(|error| {
            Status::failed_precondition(format!("nothing was changed:\n{error}"))
        })?;
        let (applied, needs_restart) = (report.applied, report.needs_restart);
        Ok(Response::new(ReloadResponse {
            applied,
            needs_restart,
        }))
    }

    async fn drain(
        &self,
        request: Request<DrainRequest>,
    ) -> Result<Response<DrainResponse>, Status> {
        let within = Duration::from_millis(request.into_inner().within_ms.min(DRAIN_MS_MAX));
        let left = self.operator.rest(within).await.ok_or_else(alone)?;
        let (shards, connections) = left.map_err(|error| match &error {
            RestError::Group(refused) => nodes_refused(refused),
            RestError::Mark(_) => Status::failed_precondition(error.to_string()),
        })?;
        Ok(Response::new(DrainResponse {
            shards: u32::try_from(shards).unwrap_or(u32::MAX),
            connections: connections as u64,
        }))
    }

    async fn stop(&self, _: Request<StopRequest>) -> Result<Response<StopResponse>, Status> {
        let within_ms = self.operator.stop();
        Ok(Response::new(StopResponse { within_ms }))
    }
}

/// Nobody waits longer for a node to be empty.
const DRAIN_MS_MAX: u64 = 86_400_000;
