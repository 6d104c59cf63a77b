//! Values that cannot be, and values that contradict one another: all rules in one place.

use toml::{Table, Value};
use tracing_subscriber::EnvFilter;

use super::{Config, Location, Problem, Role};

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
    problems.extend(log(config, &place));
    problems.extend(admin(config, &place));
    problems
}

/// A number that must lie within bounds.
struct Bound {
    key: &'static str,
    min: i64,
    max: i64,
    why: &'static str,
}

/// A number that must not be above another.
struct Order {
    lower: &'static str,
    upper: &'static str,
    why: &'static str,
}

const BOUNDS: &[Bound] = &[
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
        key: "server.arbiters",
        min: 0,
        max: 1_024,
        why: "each is a thread",
    },
];

const ORDERS: &[Order] = &[
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
        if lower <= upper {
            return None;
        }
        // The one that was given is to blame, not a default.
        let at = match place(self.lower) {
            Location::Absent => place(self.upper),
            given => given,
        };
        let reason = format!(
            "`{}` ({lower}) cannot be above `{}` ({upper}): {}",
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
        if !server.roles.is_empty() && !server.roles.contains(&role) {
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

fn log(config: &Config, place: &impl Fn(&str) -> Location) -> Option<Problem> {
    let error = EnvFilter::try_new(&config.log.filter).err()?;
    let reason = format!("`log.filter` cannot be understood: {error}");
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
