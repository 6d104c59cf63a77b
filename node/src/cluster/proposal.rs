//! Whether a node may propose what it proposes: judged by its certificate before it goes into the log.

use rookery_control::{Asker, Command, Proposal};
use rookery_link::LIFE_AHEAD_MS_MAX;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::PART_BYTES_MAX;
use tonic::Status;

use super::identity::Identity;

/// Nobody asks in another node's name, or in another role's, and no node lets others in.
pub(super) fn check(caller: &Identity, proposal: &Proposal, now: Timestamp) -> Result<(), Status> {
    let command = &proposal.command;
    let refused = refusal(caller, proposal, now);
    if let Some(why) = refused {
        let (caller, command) = (caller.to_string(), command.name());
        tracing::warn!(caller, command, why, "proposal refused");
        return Err(Status::permission_denied(why));
    }
    if command.asker() == Asker::Operator {
        let (caller, command) = (caller.to_string(), command.name());
        tracing::info!(caller, command, "an operator asks by a node");
    }
    Ok(())
}

/// Why it is not taken.
fn refusal(caller: &Identity, proposal: &Proposal, now: Timestamp) -> Option<&'static str> {
    if proposal.request.node != caller.node {
        return Some("the proposal is another node's");
    }
    let latest = now.as_millis().saturating_add(LIFE_AHEAD_MS_MAX);
    let named = proposal.command.incarnation();
    if proposal.request.incarnation > latest || named.is_some_and(|run| run > latest) {
        return Some("the node says that it started in the future: its clock or this one is wrong");
    }
    let command = &proposal.command;
    let role = match command.asker() {
        Asker::Itself(node, _) if node != caller.node => {
            return Some("a node speaks only of itself");
        }
        Asker::Itself(_, role) => role,
        Asker::Role(role) => Some(role),
        Asker::Operator | Asker::AnyNode => None,
        // A node may want to be empty, and to be used again.
        Asker::Member if is_own_drain(caller, command) => None,
        Asker::Member => return Some("who belongs to the cluster is not for this call"),
    };
    let lacks_role = role.is_some_and(|role| !caller.may(role));
    lacks_role.then_some("the certificate does not give the role that asks for this")
}

fn is_own_drain(caller: &Identity, command: &Command) -> bool {
    matches!(command, Command::DrainNode { node, .. } if *node == caller.node)
}

/// A proposal stays in the log of every member for a while, and what it names in the state.
pub(super) fn check_size(command: &Command, bytes: usize) -> Result<(), Status> {
    let bytes_max = match command {
        // Each registration that a window counts keeps both.
        Command::Reserve { host, name, .. } if host.len().max(name.len()) > PART_BYTES_MAX => 0,
        Command::AddBans { .. } | Command::RemoveBans { .. } => return Ok(()),
        Command::RenewQuota { .. } | Command::ReportLogins { .. } => RENEWAL_BYTES_MAX,
        // Two lists of a thousand networks, or the texts of a hundred events.
        Command::ReportRouter { .. }
        | Command::ConfigureRegistration { .. }
        | Command::SetRegistration { .. }
        | Command::ChangeLists { .. } => RENEWAL_BYTES_MAX,
        Command::ConfigureNames { .. }
        | Command::ReserveNames { .. }
        | Command::ReleaseNames { .. } => return Ok(()),
        _ => PROPOSAL_BYTES_MAX,
    };
    match bytes > bytes_max {
        true => Err(Status::invalid_argument("the proposal is too large")),
        false => Ok(()),
    }
}

/// A renewal of traffic budgets names a thousand keys, and so does a report of logins; nothing else is as long.
const RENEWAL_BYTES_MAX: usize = 131_072;

/// All other proposals: the longest names a host and an account of 1,023 bytes each, which JSON may write sixfold, and
/// twice what the account looks like, which may be seven times as long (`SKELETON_GROWTH_MAX`).
const PROPOSAL_BYTES_MAX: usize = 32_768;

#[cfg(test)]
mod tests {
    use rookery_control::{
        ClusterSecret, LoginReport, NameForms, NodeId, NodeRole, QuotaPolicy, QuotaRenewal,
        RegistrationPolicy, Renewal, RequestId, ReservationId, RouterReport, ShardPolicy,
        TokenHash,
    };

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn node(id: u64) -> NodeId {
        NodeId::new(id).expect("not zero")
    }

    fn caller(roles: &[NodeRole]) -> Identity {
        Identity {
            cluster: "test".to_owned(),
            node: node(1),
            roles: roles.to_vec(),
        }
    }

    fn proposal(command: Command) -> Proposal {
        Proposal {
            request: RequestId {
                node: node(1),
                incarnation: 1,
                sequence: 1,
            },
            acknowledged: 0,
            now: NOW,
            command,
        }
    }

    fn may(roles: &[NodeRole], command: Command) -> bool {
        check(&caller(roles), &proposal(command), NOW).is_ok()
    }

    fn renews(id: u64, routes: bool) -> Command {
        Command::Renew {
            node: node(id),
            renewal: Renewal {
                incarnation: 1,
                routes,
                draining: false,
            },
        }
    }

    fn quota(id: u64) -> Command {
        Command::RenewQuota {
            node: node(id),
            renewal: QuotaRenewal {
                incarnation: 1,
                sequence: 1,
                floor: 0,
                resets_seen: 0,
                wants: Vec::new(),
            },
        }
    }

    fn logins(id: u64) -> Command {
        Command::ReportLogins {
            node: node(id),
            report: LoginReport {
                incarnation: 1,
                ..LoginReport::default()
            },
        }
    }

    fn reservation() -> ReservationId {
        serde_json::from_str("7").expect("a number")
    }

    fn routers() -> Vec<Command> {
        vec![
            Command::Reserve {
                host: "localhost".to_owned(),
                address: [192, 0, 2, 1].into(),
                name: "olga".to_owned(),
                forms: None,
                invite: None,
            },
            Command::Commit {
                reservation: reservation(),
            },
            Command::Release {
                reservation: reservation(),
            },
            Command::ConfigureNames { rules: Vec::new() },
            Command::ConfigureShards {
                policy: ShardPolicy {
                    shards: 1,
                    lease_ms: 5_000,
                    margin_ms: 500,
                    moves_max: 1,
                },
            },
            Command::RaiseEpochs { above: 1 },
            Command::RestoreSecret {
                secret: ClusterSecret::new([7; 32]),
            },
            Command::HandedOver {
                node: node(1),
                shard: 1,
                epoch: 1,
            },
            renews(1, true),
            noticed(1),
            Command::TellEvents { up_to: 7 },
        ]
    }

    fn noticed(id: u64) -> Command {
        Command::ReportRouter {
            node: node(id),
            report: RouterReport {
                incarnation: 1,
                ..RouterReport::default()
            },
        }
    }

    #[test]
    fn each_role_asks_for_what_its_own_work_needs() {
        use NodeRole::{Connection, Control, Router};
        for command in routers() {
            let name = command.name();
            assert!(may(&[Router], command.clone()), "{name}");
            assert!(!may(&[Connection, Control], command), "{name}");
        }
        let policy = QuotaPolicy::default();
        for command in [logins(1), quota(1), Command::ConfigureQuota { policy }] {
            let name = command.name();
            assert!(may(&[Connection], command.clone()), "{name}");
            assert!(!may(&[Router, Control], command), "{name}");
        }
    }

    #[test]
    fn a_node_speaks_only_of_itself() {
        let others = [
            renews(2, false),
            quota(2),
            logins(2),
            noticed(2),
            Command::Leave { node: node(2) },
            Command::HandedOver {
                node: node(2),
                shard: 1,
                epoch: 1,
            },
            Command::DrainNode {
                node: node(2),
                draining: true,
            },
        ];
        for command in others {
            let name = command.name();
            assert!(!may(&NodeRole::ALL, command), "{name}");
        }
        for role in NodeRole::ALL {
            assert!(may(&[role], renews(1, false)));
            assert!(may(&[role], Command::Leave { node: node(1) }));
        }
    }

    #[test]
    fn the_operator_is_heard_on_every_node_except_about_who_belongs_to_the_cluster() {
        for role in NodeRole::ALL {
            let policy = RegistrationPolicy::default();
            assert!(may(&[role], Command::SetRegistration { policy }));
            assert!(may(&[role], Command::ShowQuota { key: None }));
            assert!(may(&[role], Command::ResetGuard { target: None }));
            let secret = ClusterSecret::new([7; 32]);
            assert!(may(&[role], Command::ProposeSecret { secret }));
            let token = TokenHash::of(b"secret");
            let members = [
                Command::Admit {
                    token,
                    address: "a:1".to_owned(),
                },
                Command::RemoveNode {
                    node: node(1),
                    unless_alive: false,
                },
                Command::Advance { ms: 1 },
                Command::Enlist {
                    node: node(1),
                    address: "a:1".to_owned(),
                    roles: Vec::new(),
                    format: 4,
                },
            ];
            for command in members {
                let name = command.name();
                assert!(!may(&[role], command), "{name}");
            }
        }
    }

    #[test]
    fn a_run_that_begins_in_the_future_is_refused() {
        let latest = NOW.as_millis() + LIFE_AHEAD_MS_MAX;
        for (incarnation, taken) in [(latest, true), (latest + 1, false), (u64::MAX, false)] {
            let mut of_request = proposal(renews(1, false));
            of_request.request.incarnation = incarnation;
            let renewal = Renewal {
                incarnation,
                routes: false,
                draining: false,
            };
            let node = node(1);
            let of_lease = proposal(Command::Renew { node, renewal });
            for proposal in [of_request, of_lease] {
                let checked = check(&caller(&NodeRole::ALL), &proposal, NOW);
                assert_eq!(checked.is_ok(), taken, "{incarnation}");
            }
        }
    }

    #[test]
    fn a_proposal_is_small_but_for_lists_of_bans_and_renewals_of_budgets() {
        let small = renews(1, false);
        assert!(check_size(&small, PROPOSAL_BYTES_MAX).is_ok());
        assert!(check_size(&small, PROPOSAL_BYTES_MAX + 1).is_err());
        assert!(check_size(&logins(1), RENEWAL_BYTES_MAX).is_ok());
        assert!(check_size(&quota(1), RENEWAL_BYTES_MAX).is_ok());
        assert!(check_size(&quota(1), RENEWAL_BYTES_MAX + 1).is_err());
        assert!(check_size(&noticed(1), RENEWAL_BYTES_MAX).is_ok());
        assert!(check_size(&noticed(1), RENEWAL_BYTES_MAX + 1).is_err());
        let reserve = |bytes| Command::Reserve {
            host: "x".repeat(bytes),
            address: [192, 0, 2, 1].into(),
            name: "olga".to_owned(),
            forms: Some(NameForms::of("olga")),
            invite: None,
        };
        assert!(check_size(&reserve(PART_BYTES_MAX), 2_000).is_ok());
        assert!(check_size(&reserve(PART_BYTES_MAX + 1), 2_000).is_err());
        let bans = Command::AddBans { bans: Vec::new() };
        assert!(check_size(&bans, RENEWAL_BYTES_MAX + 1).is_ok());
    }
}
