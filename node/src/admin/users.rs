//! The service `Users`.

use std::collections::BTreeSet;
use std::sync::Arc;

use rookery_proto::admin::users_server::Users;
use rookery_proto::admin::{
    ApproveUserRequest, ApproveUserResponse, CreateUserRequest, CreateUserResponse,
    DeleteUserRequest, DeleteUserResponse, DenyUserRequest, DenyUserResponse, DisableUserRequest,
    DisableUserResponse, EnableUserRequest, EnableUserResponse, ListAwaitingRequest,
    ListAwaitingResponse, ListUsersRequest, ListUsersResponse, RestoreUserRequest,
    RestoreUserResponse, SetPasswordRequest, SetPasswordResponse, ShowUserRequest,
    ShowUserResponse, User,
};
use rookery_session::carrier::{AdminAnswer, AdminQuestion, Moderation};
use rookery_store::Store;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use tonic::{Request, Response, Status};

use super::bans::of_account;
use super::moderation::{PageAsked, check_reason, to_user};
use super::sessions::to_session;
use super::shards::{Shards, unexpected};
use super::status::{account, check_password, host_or_only, keeps_accounts, of_store};
use crate::awaiting;
use crate::config::Role;
use crate::operator::Operator;

/// Answers for accounts.
pub(super) struct UsersService {
    store: Arc<dyn Store>,
    shards: Shards,
    operator: Operator,
    hosts: BTreeSet<String>,
}

impl UsersService {
    pub(super) fn new(operator: Operator, store: Arc<dyn Store>, shards: Shards) -> Self {
        let hosts = operator.hosts();
        Self {
            store,
            shards,
            operator,
            hosts,
        }
    }

    /// Asks for a change and expects no more than that it is done.
    async fn change(&self, jid: &Jid, question: AdminQuestion) -> Result<(), Status> {
        match self.shards.ask(jid, question).await? {
            AdminAnswer::Done => Ok(()),
            AdminAnswer::NotFound => Err(no_account(jid)),
            AdminAnswer::AlreadyExists => Err(Status::already_exists(format!(
                "the account {} exists already",
                jid.as_str()
            ))),
            other => Err(unexpected(&other)),
        }
    }

    /// Refuses a password that no account may have, and one that is not good enough unless that is wanted. Judging
    /// takes milliseconds of a core.
    async fn check_password(&self, jid: &Jid, password: &str, force: bool) -> Result<(), Status> {
        check_password(password)?;
        if force {
            return Ok(());
        }
        let rules = self.operator.environment().passwords.load_full();
        let (jid, password) = (jid.clone(), password.to_owned());
        let judged = tokio::task::spawn_blocking(move || rules.check(&password, &jid)).await;
        match judged {
            Ok(Ok(())) => Ok(()),
            Ok(Err(flaw)) => Err(Status::invalid_argument(format!(
                "{flaw} (--force sets it all the same)"
            ))),
            Err(_) => Err(Status::internal("the password cannot be judged")),
        }
    }

    /// Which page of which host's accounts a request wants, if this node can read them.
    fn page_asked<'a>(
        &'a self,
        host: &'a str,
        size: u32,
        token: &'a str,
    ) -> Result<PageAsked<'a>, Status> {
        keeps_accounts(&self.operator)?;
        let host = host_or_only(&self.hosts, host)?;
        Ok(PageAsked::new(host, size, token))
    }

    async fn set_enabled(&self, text: &str, enabled: bool) -> Result<(), Status> {
        let jid = account(text)?;
        self.change(
            &jid,
            AdminQuestion::SetEnabled {
                account: jid.clone(),
                enabled,
            },
        )
        .await?;
        tracing::info!(account = %jid, enabled, "account enabled or disabled");
        Ok(())
    }
}

impl UsersService {
    /// Changes how an account stands.
    async fn moderate(&self, text: &str, step: Moderation) -> Result<Jid, Status> {
        let jid = account(text)?;
        let question = AdminQuestion::Moderate {
            account: jid.clone(),
            step,
        };
        match self.shards.ask(&jid, question).await? {
            AdminAnswer::Done => Ok(jid),
            AdminAnswer::NotFound => Err(no_account(&jid)),
            AdminAnswer::Invalid(why) => Err(Status::failed_precondition(format!("{jid}: {why}"))),
            other => Err(unexpected(&other)),
        }
    }
}

#[tonic::async_trait]
impl Users for UsersService {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let CreateUserRequest {
            jid,
            password,
            force,
        } = request.into_inner();
        let jid = account(&jid)?;
        host_or_only(&self.hosts, jid.domain())?;
        self.check_password(&jid, &password, force).await?;
        let prepared = jid.as_str().to_owned();
        self.change(
            &jid,
            AdminQuestion::CreateAccount {
                account: jid.clone(),
                password,
                force,
            },
        )
        .await?;
        tracing::info!(account = %jid, force, "account created");
        Ok(Response::new(CreateUserResponse { jid: prepared }))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let DeleteUserRequest { jid, now } = request.into_inner();
        let jid = account(&jid)?;
        let question = AdminQuestion::DeleteAccount {
            account: jid.clone(),
            now,
        };
        let leaves_ms = match self.shards.ask(&jid, question).await? {
            AdminAnswer::Done => None,
            AdminAnswer::Leaving(until) => Some(until.as_millis()),
            AdminAnswer::NotFound => return Err(no_account(&jid)),
            other => return Err(unexpected(&other)),
        };
        Ok(Response::new(DeleteUserResponse { leaves_ms }))
    }

    async fn set_password(
        &self,
        request: Request<SetPasswordRequest>,
    ) -> Result<Response<SetPasswordResponse>, Status> {
        let SetPasswordRequest {
            jid,
            password,
            force,
        } = request.into_inner();
        let jid = account(&jid)?;
        self.check_password(&jid, &password, force).await?;
        self.change(
            &jid,
            AdminQuestion::SetPassword {
                account: jid.clone(),
                password,
            },
        )
        .await?;
        tracing::info!(account = %jid, force, "password set");
        Ok(Response::new(SetPasswordResponse {}))
    }

    async fn show_user(
        &self,
        request: Request<ShowUserRequest>,
    ) -> Result<Response<ShowUserResponse>, Status> {
        let jid = account(&request.into_inner().jid)?;
        let question = AdminQuestion::ShowAccount {
            account: jid.clone(),
        };
        let summary = match self.shards.ask(&jid, question).await? {
            AdminAnswer::Account(summary) => summary,
            AdminAnswer::NotFound => return Err(no_account(&jid)),
            other => return Err(unexpected(&other)),
        };
        let registration_known = self.operator.has(Role::Router);
        let user = if registration_known {
            let record = self.store.account(&jid).await;
            let record = record.map_err(|error| of_store(&error))?;
            record.map(to_user).ok_or_else(|| no_account(&jid))?
        } else {
            // The shard tells all but what the account was registered with.
            User {
                jid: summary.account.as_str().to_owned(),
                created_ms: summary.created.as_millis(),
                enabled: summary.enabled,
                ..User::default()
            }
        };
        Ok(Response::new(ShowUserResponse {
            user: Some(user),
            registration_known,
            last_seen_ms: summary.last_seen.map(|at| at.as_millis()),
            roster_items: summary.roster_items,
            offline_messages: summary.offline_messages,
            sessions: summary.sessions.into_iter().map(to_session).collect(),
            ban: of_account(&self.operator.control().bans(), &jid, Timestamp::now()),
        }))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let request = request.into_inner();
        let (host, after) = (&request.host, &request.page_token);
        let asked = self.page_asked(host, request.page_size, after)?;
        let records = self
            .store
            .list_accounts(asked.host, asked.after, asked.one_more())
            .await;
        let (users, next_page_token) = asked.answer(records)?;
        Ok(Response::new(ListUsersResponse {
            users,
            next_page_token,
        }))
    }

    async fn disable_user(
        &self,
        request: Request<DisableUserRequest>,
    ) -> Result<Response<DisableUserResponse>, Status> {
        self.set_enabled(&request.into_inner().jid, false).await?;
        Ok(Response::new(DisableUserResponse {}))
    }

    async fn enable_user(
        &self,
        request: Request<EnableUserRequest>,
    ) -> Result<Response<EnableUserResponse>, Status> {
        self.set_enabled(&request.into_inner().jid, true).await?;
        Ok(Response::new(EnableUserResponse {}))
    }

    async fn restore_user(
        &self,
        request: Request<RestoreUserRequest>,
    ) -> Result<Response<RestoreUserResponse>, Status> {
        let jid = request.into_inner().jid;
        self.moderate(&jid, Moderation::Restore).await?;
        Ok(Response::new(RestoreUserResponse {}))
    }

    async fn list_awaiting(
        &self,
        request: Request<ListAwaitingRequest>,
    ) -> Result<Response<ListAwaitingResponse>, Status> {
        let request = request.into_inner();
        let (host, after) = (&request.host, &request.page_token);
        let asked = self.page_asked(host, request.page_size, after)?;
        let records = self
            .store
            .awaiting(asked.host, asked.after, asked.one_more())
            .await;
        let (users, next_page_token) = asked.answer(records)?;
        Ok(Response::new(ListAwaitingResponse {
            users,
            next_page_token,
        }))
    }

    async fn approve_user(
        &self,
        request: Request<ApproveUserRequest>,
    ) -> Result<Response<ApproveUserResponse>, Status> {
        let jid = request.into_inner().jid;
        let jid = self.moderate(&jid, Moderation::Approve).await?;
        awaiting::left(self.operator.control(), &jid).await;
        Ok(Response::new(ApproveUserResponse {}))
    }

    async fn deny_user(
        &self,
        request: Request<DenyUserRequest>,
    ) -> Result<Response<DenyUserResponse>, Status> {
        let DenyUserRequest {
            jid,
            reason,
            tombstone,
        } = request.into_inner();
        check_reason(&reason)?;
        let jid = self.moderate(&jid, Moderation::Deny { tombstone }).await?;
        tracing::info!(account = %jid, reason, tombstone, "registration denied");
        awaiting::left(self.operator.control(), &jid).await;
        Ok(Response::new(DenyUserResponse {}))
    }
}

pub(super) fn no_account(jid: &Jid) -> Status {
    Status::not_found(format!(
        "there is no account {}: `rookery admin users list` shows those that exist",
        jid.as_str()
    ))
}
