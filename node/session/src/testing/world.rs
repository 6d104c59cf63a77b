//! The server that a dialogue is with: hosts, accounts, options, TLS.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;

use super::choices::Choices;
use crate::event::TlsFacts;
use crate::{ConnectionFacts, HostConfig, SessionConfig, SessionOptions};

/// A server, and one connection to it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) config: Arc<SessionConfig>,
    pub(super) facts: ConnectionFacts,
    pub(super) tls: TlsFacts,
    /// The host that a client who means well opens its streams to.
    pub(super) host: &'static str,
}

/// The hosts; one name has an account at each of them, with another password.
pub(super) const HOSTS: [&str; 2] = ["localhost", "capulet.example"];

/// An account that exists.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) jid: Jid,
    pub(super) password: &'static str,
    pub(super) credentials: Arc<Credentials>,
}

/// The account of this bare address, if it exists.
pub(super) fn account(jid: &Jid) -> Option<&'static Account> {
    accounts().iter().find(|account| account.jid == *jid)
}

/// The accounts of a host.
pub(super) fn accounts_at(host: &str) -> Vec<&'static Account> {
    let accounts = accounts().iter();
    accounts.filter(|a| a.jid.domain() == host).collect()
}

/// Few rounds: what is tried here is who is believed, not how long it takes.
pub(super) const ITERATIONS: u32 = 2;

/// The salt of every account.
pub(super) const SALT: &[u8] = b"0123456789abcdef";

fn accounts() -> &'static [Account] {
    static ACCOUNTS: OnceLock<Vec<Account>> = OnceLock::new();
    ACCOUNTS.get_or_init(|| {
        let [first, second] = HOSTS;
        [
            ("juliet", first, "pencil"),
            // Both characters that SCRAM escapes.
            ("a,b=c", first, "p,=2C"),
            ("juliet", second, "dagger"),
        ]
        .map(|(name, host, password)| Account {
            jid: Jid::from_parts(Some(name), host, None).expect("a good address"),
            password,
            credentials: Arc::new(
                Credentials::derive(password, SALT, ITERATIONS).expect("a good password"),
            ),
        })
        .into()
    })
}

impl World {
    /// A server of any configuration that lets somebody log in, and a connection of any kind.
    pub(super) fn new(choices: &mut Choices<'_>) -> Self {
        let host = choices.pick(&HOSTS);
        let server_name = choices.either().then(|| host.to_owned());
        let tls = TlsFacts {
            tls13: choices.either(),
            exporter: choices.either().then_some([7; 32]),
            server_end_point: choices.either().then(|| vec![9; 32]),
            server_name: if choices.odd() {
                Some(
                    choices
                        .pick(&["other.example", "LOCALHOST", "", "a b"])
                        .into(),
                )
            } else {
                server_name
            },
        };
        Self {
            config: Arc::new(config(choices)),
            facts: ConnectionFacts {
                address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
                direct_tls: choices.either(),
            },
            tls,
            host,
        }
    }

    /// The server of the `sasl` target: everything is offered, and nothing ends early.
    pub(super) fn open() -> Self {
        let hosts = HOSTS.map(|domain| host(domain, false)).into();
        let options = SessionOptions {
            login_attempts_max: 8,
            decoy_iterations: vec![ITERATIONS],
            ..SessionOptions::default()
        };
        Self {
            config: Arc::new(with(hosts, options)),
            facts: ConnectionFacts {
                address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
                direct_tls: true,
            },
            tls: TlsFacts {
                tls13: true,
                exporter: Some([7; 32]),
                server_end_point: Some(vec![9; 32]),
                server_name: None,
            },
            host: HOSTS[0],
        }
    }

    /// What binds to the TLS connection under this name.
    pub(super) fn binding_data(&self, name: &str) -> Option<Vec<u8>> {
        match name {
            "tls-exporter" if self.tls.tls13 => self.tls.exporter.map(|data| data.to_vec()),
            "tls-server-end-point" => self.tls.server_end_point.clone(),
            _ => None,
        }
    }
}

fn config(choices: &mut Choices<'_>) -> SessionConfig {
    let hosts = HOSTS.map(|domain| host(domain, choices.either())).into();
    let mut options = SessionOptions {
        login_attempts_max: 1 + choices.below(4) as u32,
        bind_attempts_max: 1 + choices.below(3) as u32,
        registration_requests_max: 1 + choices.below(3) as u32,
        plain: choices.either(),
        scram_sha_1: choices.either(),
        scram_sha_256: choices.either(),
        scram_sha_512: choices.either(),
        channel_binding: choices.either(),
        downgrade_protection: choices.either(),
        decoy_iterations: vec![ITERATIONS],
        ..SessionOptions::default()
    };
    let scram = options.scram_sha_1 || options.scram_sha_256 || options.scram_sha_512;
    options.plain |= !scram;
    with(hosts, options)
}

fn with(hosts: Vec<HostConfig>, options: SessionOptions) -> SessionConfig {
    SessionConfig {
        hosts,
        options,
        stanza_bytes_max: 262_144,
        decoy_secret: [3; 32],
    }
}

fn host(domain: &str, registration: bool) -> HostConfig {
    HostConfig {
        domain: domain.into(),
        registration,
        caps: None,
    }
}
