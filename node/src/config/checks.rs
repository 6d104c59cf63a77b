//! Values that cannot be, and values that contradict one another: all rules in one place.

use std::collections::BTreeSet;

use rookery_proto::{PROTOCOL, PROTOCOL_OLDEST};
use rookery_store::Backend;
use rookery_xmpp::jid::{Jid, prepare_domain};
use toml::{Table, Value};

use super::{Config, Location, Problem, Role};
use crate::cluster::is_address;
use crate::operation::{FilterError, check_filter};

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
    problems.extend(mechanisms(config, &place));
    problems.extend(log(config, &place));
    problems.extend(admin(config, &place));
    problems.extend(cluster(config, &place));
    problems
}

/// A number that must lie within bounds.
struct Bound {
    key: &'static str,
    min: i64,
    max: i64,
    why: &'static str,
}

/// A number that must be below another.
struct Order {
    lower: &'static str,
    upper: &'static str,
    why: &'static str,
}

const BOUNDS: &[Bound] = &[
    Bound {
        key: "server.node",
        min: 1,
        max: 4_294_967_295,
        why: "0 is what asks shards without being a node",
    },
    Bound {
        key: "server.arbiters",
        min: 0,
        max: 1_024,
        why: "each is a thread",
    },
    Bound {
        key: "cluster.lease_ms",
        min: 500,
        max: 600_000,
        why: "the control group grants no other lease",
    },
    Bound {
        key: "cluster.protocol_max",
        min: PROTOCOL_OLDEST as i64,
        max: PROTOCOL as i64,
        why: "this build speaks no other version",
    },
    Bound {
        key: "admin.answer_ms_max",
        min: 100,
        max: 600_000,
        why: "a shard needs some time to answer",
    },
    Bound {
        key: "control.tick_ms",
        min: 10,
        max: 10_000,
        why: "elections take 10 to 20 ticks",
    },
    Bound {
        key: "control.proposals_pending_max",
        min: 1,
        max: 1_000_000,
        why: "nothing could be decided",
    },
    Bound {
        key: "connection.connections_max",
        min: 1,
        max: 1_000_000_000,
        why: "nobody could connect",
    },
    Bound {
        key: "connection.connections_per_address_max",
        min: 1,
        max: 1_000_000_000,
        why: "nobody could connect",
    },
    Bound {
        key: "connection.handshakes_max",
        min: 1,
        max: 1_000_000_000,
        why: "nobody could log in",
    },
    Bound {
        key: "connection.backlog",
        min: 1,
        max: 2_147_483_647,
        why: "nobody could connect",
    },
    Bound {
        key: "connection.proxy_header_ms",
        min: 100,
        max: 60_000,
        why: "a header takes a packet, and who does not send it holds a socket",
    },
    Bound {
        key: "connection.outbound_stanzas_max",
        min: 1,
        max: 1_000_000_000,
        why: "nothing could be sent",
    },
    Bound {
        key: "connection.write_stall_ms",
        min: 1_000,
        max: 3_600_000,
        why: "a slow network takes seconds",
    },
    Bound {
        key: "connection.drain_ms_max",
        min: 0,
        max: 600_000,
        why: "whoever stops the server waits for it",
    },
    Bound {
        key: "connection.verifications_max",
        min: 1,
        max: 1_024,
        why: "nobody could log in with PLAIN",
    },
    Bound {
        key: "session.login_timeout_ms",
        min: 1_000,
        max: 3_600_000,
        why: "a login takes some round trips and a key derivation",
    },
    Bound {
        key: "session.registration_timeout_ms",
        min: 1_000,
        max: 3_600_000,
        why: "a person has to fill in a form",
    },
    Bound {
        key: "session.close_timeout_ms",
        min: 100,
        max: 600_000,
        why: "the other side needs a round trip to close its stream",
    },
    Bound {
        key: "session.ping_timeout_ms",
        min: 1_000,
        max: 3_600_000,
        why: "a slow network takes seconds",
    },
    Bound {
        key: "session.idle_ms",
        min: 1_000,
        max: 2_147_483_647,
        why: "every client would be pinged all the time",
    },
    Bound {
        key: "session.login_attempts_max",
        min: 1,
        max: 1_000,
        why: "nobody could log in",
    },
    Bound {
        key: "session.bind_attempts_max",
        min: 1,
        max: 1_000,
        why: "nobody could bind a resource",
    },
    Bound {
        key: "session.sasl_message_bytes_max",
        min: 512,
        max: 6_000,
        why: "a name and a nonce must fit, in base64, into what is read before authentication",
    },
    Bound {
        key: "login_guard.entries_max",
        min: 1,
        max: 1_000_000_000,
        why: "nothing would be remembered",
    },
    Bound {
        key: "xml.stanza_bytes_max",
        min: 10_000,
        max: 67_108_864,
        why: "RFC 6120 13.12 forbids less than 10000",
    },
    Bound {
        key: "xml.depth_max",
        min: 8,
        max: 1_000,
        why: "roster pushes and forms are 4 deep, forwarded messages more",
    },
    Bound {
        key: "xml.attributes_max",
        min: 8,
        max: 10_000,
        why: "a stanza has 5, and namespaces beside them",
    },
    Bound {
        key: "xml.namespaces_max",
        min: 4,
        max: 10_000,
        why: "a client's stanza has two, and often more",
    },
    Bound {
        key: "router.shards",
        min: 1,
        max: 65_535,
        why: "every account lives in one",
    },
    Bound {
        key: "router.resources_max",
        min: 1,
        max: 1_000_000_000,
        why: "nobody could bind a resource",
    },
    Bound {
        key: "router.shard_queue_max",
        min: 1,
        max: 1_000_000,
        why: "nothing could reach a shard",
    },
    Bound {
        key: "router.waiting_stanzas_max",
        min: 1,
        max: 1_000_000_000,
        why: "nothing could wait for an account that is read",
    },
    Bound {
        key: "router.account_idle_s",
        min: 30,
        max: 31_536_000,
        why: "what is sent again after a shard has moved would be taken for new",
    },
    Bound {
        key: "router.scram_iterations",
        min: 1,
        max: 10_000_000,
        why: "each login would take minutes",
    },
    Bound {
        key: "router.derivations_max",
        min: 1,
        max: 1_024,
        why: "nobody could get a password",
    },
    Bound {
        key: "quota.account_burst_ms",
        min: 100,
        max: 3_600_000,
        why: "a bucket must hold something, and an hour of it is no limit",
    },
    Bound {
        key: "quota.prefix_burst_ms",
        min: 100,
        max: 3_600_000,
        why: "a bucket must hold something, and an hour of it is no limit",
    },
    Bound {
        key: "quota.domain_burst_ms",
        min: 100,
        max: 3_600_000,
        why: "a bucket must hold something, and an hour of it is no limit",
    },
    Bound {
        key: "quota.lease_ms",
        min: 1_500,
        max: 600_000,
        why: "nodes ask once a second, and what is lent to a dead one is waited for",
    },
    Bound {
        key: "store.write_queue_kib_max",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.read_queue_max",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.readers",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.group_operations_max",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.index_round_stanzas",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "store.checkpoint_pages",
        min: 1,
        max: 1_000_000_000,
        why: "the store could not work",
    },
    Bound {
        key: "scylla.copies",
        min: 1,
        max: 1_000,
        why: "nothing would be kept",
    },
    Bound {
        key: "scylla.connect_ms_max",
        min: 1_000,
        max: 3_600_000,
        why: "a database takes seconds to start",
    },
    Bound {
        key: "scylla.request_ms_max",
        min: 100,
        max: 600_000,
        why: "the slowest request of a healthy database takes some ms",
    },
    Bound {
        key: "scylla.conditional_ms_max",
        min: 10,
        max: 600_000,
        why: "a conditional write takes several round trips",
    },
    Bound {
        key: "scylla.speculate_ms",
        min: 1,
        max: 600_000,
        why: "every request would be sent to several nodes",
    },
    Bound {
        key: "scylla.calls_max",
        min: 1,
        max: 4_294_967_295,
        why: "the store could not work",
    },
    Bound {
        key: "scylla.threads",
        min: 1,
        max: 1_024,
        why: "the store could not work",
    },
];

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
];

impl Bound {
    fn problem(&self, table: &Table, place: impl Fn(&str) -> Location) -> Option<Problem> {
        let value = number(table, self.key)?;
        if (self.min..=self.max).contains(&value) {
            return None;
        }
        let reason = format!("`{}` cannot be {value}: {}", self.key, self.why);
        let hint = format!("choose from {} to {}", self.min, self.max);
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

fn number(table: &Table, key: &str) -> Option<i64> {
    let (section, option) = key.split_once('.')?;
    table.get(section)?.get(option).and_then(Value::as_integer)
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
