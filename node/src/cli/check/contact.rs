//! Contact addresses: can people use them, and are the accounts there that they name?

use std::path::Path;

use hickory_resolver::TokioResolver;
use rookery_control::RegistrationMode;
use rookery_proto::admin::ShowUserRequest;
use rookery_proto::admin::users_client::UsersClient;
use rookery_router::ContactOptions;
use rookery_xmpp::jid::Jid;
use tonic::Code;

use super::super::admin::over_socket;
use super::dns;
use super::finding::Finding;
use crate::config::Config;
use crate::contact::ContactUri;

/// Everything about contact addresses and mailboxes; the DNS is asked only where that `is_wanted`. That they can be
/// read at all is the configuration's to check.
pub(super) async fn examine(config: &Config, is_wanted: bool) -> Vec<Finding> {
    let contact = &config.contact;
    let mut findings = settings(config);
    if is_wanted && let Some(resolver) = dns::resolver() {
        for domain in mail_domains(contact) {
            findings.extend(of_domain(&resolver, &domain).await);
        }
    }
    let accounts = accounts(config);
    if !accounts.is_empty() {
        let socket = config.admin.socket(&config.server);
        findings.extend(of_accounts(&socket, &accounts).await);
    }
    findings
}

fn settings(config: &Config) -> Vec<Finding> {
    let contact = &config.contact;
    let mode = RegistrationMode::from(config.registration.mode);
    let mut findings = Vec::new();
    if mode.is_open_to_strangers() && contact.abuse.is_empty() && contact.forced {
        let what =
            "registration is open to strangers who have nobody to complain to (contact.forced)";
        let fix = "set contact.abuse: operators who cannot reach you block the whole server";
        findings.push(Finding::warning(TOPIC, what.to_owned(), fix));
    }
    if mode.is_open_to_strangers() && contact.mailbox_jids.is_empty() {
        let what = "nobody reads what is written to abuse@, xmpp@ and the hosts themselves";
        let fix = "name accounts that do in contact.mailbox_jids";
        findings.push(Finding::note(TOPIC, what.to_owned(), fix));
    }
    findings
}

fn uris(contact: &ContactOptions) -> Vec<ContactUri> {
    let kinds = contact.kinds();
    let texts = kinds.iter().flat_map(|(_, addresses)| addresses.iter());
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn mail_domains(contact: &ContactOptions) -> Vec<String> {
    let domains = uris(contact).into_iter().filter_map(|uri| match uri {
        ContactUri::Mail(domain) => Some(domain),
        _ => None,
    });
    let mut domains: Vec<_> = domains.collect();
    domains.sort_unstable();
    domains.dedup();
    domains
}

async fn of_domain(resolver: &TokioResolver, domain: &str) -> Option<Finding> {
    let name = domain.trim_end_matches('.');
    if !dns::is_public(name) || dns::takes_mail(resolver, name).await? {
        return None;
    }
    let what =
        format!("the DNS has neither MX nor address for {domain}, which a mailto: address names");
    Some(Finding::warning(
        TOPIC,
        what,
        "is the domain written right?",
    ))
}

/// Accounts of this server that somebody is told to write to, or that get what is written.
fn accounts(config: &Config) -> Vec<Jid> {
    let named = uris(&config.contact)
        .into_iter()
        .filter_map(|uri| match uri {
            ContactUri::Xmpp(jid) => Some(jid),
            _ => None,
        });
    let lists = [&config.contact.mailbox_jids, &config.watchers.jids];
    let listed = lists.into_iter().flatten();
    let listed = listed.filter_map(|jid| jid.parse::<Jid>().ok());
    let is_ours = |jid: &Jid| {
        let mut hosts = config.server.hosts.iter();
        jid.local().is_some() && hosts.any(|host| host.eq_ignore_ascii_case(jid.domain()))
    };
    let mut accounts: Vec<_> = named.chain(listed).map(|jid| jid.to_bare()).collect();
    accounts.retain(is_ours);
    accounts.sort_unstable();
    accounts.dedup();
    // A mailbox needs no account where somebody reads it.
    let readers = rookery_router::Contact::new(config.contact.clone());
    accounts.retain(|jid| readers.recipients(jid).is_empty());
    accounts
}

/// The running server is asked: its store belongs to it.
async fn of_accounts(socket: &Path, accounts: &[Jid]) -> Vec<Finding> {
    let Ok(channel) = over_socket(socket).await else {
        let names: Vec<_> = accounts.iter().map(Jid::as_str).collect();
        let what = format!(
            "no server runs here, so nobody was asked for {}",
            names.join(", ")
        );
        let fix = "run `rookery check` again beside the running server, as its user";
        return vec![Finding::note(TOPIC, what, fix)];
    };
    let (mut client, mut findings) = (UsersClient::new(channel), Vec::new());
    for jid in accounts {
        let jid = jid.as_str().to_owned();
        let shown = client.show_user(ShowUserRequest { jid: jid.clone() }).await;
        if shown.is_err_and(|status| status.code() == Code::NotFound) {
            let what = format!("there is no account {jid}, which [contact] or [watchers] names");
            let fix = format!("`rookery admin users create {jid}`, or name another");
            findings.push(Finding::warning(TOPIC, what, fix));
        }
    }
    findings
}

const TOPIC: &str = "contact";

#[cfg(test)]
mod tests {
    use rookery_control::RegistrationChoice;

    use super::*;

    fn config() -> Config {
        let mut config = Config::default();
        config.server.hosts = vec!["Example.org".into()];
        config.contact.abuse = vec![
            "mailto:abuse@mail.example.org".into(),
            "xmpp:juliet@example.org?message".into(),
            "xmpp:abuse@example.org".into(),
            "xmpp:romeo@elsewhere.example".into(),
        ];
        config.contact.mailbox_jids = vec!["nurse@example.org".into()];
        config.watchers.jids = vec!["juliet@example.org".into()];
        config
    }

    #[test]
    fn our_accounts_are_looked_for_once_and_mailboxes_that_are_read_are_not() {
        let found = accounts(&config());
        let found: Vec<_> = found.iter().map(Jid::as_str).collect();
        assert_eq!(found, ["juliet@example.org", "nurse@example.org"]);
        assert_eq!(mail_domains(&config().contact), ["mail.example.org"]);
    }

    #[test]
    fn an_open_server_without_a_way_to_complain_is_warned_of() {
        let mut config = config();
        assert_eq!(settings(&config), []);
        config.registration.mode = RegistrationChoice::On;
        assert_eq!(settings(&config), []);
        config.contact = ContactOptions {
            forced: true,
            ..ContactOptions::default()
        };
        assert_eq!(settings(&config).len(), 2);
    }

    #[tokio::test]
    async fn without_a_running_server_it_says_that_accounts_were_not_looked_for() {
        let found = of_accounts(Path::new("/nowhere/admin.sock"), &accounts(&config())).await;
        assert!(found[0].what.contains("juliet@example.org"), "{found:?}");
    }
}
