//! The service `Invites`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use rookery_control::{
    Control, Invite, InviteId, InviteKind, Invites as Bounds, InvitesRefused, NewInvites,
};
use rookery_proto::admin::invites_server::Invites;
use rookery_proto::admin::{
    CreateInvitesRequest, CreateInvitesResponse, Invite as ApiInvite, ListInvitesRequest,
    ListInvitesResponse, NewInvite, RevokeInvitesRequest, RevokeInvitesResponse,
};
use rookery_store::Store;
use rookery_store::account::Found;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::{Entropy, OsEntropy};
use rookery_xmpp::invitation::Invitation;
use tonic::{Request, Response, Status};

use super::nodes::unavailable;
use super::status::{account, host_or_only, keeps_accounts, of_store};
use crate::operator::Operator;

/// Answers for the invitations.
pub(super) struct InvitesService {
    operator: Operator,
    control: Control,
    store: Arc<dyn Store>,
    hosts: BTreeSet<String>,
}

impl InvitesService {
    pub(super) fn new(operator: Operator, store: Arc<dyn Store>) -> Self {
        let (control, hosts) = (operator.control().clone(), operator.hosts());
        Self {
            operator,
            control,
            store,
            hosts,
        }
    }

    /// The prepared name, if nothing is in its way: whoever is invited under it must get it.
    async fn free_name(&self, name: &str, host: &str) -> Result<String, Status> {
        keeps_accounts(&self.operator)?;
        let jid = account(&format!("{name}@{host}"))?;
        let local = jid.local().unwrap_or_default();
        let withheld = self.control.check_name(local).await.map_err(unavailable)?;
        if let Some((rule, kind)) = withheld {
            let told = format!("`{name}` is {} by the rule `{rule}`", kind.as_str());
            return Err(Status::failed_precondition(told));
        }
        match self
            .store
            .load(&jid)
            .await
            .map_err(|error| of_store(&error))?
        {
            Found::Account(_) => Err(Status::already_exists(format!("there is an account {jid}"))),
            _ => Ok(local.to_owned()),
        }
    }
}

#[tonic::async_trait]
impl Invites for InvitesService {
    async fn create_invites(
        &self,
        request: Request<CreateInvitesRequest>,
    ) -> Result<Response<CreateInvitesResponse>, Status> {
        let request = request.into_inner();
        let count = at_most("count", request.count, Bounds::AT_ONCE_MAX as u32)?;
        let uses = at_most("uses", request.uses, Bounds::USES_MAX)?;
        let expires = end(request.seconds)?;
        let host = host_or_only(&self.hosts, &request.host)?.to_owned();
        let name = match request.name.as_str() {
            "" => None,
            _ if count != 1 || uses != 1 => {
                let told = "an invitation for one name is one, for one account";
                return Err(Status::invalid_argument(told));
            }
            name => Some(self.free_name(name, &host).await?),
        };
        let tokens: Vec<_> = (0..count).map(|_| OsEntropy.token()).collect();
        let new = NewInvites {
            ids: tokens.iter().map(|token| InviteId::of(token)).collect(),
            kind: InviteKind::Account,
            host: host.clone(),
            by: None,
            name: name.clone(),
            uses,
            expires,
            user_max: 0,
        };
        self.control.create_invites(new).await.map_err(refused)?;
        counter!("rookery_invites_made_total", "by" => "operator").increment(count.into());
        tracing::info!(count, uses, host, name, "invitations made");
        let base = self.operator.web_base();
        let invites = tokens.into_iter().map(|token| {
            let invitation = Invitation::to_register(&host, name.as_deref(), &token);
            NewInvite {
                id: InviteId::of(&token).to_string(),
                uri: invitation.uri(),
                url: base
                    .as_deref()
                    .map_or_else(String::new, |base| invitation.url(base)),
                token,
            }
        });
        Ok(Response::new(CreateInvitesResponse {
            invites: invites.collect(),
            expires_ms: expires.as_millis(),
        }))
    }

    async fn list_invites(
        &self,
        request: Request<ListInvitesRequest>,
    ) -> Result<Response<ListInvitesResponse>, Status> {
        let ListInvitesRequest { page_token, by } = request.into_inner();
        let after = match page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| {
                Status::invalid_argument("the page token is not one of an earlier page")
            })?),
        };
        let by = match by.as_str() {
            "" => None,
            by => Some(account(by)?.as_str().to_owned()),
        };
        let page = self.control.invites(after, by).await.map_err(unavailable)?;
        let last = page.invites.last().filter(|_| page.more);
        Ok(Response::new(ListInvitesResponse {
            next_page_token: last.map_or_else(String::new, |last| last.id.to_string()),
            invites: page.invites.into_iter().map(to_api).collect(),
            in_all: page.in_all,
        }))
    }

    async fn revoke_invites(
        &self,
        request: Request<RevokeInvitesRequest>,
    ) -> Result<Response<RevokeInvitesResponse>, Status> {
        let named = request.into_inner().invites;
        if named.is_empty() || named.len() > Bounds::AT_ONCE_MAX {
            let most = Bounds::AT_ONCE_MAX;
            let told = format!("name 1 to {most} invitations in one call");
            return Err(Status::invalid_argument(told));
        }
        let id = |text: &String| text.parse().unwrap_or_else(|_| InviteId::of(text));
        let ids = named.iter().map(id).collect();
        let revoked = self
            .control
            .revoke_invites(ids)
            .await
            .map_err(unavailable)?;
        tracing::info!(revoked, "invitations ended");
        Ok(Response::new(RevokeInvitesResponse { revoked }))
    }
}

/// A number that is 1 unless it is told.
fn at_most(what: &str, wanted: u32, most: u32) -> Result<u32, Status> {
    match wanted.max(1) {
        wanted if wanted > most => {
            let told = format!("the {what} cannot be {wanted}: {most} at most");
            Err(Status::invalid_argument(told))
        }
        wanted => Ok(wanted),
    }
}

fn end(seconds: u64) -> Result<Timestamp, Status> {
    let ms = match seconds {
        0 => LIFE_MS,
        seconds => seconds.saturating_mul(1_000),
    };
    match ms <= Bounds::LIFE_MS_MAX {
        true => Ok(Timestamp::now().plus(Duration::from_millis(ms))),
        false => Err(Status::invalid_argument(
            "an invitation lasts a year at most",
        )),
    }
}

fn to_api(invite: Invite) -> ApiInvite {
    ApiInvite {
        id: invite.id.to_string(),
        kind: invite.kind.as_str().to_owned(),
        host: invite.host,
        by: invite.by.unwrap_or_default(),
        name: invite.name.unwrap_or_default(),
        uses: invite.uses,
        used: invite.used,
        taken: invite.taken,
        created_ms: invite.created.as_millis(),
        expires_ms: invite.expires.as_millis(),
    }
}

fn refused(why: InvitesRefused) -> Status {
    match why {
        InvitesRefused::Full | InvitesRefused::OfUserFull => {
            Status::resource_exhausted(why.to_string())
        }
        InvitesRefused::NameHeld => Status::already_exists(why.to_string()),
        InvitesRefused::Unavailable(error) => unavailable(error),
    }
}

/// How long an invitation lasts unless told: somebody reads it at the weekend.
const LIFE_MS: u64 = 7 * 86_400_000;
