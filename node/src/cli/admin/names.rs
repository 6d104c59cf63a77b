//! `rookery admin names`.

use clap::Subcommand;
use rookery_proto::admin::names_client::NamesClient;
use rookery_proto::admin::{
    CheckNameRequest, CheckNameResponse, Collision, ListCollisionsRequest, ListNamesRequest,
    ListTombstonesRequest, NameRule, ReleaseNamesRequest, ReserveNamesRequest, RestoreNameRequest,
    Tombstone,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, moment, table};
use super::Shown;

/// Which names nobody may register, and the names of deleted accounts.
#[derive(Debug, Subcommand)]
pub(super) enum NamesCommand {
    /// List the rules in force, those of the configuration among them.
    List,
    /// Reserve names, on all nodes, and list the accounts that have such names already.
    Reserve {
        /// `admin` is the name and all that looks like it, `~admin` any name with that word, `*-official` a pattern.
        #[arg(required = true)]
        names: Vec<String>,
        /// Refuse only what looks like them, so that their owner can register.
        #[arg(long)]
        protect: bool,
        /// Why, for operators.
        #[arg(long)]
        reason: String,
        /// The host whose accounts are looked at; not needed where only one is served.
        #[arg(long, default_value = "")]
        host: String,
    },
    /// End rules, also those of the configuration.
    Release {
        /// As `names list` writes them.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Say whether a name is free, and what is in the way; of a host, which accounts have reserved names.
    Check {
        /// An address, as in `juliet@example.org`, or a host.
        #[arg(value_name = "ADDRESS")]
        subject: String,
    },
    /// List the names of deleted accounts that are withheld.
    Tombstones {
        /// The host; not needed where only one is served.
        #[arg(default_value = "")]
        host: String,
    },
    /// Let the name of a deleted account be registered again.
    Restore {
        /// Its address.
        jid: String,
    },
}

impl NamesCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = NamesClient::new(channel);
        match self {
            Self::List => list(client).await,
            Self::Reserve {
                names,
                protect,
                reason,
                host,
            } => {
                let request = ReserveNamesRequest {
                    names,
                    protect,
                    reason,
                };
                reserve(client, request, host).await
            }
            Self::Release { names } => release(client, names).await,
            Self::Check { subject } if !subject.contains('@') => {
                let found = collisions(&mut client, subject).await?;
                Ok(shown_collisions(
                    &found,
                    "no account has a name that a rule withholds",
                ))
            }
            Self::Check { subject } => {
                let request = CheckNameRequest { jid: subject };
                let answer = client.check_name(request).await?.into_inner();
                Ok(checked(&answer))
            }
            Self::Tombstones { host } => tombstones(client, host).await,
            Self::Restore { jid } => {
                let request = RestoreNameRequest { jid: jid.clone() };
                client.restore_name(request).await?;
                Ok(Shown::done(format!("{jid} is free"), json!({"jid": jid})))
            }
        }
    }
}

async fn list(mut client: NamesClient<Channel>) -> Result<Shown, Status> {
    let mut rules: Vec<NameRule> = Vec::new();
    let (mut page_token, mut version) = (String::new(), 0);
    let mut stale = String::new();
    loop {
        let request = ListNamesRequest {
            page_size: PAGE,
            page_token,
        };
        let page = client.list_names(request).await?.into_inner();
        rules.extend(page.rules);
        stale.push_str(&page.stale);
        (page_token, version) = (page.next_page_token, version.max(page.version));
        if page_token.is_empty() {
            break;
        }
    }
    let by = |rule: &NameRule| match rule.by_operator {
        true => "operator",
        false => "configuration",
    };
    let rows = rules.iter().map(|rule| {
        vec![
            rule.text.clone(),
            rule.kind.clone(),
            by(rule).to_owned(),
            moment(rule.since_ms),
            rule.reason.clone(),
        ]
    });
    let text = match rules.is_empty() {
        true => "no name is withheld".to_owned(),
        false => table(
            &["NAME", "KIND", "BY", "SINCE", "REASON"],
            &rows.collect::<Vec<_>>(),
        ),
    };
    let shown = rules.iter().map(|rule| {
        json!({
            "name": rule.text, "kind": rule.kind, "by": by(rule), "since_ms": rule.since_ms,
            "reason": rule.reason,
        })
    });
    let json = json!({"version": version, "rules": shown.collect::<Vec<_>>()});
    Ok(Shown { text, json }.or_stale(&stale))
}

async fn reserve(
    mut client: NamesClient<Channel>,
    request: ReserveNamesRequest,
    host: String,
) -> Result<Shown, Status> {
    let answer = client.reserve_names(request).await?.into_inner();
    let count = counted(answer.names.len() as u64, "name");
    // Done is done: a node without accounts cannot tell who has them, and says where to ask.
    let (mut found, mut why_not) = (Vec::new(), None);
    match collisions(&mut client, host).await {
        Ok(all) => found = all,
        Err(status) => why_not = Some(status.message().to_owned()),
    }
    found.retain(|it| answer.names.contains(&it.rule));
    let shown = shown_collisions(&found, "no account has such a name");
    let mut text = format!("{count} withheld\n{}", shown.text);
    if let Some(why) = &why_not {
        text = format!("{count} withheld; which accounts have such names is not known: {why}");
    }
    if !answer.under_way.is_empty() {
        let under_way = answer.under_way.join(", ");
        text.push_str(&format!(
            "\nabout to be registered, look again in a minute: {under_way}"
        ));
    }
    let json = json!({
        "version": answer.version, "names": answer.names, "collisions": shown.json["collisions"],
        "under_way": answer.under_way, "not_looked_at": why_not,
    });
    Ok(Shown { text, json })
}

async fn release(mut client: NamesClient<Channel>, names: Vec<String>) -> Result<Shown, Status> {
    let wanted = names.len() as u64;
    let request = ReleaseNamesRequest { names };
    let answer = client.release_names(request).await?.into_inner();
    let (version, released) = (answer.version, answer.released);
    let text = format!("{} released", counted(released, "name"));
    if released < wanted {
        return Err(Status::not_found(format!(
            "{text}, the others were not withheld: `rookery admin names list` shows those that are"
        )));
    }
    Ok(Shown::done(
        text,
        json!({"version": version, "released": released}),
    ))
}

async fn collisions(
    client: &mut NamesClient<Channel>,
    host: String,
) -> Result<Vec<Collision>, Status> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let host = host.clone();
        let request = ListCollisionsRequest { host, page_token };
        let page = client.list_collisions(request).await?.into_inner();
        all.extend(page.collisions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

fn shown_collisions(all: &[Collision], none: &str) -> Shown {
    let rows = all
        .iter()
        .map(|it| vec![it.jid.clone(), it.rule.clone(), it.kind.clone()]);
    let text = match all.is_empty() {
        true => none.to_owned(),
        false => table(&["ACCOUNT", "RULE", "KIND"], &rows.collect::<Vec<_>>()),
    };
    let shown = all
        .iter()
        .map(|it| json!({"jid": it.jid, "rule": it.rule, "kind": it.kind}));
    let json = json!({"collisions": shown.collect::<Vec<_>>()});
    Shown { text, json }
}

fn checked(answer: &CheckNameResponse) -> Shown {
    let jid = &answer.jid;
    let mut lines = Vec::new();
    if answer.exists {
        lines.push(format!("there is an account {jid}"));
    }
    if !answer.rule.is_empty() {
        lines.push(format!(
            "it is {} by the rule `{}`",
            answer.kind, answer.rule
        ));
    }
    if !answer.like.is_empty() {
        lines.push(format!("it looks like {}", answer.like.join(", ")));
    }
    if let Some(tombstone) = answer.tombstone.as_ref().filter(|it| it.holds) {
        let (gone, until) = (moment(tombstone.gone_ms), until(tombstone));
        lines.push(format!(
            "its account was deleted on {gone}, and the name is withheld {until}"
        ));
    }
    let verdict = match answer.free {
        true => format!("{jid} is free"),
        false => format!("{jid} cannot be registered"),
    };
    lines.insert(0, verdict);
    let json = json!({
        "jid": jid, "free": answer.free, "exists": answer.exists, "rule": answer.rule, "kind": answer.kind,
        "like": answer.like, "tombstone": answer.tombstone.as_ref().map(tombstone_json),
    });
    Shown {
        text: lines.join("\n"),
        json,
    }
}

async fn tombstones(mut client: NamesClient<Channel>, host: String) -> Result<Shown, Status> {
    let (mut all, mut page_token) = (Vec::<Tombstone>::new(), String::new());
    loop {
        let request = ListTombstonesRequest {
            host: host.clone(),
            page_size: PAGE,
            page_token,
        };
        let page = client.list_tombstones(request).await?.into_inner();
        all.extend(page.tombstones);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let rows = all
        .iter()
        .map(|it| vec![it.jid.clone(), moment(it.gone_ms), until(it)]);
    let text = match all.is_empty() {
        true => "no name of a deleted account is withheld".to_owned(),
        false => table(&["NAME", "GONE", "WITHHELD"], &rows.collect::<Vec<_>>()),
    };
    let shown: Vec<_> = all.iter().map(tombstone_json).collect();
    let json = json!({"tombstones": shown});
    Ok(Shown { text, json })
}

fn tombstone_json(it: &Tombstone) -> serde_json::Value {
    json!({"jid": it.jid, "gone_ms": it.gone_ms, "until_ms": it.until_ms, "holds": it.holds})
}

fn until(it: &Tombstone) -> String {
    match (it.until_ms, it.holds) {
        (0, _) => "for ever".to_owned(),
        (ms, true) => format!("until {}", moment(ms)),
        (ms, false) => format!("until {} (over)", moment(ms)),
    }
}

/// On one page.
const PAGE: u32 = 1_000;
