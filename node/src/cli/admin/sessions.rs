//! `rookery admin sessions`.

use clap::Subcommand;
use rookery_proto::admin::sessions_client::SessionsClient;
use rookery_proto::admin::{
    CloseSessionsRequest, ListSessionsRequest, Session, ShowSessionRequest,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, moment, table};
use super::Shown;

/// Connected clients.
#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// List them.
    List {
        /// Only those of this account.
        #[arg(default_value = "")]
        jid: String,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 1000)]
        limit: u32,
    },
    /// Show one.
    Show {
        /// Its full address, as in `juliet@example.org/phone`.
        jid: String,
    },
    /// Close one, or all of an account.
    Close {
        /// A full address for one session, an account's for all of them.
        jid: String,
        /// What the client is told.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

impl SessionsCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = SessionsClient::new(channel);
        match self {
            Self::List { jid, limit } => list(&mut client, jid, limit as usize).await,
            Self::Show { jid } => {
                let shown = client
                    .show_session(ShowSessionRequest { jid })
                    .await?
                    .into_inner();
                let session = shown.session.unwrap_or_default();
                Ok(Shown {
                    text: details(&session),
                    json: session_json(&session),
                })
            }
            Self::Close { jid, reason } => {
                let request = CloseSessionsRequest { jid, text: reason };
                let closed = client.close_sessions(request).await?.into_inner().closed;
                Ok(Shown::done(
                    format!("{} closed", counted(closed.into(), "session")),
                    json!({"closed": closed}),
                ))
            }
        }
    }
}

async fn list(
    client: &mut SessionsClient<Channel>,
    jid: String,
    limit: usize,
) -> Result<Shown, Status> {
    let (mut sessions, mut page_token, mut total);
    (sessions, page_token) = (Vec::<Session>::new(), String::new());
    loop {
        let request = ListSessionsRequest {
            jid: jid.clone(),
            page_size: PAGE,
            page_token,
        };
        let page = client.list_sessions(request).await?.into_inner();
        (page_token, total) = (page.next_page_token, page.total);
        sessions.extend(page.sessions);
        if page_token.is_empty() || sessions.len() >= limit {
            break;
        }
    }
    sessions.truncate(limit);
    let rows: Vec<_> = sessions.iter().map(row).collect();
    let mut text = match rows.is_empty() {
        true => "no sessions".to_owned(),
        false => table(&["SESSION", "FROM", "SINCE", "PRESENCE"], &rows),
    };
    if total > sessions.len() as u64 {
        text.push_str(&format!(
            "\n… {} of {total}: --limit shows more",
            sessions.len()
        ));
    }
    let sessions: serde_json::Value = sessions.iter().map(session_json).collect();
    Ok(Shown {
        text,
        json: json!({"total": total, "sessions": sessions}),
    })
}

fn details(session: &Session) -> String {
    format!(
        "session   {}\nfrom      {}\nsince     {}\npresence  {}",
        session.jid,
        session.address,
        moment(session.bound_ms),
        presence(session)
    )
}

fn row(session: &Session) -> Vec<String> {
    let Session {
        jid,
        address,
        bound_ms,
        ..
    } = session;
    vec![
        jid.clone(),
        address.clone(),
        moment(*bound_ms),
        presence(session),
    ]
}

fn presence(session: &Session) -> String {
    match (session.priority, session.show.as_str()) {
        (None, _) => "none".to_owned(),
        (Some(priority), "") => format!("available ({priority})"),
        (Some(priority), show) => format!("{show} ({priority})"),
    }
}

pub(super) fn session_json(session: &Session) -> serde_json::Value {
    json!({
        "jid": session.jid,
        "address": session.address,
        "bound_ms": session.bound_ms,
        "priority": session.priority,
        "show": session.show,
    })
}

/// Sessions asked for at once.
const PAGE: u32 = 1000;
