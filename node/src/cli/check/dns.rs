//! DNS: do clients find this server?

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

use super::finding::Finding;
use crate::config::{Config, Role};

/// Where the DNS sends clients of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    name: String,
    port: u16,
}

/// What the DNS says of one name.
enum Answer<T> {
    Found(Vec<T>),
    Nothing,
    /// Nobody answered.
    Silence,
}

/// Everything about the hosts' records.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    // No client looks for a node that takes none.
    if !config.server.has(Role::Connection) {
        return Vec::new();
    }
    let hosts: Vec<_> = config
        .server
        .hosts
        .iter()
        .filter(|host| is_public(host))
        .collect();
    if hosts.is_empty() {
        return Vec::new();
    }
    let Some(resolver) = resolver() else {
        let what =
            "this machine has no usable /etc/resolv.conf, so the DNS was not asked".to_owned();
        return vec![Finding::warning(
            TOPIC,
            what,
            "run `rookery check` where the DNS works",
        )];
    };
    let mut findings = Vec::new();
    for host in hosts {
        findings.extend(of_host(&resolver, host, config).await);
    }
    findings
}

async fn of_host(resolver: &TokioResolver, host: &str, config: &Config) -> Vec<Finding> {
    let ports = |addresses: &[std::net::SocketAddr]| {
        addresses.iter().map(|at| at.port()).collect::<Vec<_>>()
    };
    let starttls = ports(&config.connection.starttls);
    let direct = ports(&config.connection.direct_tls);
    let services = [
        ("_xmpp-client._tcp", &starttls),
        ("_xmpps-client._tcp", &direct),
    ];
    let (mut findings, mut targets) = (Vec::new(), Vec::new());
    for (service, ports) in services {
        let name = format!("{service}.{host}.");
        match srv(resolver, &name).await {
            Answer::Silence => {
                let what = format!("nobody answered for {name}");
                return vec![Finding::warning(
                    TOPIC,
                    what,
                    "is the DNS reachable from here?",
                )];
            }
            Answer::Nothing => findings.extend(without_record(&name, host, ports)),
            Answer::Found(found) => {
                findings.extend(
                    found
                        .iter()
                        .filter_map(|target| wrong_port(&name, target, ports)),
                );
                targets.extend(found.into_iter().map(|target| target.name));
            }
        }
    }
    if targets.is_empty() {
        targets.push(host.to_owned());
    }
    targets.sort();
    targets.dedup();
    for target in targets {
        findings.extend(of_target(resolver, host, &target, config).await);
    }
    findings
}

fn without_record(name: &str, host: &str, ports: &[u16]) -> Option<Finding> {
    let port = *ports.first()?;
    let record = format!("publish:  {name} 86400 IN SRV 5 0 {port} {host}.");
    let what = format!("{name} has no SRV record");
    // Without one clients try the host itself, on port 5222.
    let works = name.starts_with("_xmpp-client") && port == 5222;
    Some(match works {
        true => Finding::note(TOPIC, format!("{what}; clients try {host} itself"), record),
        false => Finding::warning(
            TOPIC,
            format!("{what}; clients do not find port {port}"),
            record,
        ),
    })
}

fn wrong_port(name: &str, target: &Target, ports: &[u16]) -> Option<Finding> {
    if target.name.is_empty() {
        let what = format!("{name} says that the service does not exist (target `.`)");
        return Some(Finding::error(TOPIC, what, "remove that record"));
    }
    let what = format!(
        "{name} sends clients to port {}, where this server does not listen",
        target.port
    );
    let fix =
        format!("listen there, forward it, or correct the record (this server has {ports:?})");
    (!ports.contains(&target.port)).then(|| Finding::warning(TOPIC, what, fix))
}

async fn of_target(
    resolver: &TokioResolver,
    host: &str,
    target: &str,
    config: &Config,
) -> Option<Finding> {
    let addresses = match addresses(resolver, target).await {
        Answer::Silence => {
            let what = format!("nobody answered for {target}");
            return Some(Finding::warning(
                TOPIC,
                what,
                "is the DNS reachable from here?",
            ));
        }
        Answer::Nothing => {
            let what = format!("{host} leads to {target}, which has no address");
            return Some(Finding::error(
                TOPIC,
                what,
                format!("publish an A or AAAA record for {target}"),
            ));
        }
        Answer::Found(addresses) => addresses,
    };
    let listens_v6 = config
        .connection
        .starttls
        .iter()
        .any(|address| address.is_ipv6());
    if listens_v6 && !addresses.iter().any(IpAddr::is_ipv6) {
        let what =
            format!("{target} has no AAAA record: clients with IPv6 alone do not get through");
        return Some(Finding::note(
            TOPIC,
            what,
            "publish one, if this machine has an IPv6 address",
        ));
    }
    None
}

pub(super) fn resolver() -> Option<TokioResolver> {
    let mut builder = TokioResolver::builder_tokio().ok()?;
    builder.options_mut().timeout = Duration::from_secs(2);
    builder.options_mut().attempts = 1;
    builder.build().ok()
}

async fn srv(resolver: &TokioResolver, name: &str) -> Answer<Target> {
    match resolver.srv_lookup(name).await {
        Ok(lookup) => {
            let targets = lookup
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::SRV(srv) => {
                        let name = srv.target.to_utf8().trim_end_matches('.').to_owned();
                        Some(Target {
                            name,
                            port: srv.port,
                        })
                    }
                    _ => None,
                });
            Answer::Found(targets.collect())
        }
        Err(error) if error.is_no_records_found() => Answer::Nothing,
        Err(_) => Answer::Silence,
    }
}

async fn addresses(resolver: &TokioResolver, name: &str) -> Answer<IpAddr> {
    match resolver.lookup_ip(format!("{name}.")).await {
        Ok(lookup) => Answer::Found(lookup.iter().collect()),
        Err(error) if error.is_no_records_found() => Answer::Nothing,
        Err(_) => Answer::Silence,
    }
}

/// Whether mail for a domain goes anywhere: it has an MX, or an address (RFC 5321 5.1). None if nobody answers.
pub(super) async fn takes_mail(resolver: &TokioResolver, domain: &str) -> Option<bool> {
    match resolver.mx_lookup(format!("{domain}.")).await {
        Ok(_) => Some(true),
        Err(error) if error.is_no_records_found() => match addresses(resolver, domain).await {
            Answer::Found(found) => Some(!found.is_empty()),
            Answer::Nothing => Some(false),
            Answer::Silence => None,
        },
        Err(_) => None,
    }
}

/// Names that are never in the public DNS (RFC 6761, RFC 6762).
pub(super) fn is_public(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    !["localhost", "test", "invalid", "example", "local"].contains(&last)
        && host.parse::<IpAddr>().is_err()
}

const TOPIC: &str = "dns";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_and_addresses_are_not_looked_up() {
        assert!(is_public("xmpp.example.org"));
        let private = [
            "localhost",
            "a.test",
            "b.invalid",
            "192.0.2.1",
            "printer.local",
        ];
        assert!(private.into_iter().all(|host| !is_public(host)));
    }

    #[test]
    fn a_record_for_another_port_is_told_with_what_this_server_has() {
        let target = Target {
            name: "x.example.org".into(),
            port: 443,
        };
        let finding = wrong_port("_xmpps-client._tcp.example.org.", &target, &[5223]).unwrap();
        assert!(
            finding.what.contains("port 443") && finding.fix.contains("[5223]"),
            "{finding}"
        );
        assert_eq!(
            wrong_port("_xmpps-client._tcp.example.org.", &target, &[443]),
            None
        );
    }
}
