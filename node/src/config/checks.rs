//! Values that cannot be, and values that contradict one another: all rules in one place.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rookery_control::{NameKind, NameRule, RegistrationLists, RegistrationMode};
use rookery_router::Contact;
use rookery_router::registration_form::FormFlaw;
use rookery_session::exempt_jid;
use rookery_store::Backend;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::{Jid, prepare_domain};
use rookery_xmpp::units::Span;
use toml::{Table, Value};

use super::bounds::{BOUNDS, Bound};
use super::{Config, Location, Problem, Role};
use crate::cluster::is_address;
use crate::contact::ContactUri;
use crate::operation::{FilterError, check_filter};
use crate::watchers::{Target, Template};

/// Everything that is wrong, in the order of the rules. `place` tells where an option was given.
pub(super) fn run(config: &Config, place: impl Fn(&str) -> Location) -> Vec<Problem> {
    let table = config.to_table();
    let mut problems = Vec::new();
    for bound in BOUNDS {
        problems.extend(bound.problem(&table, &place));
    }
    for order in ORDERS {
        problems.extend(order.problem(&table, &place));
    }
    problems.extend(server(config, &place));
    problems.extend(addresses(config, &place));
    problems.extend(exempt(config, &place));
    problems.extend(mechanisms(config, &place));
    problems.extend(location(config, &place));
    problems.extend(names(config, &place));
    problems.extend(web(config, &place));
    problems.extend(registration(config, &place));
    problems.extend(watchers(config, &place));
    problems.extend(contact(config, &place));
    problems.extend(server_info(config, &place));
    problems.extend(registration_form(config, &place));
    problems.extend(captcha(config, &place));
    problems.extend(log(config, &place));
    problems.extend(admin(config, &place));
    problems.extend(cluster(config, &place));
    problems
}

/// A number that must be below another.
struct Order {
    lower: &'static str,
    upper: &'static str,
    why: &'static str,
}

const ORDERS: &[Order] = &[
    Order {
        lower: "quota.lease_margin_ms",
        upper: "quota.lease_ms",
        why: "clocks that drift that much measure nothing",
    },
    Order {
        lower: "scylla.speculate_ms",
        upper: "scylla.request_ms_max",
        why: "a second node must be asked before the caller gives up",
    },
    Order {
        lower: "scylla.conditional_ms_max",
        upper: "scylla.request_ms_max",
        why: "what became of a write must be looked up before the caller gives up",
    },
    Order {
        lower: "control.proposal_retry_ms",
        upper: "control.proposal_timeout_ms",
        why: "a proposal must be made again before its caller gives up",
    },
    Order {
        lower: "control.proposal_timeout_ms",
        upper: "admin.answer_ms_max",
        why: "the admin API must outlast the control group to tell what became of a change",
    },
    Order {
        lower: "control.proposal_timeout_ms",
        upper: "registration.reservation_ms",
        why: "a reservation must live until its registration is settled",
    },
    Order {
        lower: "login_guard.delay_ms_max",
        upper: "session.login_timeout_ms",
        why: "a slowed client would never get its answer",
    },
    Order {
        lower: "xml.stanza_bytes_max",
        upper: "connection.outbound_bytes_max",
        why: "the largest stanza must fit into what may wait for a client",
    },
    Order {
        lower: "xml.stanza_bytes_max",
        upper: "router.waiting_bytes_max",
        why: "the largest stanza must fit into what may wait for an account",
    },
    Order {
        lower: "session.under_way_stanzas_max",
        upper: "router.waiting_stanzas_max",
        why: "what one client has under way would be refused by its own account",
    },
    Order {
        lower: "session.under_way_bytes_max",
        upper: "router.waiting_bytes_max",
        why: "what one client has under way would be refused by its own account",
    },
    Order {
        lower: "session.under_way_bytes_max",
        upper: "link.shard_bytes",
        why: "what one client has under way would be refused on its way to another shard",
    },
];

impl Bound {
    fn problem(&self, table: &Table, place: impl Fn(&str) -> Location) -> Option<Problem> {
        let value = number(table, self.key)?;
        if (self.min..=self.max).contains(&value) {
            return None;
        }
        let shown = |value: i64| match u32::try_from(value) {
            Ok(ms) if span(table, self.key).is_some() => Span::from_ms(ms).to_string(),
            _ => value.to_string(),
        };
        let reason = format!("`{}` cannot be {}: {}", self.key, shown(value), self.why);
        let hint = format!("choose from {} to {}", shown(self.min), shown(self.max));
        Some(Problem::new(place(self.key), reason).with_hint(hint))
    }
}

impl Order {
    fn problem(&self, table: &Table, place: impl Fn(&str) -> Location) -> Option<Problem> {
        let (lower, upper) = (number(table, self.lower)?, number(table, self.upper)?);
        if lower < upper {
            return None;
        }
        // The one that was given is to blame, not a default.
        let at = match place(self.lower) {
            Location::Absent => place(self.upper),
            given => given,
        };
        let reason = format!(
            "`{}` ({lower}) must be below `{}` ({upper}): {}",
            self.lower, self.upper, self.why
        );
        Some(Problem::new(at, reason))
    }
}

fn server(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let mut problems = Vec::new();
    let server = &config.server;
    if server.hosts.is_empty() {
        let problem = Problem::new(place("server.hosts"), "`server.hosts` names no host");
        problems.push(problem.with_hint("such as hosts = [\"example.org\"]"));
    }
    if server.roles.is_empty() {
        let problem = Problem::new(place("server.roles"), "`server.roles` names no role");
        problems.push(problem.with_hint("a single server has all three, which is the default"));
    }
    for role in [Role::Connection, Role::Router, Role::Control] {
        // In a cluster other nodes can do it.
        let elsewhere = !config.cluster.listen.is_empty();
        if !server.roles.is_empty() && !server.roles.contains(&role) && !elsewhere {
            let reason = format!(
                "the role `{}` is missing, and nothing else provides it",
                role.name()
            );
            let hint = "a single server has all three roles, which is the default";
            problems.push(Problem::new(place("server.roles"), reason).with_hint(hint));
        }
    }
    problems
}

fn addresses(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for host in &config.server.hosts {
        let at = place("server.hosts");
        match prepare_domain(host) {
            Ok(prepared) if seen.insert(prepared.clone().into_owned()) => {}
            Ok(_) => problems.push(Problem::new(
                at,
                format!("`server.hosts` names {host} twice"),
            )),
            Err(cause) => {
                let reason = format!("`{host}` in `server.hosts` is no host: {cause}");
                problems.push(Problem::new(at, reason).with_hint("such as \"example.org\""));
            }
        }
    }
    for admin in &config.server.admins {
        if admin
            .parse::<Jid>()
            .map_or(true, |jid| jid.local().is_none() || !jid.is_bare())
        {
            let reason = format!("`{admin}` in `server.admins` is not the address of an account");
            let problem = Problem::new(place("server.admins"), reason);
            problems.push(problem.with_hint("such as \"juliet@example.org\""));
        }
    }
    problems
}

fn exempt(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let texts = config.bandwidth.exempt.iter();
    let wrong = texts.filter(|text| exempt_jid(text).is_none());
    let problems = wrong.map(|text| {
        let reason = format!("`{text}` in `bandwidth.exempt` is neither an account nor a domain");
        let hint = "such as \"bot@example.org\" or \"example.org\"";
        Problem::new(place("bandwidth.exempt"), reason).with_hint(hint)
    });
    problems.collect()
}

fn mechanisms(config: &Config, place: &impl Fn(&str) -> Location) -> Option<Problem> {
    let session = &config.session;
    let offers = [
        session.plain,
        session.scram_sha_1,
        session.scram_sha_256,
        session.scram_sha_512,
    ];
    let reason = "no login mechanism is left: `session.plain` and all `session.scram_…` are false";
    let problem = Problem::new(place("session.scram_sha_256"), reason);
    (!offers.contains(&true)).then(|| problem.with_hint("at least scram_sha_256 should be true"))
}

fn location(config: &Config, place: &impl Fn(&str) -> Location) -> Option<Problem> {
    let location = &config.session.resume_location;
    if location.is_empty() || is_address(location) {
        return None;
    }
    let reason = format!("`{location}` in `session.resume_location` is no address and port");
    let problem = Problem::new(place("session.resume_location"), reason);
    Some(problem.with_hint("such as \"node1.example.org:5222\" or \"[2001:db8::1]:5222\""))
}

fn names(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let lists = [
        ("names.reserved", NameKind::Reserved, &config.names.reserved),
        (
            "names.protected",
            NameKind::Protected,
            &config.names.protected,
        ),
    ];
    let texts = lists
        .into_iter()
        .flat_map(|(key, kind, texts)| texts.iter().map(move |text| (key, kind, text)));
    let problem = |(key, kind, text): (&str, NameKind, &String)| {
        let error = NameRule::new(text, kind, "", Timestamp(0)).err()?;
        Some(Problem::new(place(key), format!("`{key}`: {error}")))
    };
    texts.filter_map(problem).collect()
}

fn registration(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let mut problems = Vec::new();
    let registration = &config.registration;
    let (words, window) = (
        "registration.min_seconds_between_registrations",
        "registration.per_address",
    );
    let both =
        registration.min_seconds_between_registrations > 0 && place(window) != Location::Absent;
    if both {
        let reason = format!("`{words}` and `{window}` say two things about one address");
        let hint = format!("leave out `{window}`, or set `{words}` to 0");
        problems.push(Problem::new(place(words), reason).with_hint(hint));
    }
    for (key, list) in [
        ("registration.allow", &registration.allow),
        ("registration.block", &registration.block),
    ] {
        if list.len() > RegistrationLists::NETWORKS_MAX {
            let (count, max) = (list.len(), RegistrationLists::NETWORKS_MAX);
            let reason = format!("`{key}` has {count} networks, and there is room for {max}");
            let problem = Problem::new(place(key), reason);
            problems.push(problem.with_hint("one network can stand for many"));
        }
    }
    problems
}

fn watchers(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let watchers = &config.watchers;
    let mut problems = accounts(config, &watchers.jids, "watchers.jids", place);
    if let Err(error) = watchers.template.parse::<Template>() {
        let reason = format!("`watchers.template` cannot be filled: {error}");
        problems.push(Problem::new(place("watchers.template"), reason));
    }
    if !watchers.webhook.is_empty()
        && let Err(error) = watchers.webhook.parse::<Target>()
    {
        let reason = format!("`watchers.webhook` cannot be used: {error}");
        problems.push(Problem::new(place("watchers.webhook"), reason));
    }
    problems
}

fn contact(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let contact = &config.contact;
    let mut problems = accounts(config, &contact.mailbox_jids, "contact.mailbox_jids", place);
    for (kind, addresses) in contact.kinds() {
        let key = format!("contact.{}", kind.trim_end_matches("-addresses"));
        for text in addresses {
            if let Err(error) = text.parse::<ContactUri>() {
                let reason = format!("`{text}` in `{key}` cannot be an address: {error}");
                problems.push(Problem::new(place(&key), reason));
            }
        }
    }
    let readers = Contact::new(contact.clone());
    for jid in &contact.mailbox_jids {
        let is_mailbox = |jid: &Jid| jid.local().is_some() && !readers.recipients(jid).is_empty();
        if jid.parse().as_ref().is_ok_and(is_mailbox) {
            let reason = format!("`{jid}` in `contact.mailbox_jids` is itself a mailbox");
            let problem = Problem::new(place("contact.mailbox_jids"), reason);
            let hint = "name the account of a person, or take the name out of `contact.mailboxes`";
            problems.push(problem.with_hint(hint));
        }
    }
    if contact.mailbox_jids.len() > Contact::RECIPIENTS_MAX {
        let reason = format!(
            "`contact.mailbox_jids` names {} accounts, and each message would become as many",
            contact.mailbox_jids.len()
        );
        let hint = format!("at most {}", Contact::RECIPIENTS_MAX);
        problems.push(Problem::new(place("contact.mailbox_jids"), reason).with_hint(hint));
    }
    let mode = RegistrationMode::from(config.registration.mode);
    if mode.is_open_to_strangers() && !contact.allows_strangers() {
        let reason =
            "registration is open to strangers, and `contact.abuse` names nobody to complain to";
        let hint = "such as abuse = [\"mailto:abuse@example.org\"] under [contact]; forced = true does without";
        problems.push(Problem::new(place("registration.mode"), reason).with_hint(hint));
    }
    problems
}

/// Addresses that are not those of accounts here: so far there is no way to others.
fn accounts(
    config: &Config,
    jids: &[String],
    key: &str,
    place: &impl Fn(&str) -> Location,
) -> Vec<Problem> {
    let hosts = hosts(config);
    let is_ours = |text: &str| match text.parse::<Jid>() {
        Ok(jid) => jid.is_bare() && jid.local().is_some() && hosts.contains(jid.domain()),
        Err(_) => false,
    };
    let wrong = jids.iter().filter(|jid| !is_ours(jid));
    let problem = |jid: &String| {
        let reason = format!("`{jid}` in `{key}` is not the address of an account of this server");
        let hint = "such as \"juliet@example.org\", where example.org is one of `server.hosts`";
        Problem::new(place(key), reason).with_hint(hint)
    };
    wrong.map(problem).collect()
}

/// The hosts served here, prepared.
fn hosts(config: &Config) -> BTreeSet<Cow<'_, str>> {
    let hosts = config.server.hosts.iter();
    hosts.filter_map(|host| prepare_domain(host).ok()).collect()
}

fn server_info(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let (key, hosts) = ("server_info.hosts", hosts(config));
    let named = config.server_info.hosts.iter();
    let wrong = named.filter(|host| !prepare_domain(host).is_ok_and(|host| hosts.contains(&host)));
    let problem = |host: &String| {
        let reason = format!("`{host}` in `{key}` is not one of `server.hosts`");
        Problem::new(place(key), reason).with_hint("only of a host that is served here can be told")
    };
    wrong.map(problem).collect()
}

fn registration_form(config: &Config, place: &impl Fn(&str) -> Location) -> Option<Problem> {
    let flaw = config
        .registration_form
        .check(config.captcha.is_on())
        .err()?;
    let key = match flaw {
        FormFlaw::Url(_) => "registration_form.redirect_url",
        _ => "registration_form.fields",
    };
    Some(Problem::new(place(key), format!("`{key}`: {flaw}")))
}

fn captcha(config: &Config, place: &impl Fn(&str) -> Location) -> Option<Problem> {
    let key = "captcha.questions";
    let flaw = config.captcha.check().err()?;
    let problem = Problem::new(place(key), format!("`{key}`: {flaw}"));
    let hint = "such as [{ question = \"What colour is the sky by day?\", answers = [\"blue\"] }]";
    Some(problem.with_hint(hint))
}

fn web(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let (web, mut problems) = (&config.web, Vec::new());
    let mut problem = |key: &str, reason: String, hint: &str| {
        problems.push(Problem::new(place(key), reason).with_hint(hint));
    };
    if !web.listen.is_empty() && web.tls && config.tls.certificates.is_empty() {
        let reason = "`web.listen` is set, and there is no certificate to show".to_owned();
        let hint = "set tls.certificates, or web.tls = false behind a proxy that does TLS";
        problem("web.listen", reason, hint);
    }
    if !web.base_url.is_empty() && !is_web_base(&web.base_url) {
        let reason = format!(
            "`{}` in `web.base_url` is no address of pages",
            web.base_url
        );
        problem("web.base_url", reason, "such as \"https://example.org\"");
    }
    problems
}

/// Printable ASCII, so that it can stand in a page and in a line of a file.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte))
}

fn is_web_base(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next());
    host.is_some_and(|host| !host.is_empty()) && is_plain(text) && !text.contains(['?', '#'])
}

fn log(config: &Config, place: &impl Fn(&str) -> Location) -> Option<Problem> {
    let FilterError(cause) = check_filter(&config.log.filter).err()?;
    let reason = format!("`log.filter` cannot be understood: {cause}");
    let hint = "such as \"info\" or \"info,rookery_router=debug\"";
    Some(Problem::new(place("log.filter"), reason).with_hint(hint))
}

fn admin(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let admin = &config.admin;
    if admin.listen.is_empty() {
        return Vec::new();
    }
    let files = [
        ("admin.certificate", &admin.certificate),
        ("admin.key", &admin.key),
        ("admin.client_ca", &admin.client_ca),
    ];
    let missing = files
        .into_iter()
        .filter(|(_, path)| path.as_os_str().is_empty());
    missing
        .map(|(key, _)| {
            let reason = format!("`admin.listen` opens the API to the network and needs `{key}`");
            let hint = "both sides must show certificates; without them use the Unix socket";
            Problem::new(place("admin.listen"), reason).with_hint(hint)
        })
        .collect()
}

fn cluster(config: &Config, place: &impl Fn(&str) -> Location) -> Vec<Problem> {
    let cluster = &config.cluster;
    if cluster.listen.is_empty() {
        return Vec::new();
    }
    let addresses = [("cluster.address", &cluster.address)].into_iter();
    let peers = cluster.peers.iter().map(|peer| ("cluster.peers", peer));
    let wrong = addresses
        .chain(peers)
        .filter(|(_, address)| !is_address(address));
    let mut problems: Vec<_> = wrong
        .map(|(key, address)| {
            let reason = format!("`{address}` in `{key}` is not where a node can be reached");
            Problem::new(place(key), reason).with_hint("such as \"node1.example.net:5270\"")
        })
        .collect();
    if !config.server.roles.contains(&Role::Control) && cluster.peers.is_empty() {
        let reason = "without the role `control` a node needs `cluster.peers` to ask";
        problems.push(Problem::new(place("cluster.peers"), reason));
    }
    let is_router = config.server.roles.contains(&Role::Router);
    if is_router && !cluster.peers.is_empty() && config.store.backend == Backend::Sqlite {
        let reason = "a router among others needs a store that all of them share";
        let hint = "set store.backend = \"scylla\", or leave out the role `router`";
        problems.push(Problem::new(place("store.backend"), reason).with_hint(hint));
    }
    problems
}

/// A number, or the milliseconds of a length of time.
fn number(table: &Table, key: &str) -> Option<i64> {
    let number = value(table, key).and_then(Value::as_integer);
    number.or_else(|| span(table, key).map(|span| span.as_ms().into()))
}

fn span(table: &Table, key: &str) -> Option<Span> {
    value(table, key)?.as_str()?.parse().ok()
}

fn value<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (section, option) = key.split_once('.')?;
    table.get(section)?.get(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_names_options_that_exist_and_the_defaults_keep_them() {
        let table = Config::default().to_table();
        let keys = BOUNDS.iter().map(|bound| bound.key);
        let keys = keys.chain(ORDERS.iter().flat_map(|order| [order.lower, order.upper]));
        for key in keys {
            assert!(number(&table, key).is_some(), "no such number: {key}");
        }
        let mut config = Config::default();
        config.server.hosts.push("example.org".into());
        assert_eq!(run(&config, |_| Location::Absent), []);
    }
}
