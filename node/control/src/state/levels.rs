//! Which format of commands the members of the group speak, so that none is given a command that it cannot apply.
//!
//! A cluster is upgraded node by node, and a member that meets an entry of the log that it cannot read must stop. So
//! each command says by which format it can be read ([`Command::format`]), its entry is marked with that one, and a
//! command that is newer than what some member speaks is refused by who would propose it:
//!
//! ```text
//! node starts ── Enlist { format } ──► directory: what each member speaks
//! proposer: command.format() > the lowest of them ──► "the control group is being upgraded: member 2 speaks format 3"
//! ```
//!
//! What members and nodes are told besides is marked with an older format, whose readers pass over fields that they
//! do not know. A snapshot is marked with the lowest format of the members: by then nothing newer was applied.

use super::format::FORMAT;
use super::{Command, ControlState, Directory, NodeId, RegistrationMode, RegistrationPolicy};

/// A member that keeps the group from what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    /// Which one.
    pub(crate) node: NodeId,
    /// The newest format that it speaks.
    pub(crate) speaks: u8,
}

impl Command {
    /// The oldest format in which members can read and apply it.
    pub fn format(&self) -> u8 {
        match self {
            Self::Reserve { invite, .. } if invite.is_some() => 4,
            // Who does not know the bound would remember more.
            Self::ConfigureRegistration { policy } | Self::SetRegistration { policy }
                if policy.remembered_max != RegistrationPolicy::default().remembered_max =>
            {
                6
            }
            Self::ConfigureRegistration { policy } | Self::SetRegistration { policy }
                if matches!(
                    policy.mode,
                    RegistrationMode::Invite | RegistrationMode::Approval
                ) =>
            {
                4
            }
            Self::ChangeLists { .. }
            | Self::ResetLists
            | Self::ResetAllThrottle
            | Self::ShowRefusals
            | Self::ReportRouter { .. }
            | Self::ShowEvents { .. }
            | Self::TellEvents { .. }
            | Self::ShowAwaiting
            | Self::TendAwaiting { .. }
            | Self::CreateInvites { .. }
            | Self::RevokeInvites { .. }
            | Self::CheckInvite { .. }
            | Self::ListInvites { .. }
            | Self::ProposeSecret { .. } => 4,
            // Who does not know the condition would remove the node whatever its lease says.
            Self::RemoveNode { unless_alive, .. } if *unless_alive => 5,
            Self::RestoreSecret { .. } => 5,
            _ => 3,
        }
    }
}

impl Directory {
    /// The member that speaks the least, if that is less than this format. One that has not started yet speaks by
    /// nobody.
    pub(crate) fn behind(&self, format: u8) -> Option<Behind> {
        let members = self.members.iter().map(|member| member.node);
        let started = members.filter(|id| self.node(*id).is_some_and(|node| node.enlisted));
        let spoken = started.map(|node| Behind {
            node,
            speaks: self.formats.get(&node).copied().unwrap_or(UNTOLD),
        });
        spoken
            .min_by_key(|behind| behind.speaks)
            .filter(|behind| behind.speaks < format)
    }

    /// Whether the group knows that this node speaks this format.
    pub fn knows_format(&self, node: NodeId, format: u8) -> bool {
        self.formats.get(&node) == Some(&format)
    }
}

impl ControlState {
    /// The member that speaks the least, if that is less than this format.
    pub(crate) fn behind(&self, format: u8) -> Option<Behind> {
        // Nearly all that is asked can be read by everybody.
        (format > UNTOLD)
            .then(|| self.directory().behind(format))
            .flatten()
    }

    /// The newest format that all members speak.
    pub(super) fn spoken(&self) -> u8 {
        let behind = self.behind(FORMAT);
        behind.map_or(FORMAT, |behind| behind.speaks)
    }
}

/// What a member speaks that was not told: only builds before this rule do not say it.
const UNTOLD: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Member, Node};

    fn id(number: u64) -> NodeId {
        NodeId::new(number).expect("not zero")
    }

    fn directory(formats: &[(u64, u8)]) -> Directory {
        let node = |number| Node {
            id: id(number),
            address: String::new(),
            roles: Vec::new(),
            enlisted: number != 9,
            draining: false,
        };
        let member = |number| Member {
            node: id(number),
            voter: true,
        };
        Directory {
            nodes: [1, 2, 3, 9].map(node).to_vec(),
            members: [1, 2, 9].map(member).to_vec(),
            formats: formats.iter().map(|(node, it)| (id(*node), *it)).collect(),
            ..Directory::default()
        }
    }

    #[test]
    fn the_member_that_speaks_least_decides_and_other_nodes_do_not() {
        let behind = |formats: &[(u64, u8)], format| directory(formats).behind(format);
        assert_eq!(behind(&[(1, 4), (2, 4), (3, 3)], 4), None);
        let second = Behind {
            node: id(2),
            speaks: 3,
        };
        assert_eq!(behind(&[(1, 4), (2, 3)], 4), Some(second));
        assert_eq!(behind(&[(1, 4)], 4), Some(second), "it has not told");
        assert_eq!(behind(&[(1, 4), (2, 3)], 3), None);
        assert_eq!(Directory::default().behind(4), None, "a server alone");
    }

    #[test]
    fn what_an_earlier_build_can_read_is_marked_so_that_it_does() {
        let old = Command::ResetRegistration;
        let remove = |unless_alive| Command::RemoveNode {
            node: id(2),
            unless_alive,
        };
        let new = Command::ResetLists;
        assert_eq!((old.format(), new.format()), (3, 4));
        assert_eq!((remove(false).format(), remove(true).format()), (3, 5));
        let remembers = |remembered_max| Command::SetRegistration {
            policy: RegistrationPolicy {
                remembered_max,
                ..RegistrationPolicy::default()
            },
        };
        let formats = (remembers(50_000).format(), remembers(1).format());
        assert_eq!(formats, (3, FORMAT));
    }
}
