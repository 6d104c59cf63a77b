use proptest::prelude::*;

use super::*;

const POLICY: ShardPolicy = ShardPolicy {
    shards: 64,
    lease_ms: 5_000,
    margin_ms: 500,
    moves_max: 4,
};

fn node(id: u64) -> NodeId {
    NodeId::new(id).expect("not zero")
}

fn router(draining: bool) -> Renewal {
    Renewal {
        incarnation: 1,
        routes: true,
        draining,
    }
}

#[test]
fn owners_serve_above_the_epochs_that_a_restored_store_has() {
    let mut shards = Shards::default();
    shards.raise_epochs(7).unwrap();
    shards.raise_epochs(3).unwrap();
    shards.configure(POLICY).unwrap();
    shards.renew(node(1), router(false));
    let epochs = |shards: &Shards| -> Vec<u32> {
        let placements = (0..POLICY.shards).filter_map(|shard| shards.map().get(shard));
        placements.map(|placement| placement.epoch).collect()
    };
    assert!(
        epochs(&shards).iter().all(|epoch| *epoch == 8),
        "{shards:?}"
    );
    // A store that was replaced under a group that goes on.
    shards.raise_epochs(20).unwrap();
    let anew = Renewal {
        incarnation: 2,
        ..router(false)
    };
    shards.renew(node(1), anew);
    assert!(
        epochs(&shards).iter().all(|epoch| *epoch > 20),
        "{shards:?}"
    );
}

#[test]
fn a_node_is_told_to_hold_a_lease_until_it_ends_and_then_for_how_long_it_has_not() {
    let mut shards = cluster(2);
    let until = shards.leases().get(node(1)).expect("a lease").until_ms;
    let standing = |shards: &Shards, id| shards.standings().get(&node(id)).copied();
    let left_ms = until - shards.clock_ms();
    assert_eq!(standing(&shards, 1), Some(LeaseStanding::Holds { left_ms }));
    shards.leave(node(2));
    assert_eq!(
        standing(&shards, 2),
        Some(LeaseStanding::Left { ago_ms: 0 })
    );
    assert_eq!(standing(&shards, 3), None, "never heard of");
    while shards.clock_ms() < until + 2_000 {
        shards.advance(MEASURED_MS_MAX);
    }
    let ago_ms = shards.clock_ms() - until;
    assert_eq!(standing(&shards, 1), Some(LeaseStanding::Ended { ago_ms }));
    shards.renew(node(1), router(false));
    let Some(LeaseStanding::Holds { .. }) = standing(&shards, 1) else {
        panic!("it lives again");
    };
}

#[test]
fn the_leases_that_have_ended_are_told_with_the_run_of_the_process_that_held_them() {
    let mut shards = cluster(2);
    let ended = |shards: &Shards| shards.leases().ended(7);
    assert!(ended(&shards).nodes.is_empty());
    let second = Renewal {
        incarnation: 2,
        ..router(false)
    };
    shards.renew(node(1), second);
    let until = shards.leases().get(node(1)).expect("a lease").until_ms;
    while shards.clock_ms() <= until + POLICY.margin_ms {
        assert!(
            !ended(&shards).nodes.contains_key(&node(1)),
            "before the margin is over"
        );
        shards.renew(node(2), router(false));
        shards.advance(MEASURED_MS_MAX);
    }
    assert_eq!(ended(&shards).nodes, [(node(1), 2)].into());
    shards.leave(node(2));
    assert_eq!(ended(&shards).nodes, [(node(1), 2), (node(2), 1)].into());
    let third = Renewal {
        incarnation: 3,
        ..second
    };
    shards.renew(node(1), third);
    assert_eq!(ended(&shards).nodes, [(node(2), 1)].into());
    let told = EndedLeases::decode(&ended(&shards).encode()).unwrap();
    assert_eq!(told, ended(&shards));
}

#[test]
fn an_epoch_that_leaves_few_above_it_is_refused() {
    let mut shards = cluster(1);
    let before = shards.clone();
    for above in [EPOCH_RAISED_MAX + 1, u32::MAX] {
        assert_eq!(shards.raise_epochs(above), Err(ShardRefusal::Epoch));
    }
    assert_eq!(shards, before);
    assert_eq!(shards.raise_epochs(EPOCH_RAISED_MAX), Ok(()));
}

#[test]
fn numbers_by_which_no_shard_can_be_served_are_refused() {
    let mut shards = cluster(1);
    let before = shards.clone();
    let with = |change: fn(&mut ShardPolicy)| {
        let mut policy = POLICY;
        change(&mut policy);
        policy
    };
    for policy in [
        with(|policy| policy.shards = 0),
        with(|policy| policy.lease_ms = 0),
        with(|policy| policy.lease_ms = u64::MAX),
        with(|policy| policy.margin_ms = u64::MAX),
    ] {
        assert_eq!(shards.configure(policy), Err(ShardRefusal::Policy));
        assert_eq!(
            Shards::default().configure(policy),
            Err(ShardRefusal::Policy)
        );
    }
    assert_eq!(shards, before);
}

/// Routers that have settled.
fn cluster(routers: u64) -> Shards {
    let mut shards = Shards::default();
    shards.configure(POLICY).unwrap();
    for id in 1..=routers {
        shards.renew(node(id), router(false));
    }
    settle(&mut shards);
    shards
}

/// Carries out all planned moves; gives their number.
fn settle(shards: &mut Shards) -> usize {
    let mut moves = 0;
    while let Some((shard, placement)) = moving(shards) {
        let owner = placement.owner.expect("only owned shards move");
        shards
            .handed_over(owner, shard, placement.epoch)
            .expect("it moves");
        moves += 1;
    }
    moves
}

fn moving(shards: &Shards) -> Option<(u16, Placement)> {
    let mut all = (0..POLICY.shards).map(|shard| (shard, shards.map().get(shard).unwrap()));
    all.find(|(_, placement)| placement.moving_to.is_some())
}

fn owned(shards: &Shards, id: u64) -> Vec<u16> {
    let of = |shard: &u16| shards.map().get(*shard).unwrap().owner == Some(node(id));
    (0..POLICY.shards).filter(of).collect()
}

#[test]
fn each_router_serves_its_share() {
    let shards = cluster(4);
    for id in 1..=4 {
        let share = owned(&shards, id).len();
        assert!((8..=26).contains(&share), "router {id} has {share} of 64");
    }
}

#[test]
fn a_new_router_takes_its_share_and_no_shard_moves_between_the_others() {
    let mut shards = cluster(3);
    let before: Vec<_> = (1..=3).map(|id| owned(&shards, id)).collect();
    shards.renew(node(4), router(false));
    settle(&mut shards);
    for (id, before) in (1..=3).zip(before) {
        let after = owned(&shards, id);
        assert!(
            after.iter().all(|shard| before.contains(shard)),
            "router {id} took a shard"
        );
    }
    assert!(!owned(&shards, 4).is_empty());
}

fn pass(shards: &mut Shards, ms: u64) {
    let whole = ms / MEASURED_MS_MAX;
    (0..whole).for_each(|_| shards.advance(MEASURED_MS_MAX));
    shards.advance(ms % MEASURED_MS_MAX);
}

#[test]
fn planned_moves_go_some_at_a_time() {
    let mut shards = cluster(1);
    shards.renew(node(2), router(false));
    assert_eq!(shards.map().moves(), usize::from(POLICY.moves_max));
    assert!(settle(&mut shards) > usize::from(POLICY.moves_max));
}

/// A shard of the first router.
fn first_of(shards: &Shards, id: u64) -> (u16, Placement) {
    let shard = owned(shards, id)[0];
    (shard, shards.map().get(shard).expect("a shard"))
}

#[test]
fn a_move_that_is_called_off_gives_its_owner_the_next_epoch_for_it_may_have_stopped() {
    let mut shards = cluster(3);
    let (shard, before) = first_of(&shards, 1);
    shards.move_to(shard, node(2)).expect("it lives");
    shards.move_to(shard, node(1)).expect("it lives");
    let after = shards.map().get(shard).expect("a shard");
    assert_eq!((after.owner, after.moving_to), (Some(node(1)), None));
    assert_eq!(after.epoch, before.epoch + 1);
    let late = shards.handed_over(node(1), shard, before.epoch);
    assert_eq!(late, Err(ShardRefusal::NotOwner));
    // The same where the router that it was to go to takes no more.
    shards.move_to(shard, node(2)).expect("it lives");
    shards.renew(node(2), router(true));
    let again = shards.map().get(shard).expect("a shard");
    assert_eq!((again.owner, again.moving_to), (Some(node(1)), None));
    assert_eq!(again.epoch, before.epoch + 2);
}

#[test]
fn a_move_that_is_under_way_can_be_sent_elsewhere() {
    let mut shards = cluster(3);
    let (shard, before) = first_of(&shards, 1);
    shards.move_to(shard, node(2)).expect("it lives");
    shards.move_to(shard, node(3)).expect("it lives");
    shards
        .handed_over(node(1), shard, before.epoch)
        .expect("it moves");
    let owner = shards.map().get(shard).expect("a shard").owner;
    assert_eq!(owner, Some(node(3)));
}

#[test]
fn what_the_operator_has_moved_stays_until_the_routers_change() {
    let mut shards = cluster(3);
    let (shard, _) = first_of(&shards, 1);
    shards.move_to(shard, node(2)).expect("it lives");
    settle(&mut shards);
    shards.renew(node(2), router(false));
    let owner = |shards: &Shards| shards.map().get(shard).expect("a shard").owner;
    assert_eq!((settle(&mut shards), owner(&shards)), (0, Some(node(2))));
    shards.renew(node(3), router(true));
    settle(&mut shards);
    assert_eq!(owner(&shards), Some(node(1)));
}

#[test]
fn shards_of_a_dead_router_go_to_others_only_after_lease_and_margin() {
    let mut shards = cluster(2);
    let of_the_dead = owned(&shards, 1);
    let epochs = |shards: &Shards| -> Vec<u32> {
        of_the_dead
            .iter()
            .map(|shard| shards.map().get(*shard).unwrap().epoch)
            .collect()
    };
    let before = epochs(&shards);
    for _ in 0..5 {
        pass(&mut shards, 1_000);
        shards.renew(node(2), router(false));
    }
    pass(&mut shards, 500 + MEASURED_MS_MAX);
    assert_eq!(owned(&shards, 1), of_the_dead);
    pass(&mut shards, 1);
    assert_eq!(owned(&shards, 1), Vec::<u16>::new());
    assert_eq!(owned(&shards, 2).len(), usize::from(POLICY.shards));
    assert!(
        epochs(&shards)
            .iter()
            .zip(before)
            .all(|(after, before)| *after == before + 1)
    );
}

#[test]
fn nobody_owns_anything_when_the_last_router_is_dead() {
    let mut shards = cluster(1);
    pass(&mut shards, 10_000);
    assert!((0..POLICY.shards).all(|shard| shards.map().get(shard).unwrap().owner.is_none()));
    shards.renew(node(7), router(false));
    assert_eq!(owned(&shards, 7).len(), usize::from(POLICY.shards));
}

#[test]
fn a_draining_router_gives_its_shards_away_and_keeps_them_if_there_is_nobody_else() {
    let mut shards = cluster(2);
    shards.renew(node(1), router(true));
    settle(&mut shards);
    assert_eq!(owned(&shards, 1), Vec::<u16>::new());
    shards.renew(node(2), router(true));
    assert_eq!(settle(&mut shards), 0);
    assert_eq!(owned(&shards, 2).len(), usize::from(POLICY.shards));
}

#[test]
fn only_the_owner_hands_over_and_only_what_moves() {
    let mut shards = cluster(1);
    assert_eq!(
        shards.handed_over(node(1), 0, 1),
        Err(ShardRefusal::NotMoving)
    );
    shards.renew(node(2), router(false));
    let (shard, placement) = moving(&shards).expect("a second router gets shards");
    let late = shards.handed_over(node(1), shard, placement.epoch - 1);
    assert_eq!(late, Err(ShardRefusal::NotOwner));
    let stranger = shards.handed_over(node(2), shard, placement.epoch);
    assert_eq!(stranger, Err(ShardRefusal::NotOwner));
    assert_eq!(shards.handed_over(node(1), shard, placement.epoch), Ok(()));
    assert_eq!(shards.map().get(shard).unwrap().epoch, placement.epoch + 1);
}

#[test]
fn a_target_that_dies_ends_the_move() {
    let mut shards = cluster(1);
    shards.renew(node(2), router(false));
    for _ in 0..6 {
        pass(&mut shards, 1_000);
        shards.renew(node(1), router(false));
    }
    assert_eq!(shards.map().moves(), 0);
    assert_eq!(owned(&shards, 1).len(), usize::from(POLICY.shards));
}

/// A cluster of three that hears of the second no more; longer than half a lease, and shorter than a lease.
fn silent_second(mut shards: Shards) -> Shards {
    for _ in 0..4 {
        pass(&mut shards, 800);
        shards.renew(node(1), router(false));
        shards.renew(node(3), router(false));
    }
    shards
}

#[test]
fn nothing_moves_to_a_router_that_was_not_heard_of_until_it_is() {
    let mut shards = silent_second(cluster(3));
    let (shard, before) = first_of(&shards, 1);
    assert_eq!(
        shards.move_to(shard, node(2)),
        Err(ShardRefusal::InDoubt),
        "{}",
        ShardRefusal::InDoubt.reason()
    );
    assert_eq!(shards.map().get(shard), Some(before));
    shards.renew(node(2), router(false));
    assert_eq!(shards.move_to(shard, node(2)), Ok(()));
}

#[test]
fn a_move_to_a_router_that_falls_silent_is_called_off_and_the_owner_serves_on() {
    let mut shards = cluster(3);
    let (shard, before) = first_of(&shards, 1);
    shards.move_to(shard, node(2)).expect("it lives");
    let mut shards = silent_second(shards);
    let after = shards.map().get(shard).expect("a shard");
    assert_eq!((after.owner, after.moving_to), (Some(node(1)), None));
    assert_eq!(after.epoch, before.epoch + 1, "it may have stopped");
    let late = shards.handed_over(node(1), shard, before.epoch);
    assert_eq!(late, Err(ShardRefusal::NotOwner));
}

#[test]
fn a_router_that_was_silent_gets_its_share_when_it_is_heard_of() {
    let mut shards = cluster(1);
    shards.renew(node(3), router(false));
    settle(&mut shards);
    shards.renew(node(2), router(false));
    assert!(shards.map().moves() > 0);
    let mut shards = silent_second(shards);
    assert_eq!(shards.map().moves(), 0);
    shards.renew(node(2), router(false));
    assert!(settle(&mut shards) > 0);
    assert!(!owned(&shards, 2).is_empty());
}

#[test]
fn shards_of_a_dead_router_go_to_no_other_that_is_silent() {
    let mut shards = cluster(3);
    pass(&mut shards, 1_500);
    shards.renew(node(2), router(false));
    for _ in 0..5 {
        pass(&mut shards, 900);
        shards.renew(node(3), router(false));
    }
    assert!(shards.leases().get(node(1)).is_none(), "it is dead");
    assert!(shards.leases().get(node(2)).is_some(), "nobody knows yet");
    let of_two = owned(&shards, 2).len();
    assert_eq!(of_two, owned(&cluster(3), 2).len());
    assert_eq!(owned(&shards, 3).len(), usize::from(POLICY.shards) - of_two);
}

#[test]
fn a_router_that_came_back_owns_nothing_of_its_earlier_run() {
    let mut shards = cluster(2);
    let epochs = |shards: &Shards| -> Vec<u32> {
        (0..POLICY.shards)
            .map(|shard| shards.map().get(shard).unwrap().epoch)
            .collect()
    };
    let (before, of_one) = (epochs(&shards), owned(&shards, 1));
    let again = Renewal {
        incarnation: 2,
        ..router(false)
    };
    shards.renew(node(1), again);
    assert_eq!(owned(&shards, 1), of_one);
    let after = epochs(&shards);
    assert!(
        of_one
            .iter()
            .all(|shard| after[usize::from(*shard)] > before[usize::from(*shard)])
    );
    shards.renew(node(1), router(false));
    assert_eq!(shards.leases().get(node(1)).unwrap().renewal, again);
}

#[test]
fn who_follows_the_changes_has_the_same_map() {
    let mut shards = cluster(3);
    let mut follower = ShardMap::default();
    let mut seen = 0;
    let mut follow = |shards: &Shards| {
        shards
            .map()
            .since(seen)
            .for_each(|change| follower.follow(change));
        seen = shards.map().version();
        assert_eq!(&follower, shards.map());
    };
    follow(&shards);
    shards.renew(node(4), router(false));
    follow(&shards);
    settle(&mut shards);
    shards.leave(node(2));
    follow(&shards);
}

#[test]
fn the_number_of_shards_never_changes() {
    let mut shards = cluster(1);
    let other = ShardPolicy {
        shards: 8,
        ..POLICY
    };
    shards.configure(other).unwrap();
    assert_eq!(shards.map().len(), POLICY.shards);
}

#[derive(Clone, Debug)]
enum Step {
    Renew(u64, bool),
    Advance(u64),
    Leave(u64),
    HandOver,
    Move(u16, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..6_u64, any::<bool>()).prop_map(|(id, draining)| Step::Renew(id, draining)),
        (0..3_000_u64).prop_map(Step::Advance),
        (1..6_u64).prop_map(Step::Leave),
        Just(Step::HandOver),
        (0..POLICY.shards, 1..6_u64).prop_map(|(shard, to)| Step::Move(shard, to)),
    ]
}

proptest! {
    /// Whatever happens, an owner lives, an epoch has one owner, while a router lives every shard has an owner, and who
    /// was to hand a shard over, and may have stopped, is not its owner at that epoch again.
    #[test]
    fn a_shard_has_one_owner_an_epoch(steps in prop::collection::vec(step(), 1..80)) {
        let mut shards = Shards::default();
        shards.configure(POLICY).unwrap();
        let mut owners = BTreeMap::new();
        let (mut handed, mut wished) = (BTreeSet::new(), 0);
        for step in steps {
            match step {
                Step::Renew(id, draining) => drop(shards.renew(node(id), router(draining))),
                Step::Advance(ms) => pass(&mut shards, ms),
                Step::Leave(id) => shards.leave(node(id)),
                Step::Move(shard, to) => {
                    wished += usize::from(shards.move_to(shard, node(to)).is_ok());
                }
                Step::HandOver => if let Some((shard, placement)) = moving(&shards) {
                    let owner = placement.owner.expect("only owned shards move");
                    prop_assert_eq!(shards.handed_over(owner, shard, placement.epoch), Ok(()));
                },
            }
            let living = shards.leases().living_routers();
            prop_assert!(shards.map().moves() <= usize::from(POLICY.moves_max) + wished);
            for shard in 0..POLICY.shards {
                let placement = shards.map().get(shard).unwrap();
                match placement.moving_to {
                    Some(_) => drop(handed.insert((shard, placement.epoch))),
                    None => prop_assert!(!handed.contains(&(shard, placement.epoch))),
                }
                prop_assert_eq!(placement.owner.is_some(), !living.is_empty());
                if let Some(owner) = placement.owner {
                    prop_assert!(living.contains(&owner));
                    let first = *owners.entry((shard, placement.epoch)).or_insert(owner);
                    prop_assert_eq!(first, owner);
                }
            }
        }
    }
}
