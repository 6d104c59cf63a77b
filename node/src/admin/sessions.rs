//! The service `Sessions`.

use rookery_proto::admin::sessions_server::Sessions;
use rookery_proto::admin::{
    CloseSessionsRequest, CloseSessionsResponse, ListSessionsRequest, ListSessionsResponse,
    Session, ShowSessionRequest, ShowSessionResponse,
};
use rookery_session::carrier::{AdminAnswer, AdminQuestion, SessionSummary};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};
use tonic::{Request, Response, Status};

use super::shards::{Shards, unexpected};
use super::status::{account, any_jid, page_size};

/// Answers for connected clients.
pub(super) struct SessionsService {
    shards: Shards,
}

impl SessionsService {
    pub(super) fn new(shards: Shards) -> Self {
        Self { shards }
    }
}

#[tonic::async_trait]
impl Sessions for SessionsService {
    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let ListSessionsRequest {
            jid,
            page_size: size,
            page_token,
        } = request.into_inner();
        let owner = if jid.is_empty() {
            None
        } else {
            Some(account(&jid)?)
        };
        let mut found = self.shards.sessions(owner.as_ref()).await?;
        found.sort_by(|a, b| a.jid.as_str().cmp(b.jid.as_str()));
        let (total, size) = (found.len() as u64, page_size(size));
        let start = found.partition_point(|session| session.jid.as_str() <= page_token.as_str());
        let start = if page_token.is_empty() { 0 } else { start };
        let more = found.len() > start + size;
        let page: Vec<_> = found.drain(start..).take(size).map(to_session).collect();
        let last = page
            .last()
            .filter(|_| more)
            .map(|session| session.jid.clone());
        let next_page_token = last.unwrap_or_default();
        Ok(Response::new(ListSessionsResponse {
            sessions: page,
            next_page_token,
            total,
        }))
    }

    async fn show_session(
        &self,
        request: Request<ShowSessionRequest>,
    ) -> Result<Response<ShowSessionResponse>, Status> {
        let text = request.into_inner().jid;
        let jid = any_jid(&text)?;
        if jid.is_bare() {
            return Err(Status::invalid_argument(format!(
                "`{text}` names an account; a session is name@host/resource"
            )));
        }
        let found = self.shards.sessions(Some(&jid)).await?;
        let session = found.into_iter().find(|session| session.jid == jid);
        let session = session.ok_or_else(|| {
            Status::not_found(format!(
                "there is no session {text}: `rookery admin sessions list` shows those that exist"
            ))
        })?;
        Ok(Response::new(ShowSessionResponse {
            session: Some(to_session(session)),
        }))
    }

    async fn close_sessions(
        &self,
        request: Request<CloseSessionsRequest>,
    ) -> Result<Response<CloseSessionsResponse>, Status> {
        let CloseSessionsRequest {
            jid: text,
            text: reason,
        } = request.into_inner();
        let jid = any_jid(&text)?;
        let mut error = StreamError::new(StreamCondition::PolicyViolation);
        if !reason.is_empty() {
            error = error.with_text(reason);
        }
        let question = AdminQuestion::CloseSessions {
            jid: jid.clone(),
            error,
        };
        match self.shards.ask(&jid, question).await? {
            AdminAnswer::Closed(closed) => Ok(Response::new(CloseSessionsResponse { closed })),
            AdminAnswer::NotFound => {
                Err(Status::not_found(format!("there is no session of {text}")))
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// A session in the API's form.
pub(super) fn to_session(summary: SessionSummary) -> Session {
    Session {
        jid: summary.jid.as_str().to_owned(),
        address: summary.address.to_string(),
        bound_ms: summary.bound.as_millis(),
        priority: summary.priority.map(i32::from),
        show: summary.show,
    }
}
