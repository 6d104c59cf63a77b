//! Nodes are removed for ever, so that one which lives must be meant.

use super::*;

const POLICY: ShardPolicy = ShardPolicy {
    shards: 8,
    lease_ms: 1_000,
    margin_ms: 100,
    moves_max: 1,
};

/// How long a lease lasts on the group's clock.
const LASTS_MS: u64 = POLICY.lease_ms + MEASURED_MS_MAX;

fn id(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

/// A group that knows nodes 1 and 2, which have a lease each.
fn with_leases(routes: bool) -> Group {
    let mut group = Group::new(RegistrationMode::On);
    group.ask(0, Command::ConfigureShards { policy: POLICY });
    for node in [id(1), id(2)] {
        let enlist = Command::Enlist {
            node,
            address: "a:1".into(),
            roles: vec![],
            format: 5,
        };
        assert_eq!(group.ask(0, enlist), Outcome::NodesChanged);
        renew(&mut group, node, routes, false);
    }
    group
}

fn renew(group: &mut Group, node: NodeId, routes: bool, draining: bool) {
    let renewal = Renewal {
        incarnation: 1,
        routes,
        draining,
    };
    group.ask(0, Command::Renew { node, renewal });
}

fn advance(group: &mut Group, mut ms: u64) {
    while ms > 0 {
        let step = ms.min(MEASURED_MS_MAX);
        group.ask(0, Command::Advance { ms: step });
        ms -= step;
    }
}

fn remove(group: &mut Group, node: NodeId, unless_alive: bool) -> Outcome {
    group.ask(0, Command::RemoveNode { node, unless_alive })
}

fn alive(left_ms: u64) -> Outcome {
    Outcome::NodeAlive { left_ms }
}

#[test]
fn a_node_is_removed_as_soon_as_its_lease_has_ended_and_not_before_whatever_it_does() {
    for routes in [true, false] {
        let mut group = with_leases(routes);
        assert_eq!(remove(&mut group, id(2), true), alive(LASTS_MS));
        advance(&mut group, LASTS_MS);
        assert_eq!(remove(&mut group, id(2), true), alive(0), "its last moment");
        assert!(group.state.directory().node(id(2)).is_some());
        advance(&mut group, 1);
        assert_eq!(remove(&mut group, id(2), true), Outcome::NodesChanged);
        assert!(group.state.directory().node(id(2)).is_none());
    }
}

#[test]
fn a_node_that_lives_is_removed_by_force_and_what_is_left_of_its_lease_means_nothing() {
    for routes in [true, false] {
        let mut group = with_leases(routes);
        renew(&mut group, id(2), routes, true);
        assert_eq!(remove(&mut group, id(2), true), alive(LASTS_MS), "drained");
        assert_eq!(remove(&mut group, id(2), false), Outcome::NodesChanged);
        assert_eq!(remove(&mut group, id(2), true), Outcome::NoSuchNode);
        assert_eq!(remove(&mut group, id(9), true), Outcome::NoSuchNode);
    }
}

#[test]
fn a_node_that_has_stopped_in_order_is_removed_at_once() {
    let mut group = with_leases(true);
    group.ask(0, Command::Leave { node: id(2) });
    assert_eq!(remove(&mut group, id(2), true), Outcome::NodesChanged);
}

#[test]
fn a_refused_removal_changes_nothing_that_nodes_are_told() {
    let mut group = with_leases(false);
    let before = group.state.nodes_version();
    remove(&mut group, id(2), true);
    assert_eq!(group.state.nodes_version(), before);
}
