//! Certificates: there, for the right names, not about to expire, with their keys.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rookery_connection::{CertificateFacts, CertificateFiles, TlsLoadError};
use rookery_xmpp::clock::Timestamp;

use super::super::terminal::moment;
use super::finding::Finding;
use crate::config::{Config, Role};
use crate::roles::tls_hosts;

/// Everything about the certificates of the virtual hosts, as of `now`.
pub(super) fn examine(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in &config.server.hosts {
        let files = config
            .tls
            .certificates
            .iter()
            .find(|files| files.host.eq_ignore_ascii_case(host));
        match files {
            Some(files) => findings.extend(of_host(host, files, now)),
            // Clients come to other nodes.
            None if !config.server.has(Role::Connection) => {}
            None => findings.push(Finding::error(
                TOPIC,
                format!("{host} has no certificate"),
                format!(
                    "get one (certbot certonly -d {host}), and add to the end of the configuration:\n\
                     [[tls.certificates]]\n\
                     host = \"{host}\"\n\
                     chain = \"/etc/letsencrypt/live/{host}/fullchain.pem\"\n\
                     key = \"/etc/letsencrypt/live/{host}/privkey.pem\""
                ),
            )),
        }
    }
    for files in &config.tls.certificates {
        if !config
            .server
            .hosts
            .iter()
            .any(|host| host.eq_ignore_ascii_case(&files.host))
        {
            let what = format!(
                "there is a certificate for {}, which is no host of this server",
                files.host
            );
            findings.push(Finding::warning(
                TOPIC,
                what,
                "remove it, or add the host to server.hosts",
            ));
        }
    }
    // Only the files as a whole tell whether a key fits; what was said already is not said twice.
    if !findings.iter().any(|found| found.fix == UNREADABLE)
        && let Err(error) = tls_hosts(config)
        && (findings.is_empty() || !matches!(error, TlsLoadError::NoCertificate))
    {
        findings.push(Finding::error(TOPIC, error.to_string(), fix_of(&error)));
    }
    findings
}

/// What ends an error that only all files together show.
fn fix_of(error: &TlsLoadError) -> &'static str {
    match error {
        TlsLoadError::NoCertificate => {
            "name host, chain and key of each under [[tls.certificates]]"
        }
        TlsLoadError::Host { .. } => "write a domain name, such as host = \"example.org\"",
        TlsLoadError::HostTwice { .. } => "leave one of the two",
        TlsLoadError::Certificate { .. } => "get another one, or look whether the file is whole",
        TlsLoadError::Setup(_) => "look at [tls] and the files that it names",
        TlsLoadError::Read { .. } | TlsLoadError::Pem { .. } | TlsLoadError::Missing { .. } => {
            UNREADABLE
        }
        TlsLoadError::Key { .. } | TlsLoadError::KeyMismatch { .. } => {
            "use the key that the certificate was issued for"
        }
    }
}

fn of_host(host: &str, files: &CertificateFiles, now: Timestamp) -> Vec<Finding> {
    match files.facts() {
        Err(error) => vec![Finding::error(
            TOPIC,
            format!("{host}: {error}"),
            UNREADABLE,
        )],
        Ok(facts) => {
            let mut findings = of_time(host, &facts, now);
            findings.extend(private_key(TOPIC, &files.key));
            findings.extend(of_names(host, &facts));
            findings
        }
    }
}

/// Whether somebody beside the owner can read a private key. A group that can is how a server's user is often let in.
pub(super) fn private_key(topic: &'static str, path: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let shown = path.display();
    if mode & 0o007 != 0 {
        let what = format!("every user of this machine can read or write the private key {shown}");
        return Some(Finding::warning(
            topic,
            what,
            format!("chmod o-rwx {shown}"),
        ));
    }
    if mode & 0o070 != 0 {
        let what = format!("a group can read or write the private key {shown}");
        let fix = format!("right if only the server is in that group, else chmod 600 {shown}");
        return Some(Finding::note(topic, what, fix));
    }
    None
}

fn of_time(host: &str, facts: &CertificateFacts, now: Timestamp) -> Vec<Finding> {
    let until = moment(facts.not_after.as_millis());
    if facts.not_after < now {
        let what = format!("{host}: the certificate expired on {until}");
        return vec![Finding::error(
            TOPIC,
            what,
            "renew it (certbot renew), then `rookery admin server reload`",
        )];
    }
    if facts.not_before > now {
        let what = format!(
            "{host}: the certificate is not valid before {}",
            moment(facts.not_before.as_millis())
        );
        return vec![Finding::error(
            TOPIC,
            what,
            "check this machine's clock, or wait",
        )];
    }
    if facts.not_after < now.plus(RENEWAL) {
        let what = format!("{host}: the certificate expires on {until}");
        let fix = "its renewal should have happened by now: look at the renewal's log";
        return vec![Finding::warning(TOPIC, what, fix)];
    }
    Vec::new()
}

fn of_names(host: &str, facts: &CertificateFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !facts.is_for(host) {
        let what = format!(
            "{host}: the certificate is for {}",
            facts.dns_names.join(", ")
        );
        let fix = format!("get one whose names include {host} (certbot certonly -d {host})");
        findings.push(Finding::error(TOPIC, what, fix));
    }
    if facts.self_signed {
        let what = format!("{host}: the certificate is self-signed, clients will warn or refuse");
        findings.push(Finding::warning(
            TOPIC,
            what,
            "get one from an authority that clients know",
        ));
    } else if facts.chain_length == 1 {
        let what = format!("{host}: the chain holds only the host's own certificate");
        let fix = "use the file with the intermediate certificates (fullchain.pem), or some clients refuse";
        findings.push(Finding::warning(TOPIC, what, fix));
    }
    findings
}

const TOPIC: &str = "certificate";

const UNREADABLE: &str = "check the path, and that the server's user may read the file";

/// Let's Encrypt's clients renew 30 days before the end; two weeks later something is wrong.
const RENEWAL: Duration = Duration::from_secs(14 * 86_400);

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn without_a_certificate_the_advice_is_to_name_one() {
        let found = examine(&Config::default(), Timestamp(0));
        let [found] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(found.what.contains("no certificate"), "{found:?}");
        assert!(found.fix.contains("[[tls.certificates]]"), "{found:?}");
    }

    #[test]
    fn a_private_key_that_others_can_read_is_warned_of_and_a_group_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key.pem");
        write(&key, "").unwrap();
        for (mode, wanted) in [
            (0o600, None),
            (0o640, Some(Severity::Note)),
            (0o604, Some(Severity::Warning)),
            (0o666, Some(Severity::Warning)),
        ] {
            set_permissions(&key, Permissions::from_mode(mode)).unwrap();
            let found = private_key(TOPIC, &key).map(|found| found.severity);
            assert_eq!(found, wanted, "{mode:o}");
        }
    }
}
