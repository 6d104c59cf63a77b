//! `rookery admin registration`.

use std::collections::HashMap;

use clap::{ArgGroup, Subcommand, ValueEnum};
use rookery_proto::admin::registration_client::RegistrationClient;
use rookery_proto::admin::{
    RegistrationMode, RegistrationPolicy, RegistrationRules, ResetRegistrationRequest,
    SetRegistrationRequest, ShowRegistrationRequest, Window,
};
use rookery_xmpp::units::Span;
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, duration};
use super::Shown;

/// Who may make an account over XMPP.
#[derive(Debug, Subcommand)]
pub(super) enum RegistrationCommand {
    /// Show the policy in force.
    Show,
    /// Change the policy, in the whole cluster, until it is reset.
    #[command(group(ArgGroup::new("change").required(true).multiple(true).args([
        "mode", "window", "remembered_max", "overload", "overload_block", "limited_often", "awaiting_max",
        "awaiting_days",
    ])))]
    Set {
        /// Who may register.
        #[arg(long)]
        mode: Option<Mode>,
        /// A window, as in `per_address=3/1h` or `per_host=off`. May be given many times.
        #[arg(long, value_name = "NAME=LIMIT/LENGTH")]
        window: Vec<String>,
        /// How many registrations the throttle remembers; beyond it is an overload.
        #[arg(long, value_name = "N")]
        remembered_max: Option<u32>,
        /// What becomes of an overload: `refuse` or `allow_listed`.
        #[arg(long, value_name = "WHAT")]
        overload: Option<String>,
        /// For how long the network that fills the throttle is out, as in `1h`; `0s` for not at all.
        #[arg(long, value_name = "TIME")]
        overload_block: Option<Span>,
        /// How often a limit is met within an hour before that is an event; 0 for never.
        #[arg(long, value_name = "N")]
        limited_often: Option<u32>,
        /// How many accounts may await approval at once.
        #[arg(long, value_name = "ACCOUNTS")]
        awaiting_max: Option<u32>,
        /// After how many days an account that nobody has approved is deleted; 0 for never.
        #[arg(long, value_name = "DAYS")]
        awaiting_days: Option<u32>,
        /// Open registration though `contact.abuse` names nobody to complain to.
        #[arg(long)]
        force: bool,
    },
    /// Return to the policy of the configuration.
    Reset,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Mode {
    /// Open within the windows.
    On,
    /// Open without any throttle.
    Unthrottled,
    /// Whoever was invited.
    Invite,
    /// Nobody.
    Closed,
    /// Open within the windows, and a moderator approves each account (`admin users awaiting`).
    Approval,
}

impl RegistrationCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = RegistrationClient::new(channel);
        match self {
            Self::Show => {
                let shown = client
                    .show_registration(ShowRegistrationRequest {})
                    .await?
                    .into_inner();
                let (policy, rules) = (shown.policy.unwrap_or_default(), shown.rules);
                let policy = show(&policy, shown.version, shown.overridden);
                Ok(match rules {
                    Some(rules) => with_rules(policy, &rules),
                    None => policy,
                })
            }
            Self::Set {
                mode,
                window,
                remembered_max,
                overload,
                overload_block,
                limited_often,
                awaiting_max,
                awaiting_days,
                force,
            } => {
                let request = SetRegistrationRequest {
                    overload: overload.unwrap_or_default(),
                    overload_block_ms: overload_block.map(|span| span.as_ms().into()),
                    limited_often,
                    remembered_max,
                    awaiting_max,
                    awaiting_days,
                    force,
                    ..request(mode, &window)?
                };
                let set = client.set_registration(request).await?.into_inner();
                Ok(show(&set.policy.unwrap_or_default(), set.version, true))
            }
            Self::Reset => {
                let reset = client
                    .reset_registration(ResetRegistrationRequest {})
                    .await?
                    .into_inner();
                Ok(show(
                    &reset.policy.unwrap_or_default(),
                    reset.version,
                    false,
                ))
            }
        }
    }
}

fn request(mode: Option<Mode>, windows: &[String]) -> Result<SetRegistrationRequest, Status> {
    let mode = match mode {
        None => RegistrationMode::Unspecified,
        Some(Mode::On) => RegistrationMode::On,
        Some(Mode::Unthrottled) => RegistrationMode::Unthrottled,
        Some(Mode::Closed) => RegistrationMode::Closed,
        Some(Mode::Approval) => RegistrationMode::Approval,
        Some(Mode::Invite) => RegistrationMode::Invite,
    };
    let split = |text: &String| match text.split_once('=') {
        Some((name, window)) => Ok((name.to_owned(), window.to_owned())),
        None => Err(Status::invalid_argument(format!(
            "`{text}` is not NAME=LIMIT/LENGTH"
        ))),
    };
    let windows = windows
        .iter()
        .map(split)
        .collect::<Result<HashMap<_, _>, _>>()?;
    Ok(SetRegistrationRequest {
        mode: mode.into(),
        windows,
        ..SetRegistrationRequest::default()
    })
}

/// A mode in the words of the configuration.
fn mode_word(mode: RegistrationMode) -> &'static str {
    match mode {
        RegistrationMode::Unthrottled => "unthrottled",
        RegistrationMode::On => "on",
        RegistrationMode::Closed => "closed",
        RegistrationMode::Approval => "approval",
        RegistrationMode::Invite => "invite",
        RegistrationMode::Unspecified => "unknown",
    }
}

fn show(policy: &RegistrationPolicy, version: u64, overridden: bool) -> Shown {
    let mode = mode_word(policy.mode());
    let meaning = match mode {
        "unthrottled" => "open, without any throttle",
        "on" => "open, within the windows below",
        "approval" => "open, within the windows below, and a moderator approves each account",
        "invite" => "whoever has an invitation, see `rookery admin invites`",
        _ => "nobody registers over XMPP",
    };
    let windows = [
        ("per_address", policy.per_address),
        ("per_prefix_24", policy.per_prefix_24),
        ("per_prefix_64", policy.per_prefix_64),
        ("per_prefix_48", policy.per_prefix_48),
        ("per_host", policy.per_host),
        ("in_all", policy.in_all),
    ];
    let origin = match overridden {
        true => "set by an administrator",
        false => "configured",
    };
    let mut lines = vec![format!("mode           {mode}: {meaning} ({origin})")];
    lines.extend(
        windows
            .iter()
            .map(|(name, window)| format!("{name:<13}  {}", written(*window))),
    );
    lines.push(format!("remembered     {} at most", policy.remembered_max));
    lines.push(format!("overload       {}", policy.overload));
    if policy.overload_block_ms > 0 {
        let time = duration(policy.overload_block_ms);
        lines.push(format!(
            "               the fullest network is out for {time}"
        ));
    }
    let networks = match (policy.networks_allowed, policy.allow_only) {
        (0, false) => "none is allowed past the windows".to_owned(),
        (allowed, false) => format!("{allowed} allowed past the windows"),
        (allowed, true) => format!("only the allowed, {allowed} of them"),
    };
    let blocked = policy.networks_blocked;
    lines.push(format!("networks       {networks}, {blocked} blocked"));
    lines.extend(approval(policy));
    let windows: serde_json::Map<_, _> = windows
        .into_iter()
        .map(|(name, window)| (name.to_owned(), json!(written(window))))
        .collect();
    Shown {
        text: lines.join("\n"),
        json: json!({
            "mode": mode,
            "overridden": overridden,
            "version": version,
            "windows": windows,
            "remembered_max": policy.remembered_max,
            "overload": policy.overload,
            "overload_block_ms": policy.overload_block_ms,
            "limited_often": policy.limited_often,
            "networks_allowed": policy.networks_allowed,
            "networks_blocked": policy.networks_blocked,
            "allow_only": policy.allow_only,
            "awaiting_max": policy.awaiting_max,
            "awaiting_days": policy.awaiting_days,
        }),
    }
}

/// The policy and what else is asked, as the node is configured.
fn with_rules(policy: Shown, rules: &RegistrationRules) -> Shown {
    let listed = |items: &[String]| match items {
        [] => "none".to_owned(),
        items => items.join(", "),
    };
    let common = match rules.password_common_refused {
        true => ", none of the common ones",
        false => "",
    };
    let (length, strength) = (rules.password_length_min, rules.password_strength_min);
    let after_s = rules.old_password_asked_after_s;
    let questions = match rules.questions {
        0 => String::new(),
        count => format!(" ({count} questions)"),
    };
    let lines = [
        format!("form           {}", listed(&rules.fields)),
        format!("redirect       {}", if_any(&rules.redirect_url)),
        format!("captcha        {}{questions}", listed(&rules.captchas)),
        format!("password       {length} characters, 10^{strength} guesses{common}"),
        format!("old password   asked for {after_s} s after a login"),
    ];
    let mut shown = policy;
    shown.text = [shown.text, lines.join("\n")].join("\n");
    shown.json["rules"] = json!({
        "fields": rules.fields,
        "redirect_url": rules.redirect_url,
        "captchas": rules.captchas,
        "questions": rules.questions,
        "password_length_min": length,
        "password_common_refused": rules.password_common_refused,
        "password_strength_min": strength,
        "old_password_asked_after_s": after_s,
    });
    shown
}

fn if_any(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// How many may await approval, and for how long, where that is needed.
fn approval(policy: &RegistrationPolicy) -> Option<String> {
    let days = match policy.awaiting_days {
        0 => "for ever".to_owned(),
        days => format!("for {} at most", counted(days.into(), "day")),
    };
    let shown = format!(
        "awaiting       {} at most, {days}",
        counted(policy.awaiting_max.into(), "account")
    );
    (policy.mode() == RegistrationMode::Approval).then_some(shown)
}

/// In the form of the configuration.
fn written(window: Option<Window>) -> String {
    let Some(Window { limit, seconds }) = window else {
        return "off".to_owned();
    };
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let unit = units.into_iter().find(|(length, _)| seconds % length == 0);
    let (length, unit) = unit.unwrap_or((1, "s"));
    format!("{limit}/{}{unit}", seconds / length)
}
