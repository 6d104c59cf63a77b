//! Bugs that are put in on purpose, to show that the simulation would find them. Each sits in a mover of
//! the simulation, in the place of the product's; no code of the product knows of them.

/// One such bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Planted {
    /// The store says that an append is durable when it has only heard of it.
    AckBeforeAppend,
    /// A router serves for one renewal longer than its lease lasts.
    LeaseTooLong,
    /// What the store answers is handled also when the lease has ended.
    AnswerAfterLease,
    /// The group is told of a hand-over before the shard has stopped.
    HandOverTooEarly,
    /// A router takes no notice of a map that takes a shard away from it.
    StaleMap,
    /// A question that is asked again gets a new number, so it is applied twice.
    DedupeForgotten,
    /// A router that hears nothing from the group for a second lets strangers register.
    ThrottleOpen,
    /// A registration is answered before its place in the throttle is kept.
    CommitNotAwaited,
    /// What waited for room at a shard goes behind what came later.
    BacklogReversed,
    /// What another shard did not take is dropped.
    RefusedDropped,
    /// A page of the log is trimmed before the session has taken it.
    TrimTooEarly,
    /// A frame counts as dealt with as soon as it has reached its shard.
    SettledTooEarly,
    /// A session passes on what the next owner of a shard sends again.
    RepeatsPassed,
    /// A node goes on with what it was lent after the lease has ended.
    LentForEver,
    /// The next owner of a shard is not told what clients have not acknowledged.
    MirrorForgets,
    /// What is still said of a session by the node where it was before is taken for true.
    FormerBelieved,
    /// What a client had not acknowledged that does not come back is dropped.
    LeftForgotten,
    /// What a client sends is acknowledged as soon as it is on its way.
    AckTooEarly,
}

/// All of them, with the names by which they are asked for, and the seed with which the search begins: what few seeds
/// find is found soon.
pub(crate) const ALL: [(Planted, &str, u64); 18] = [
    (Planted::AckBeforeAppend, "ack-before-append", 1),
    (Planted::LeaseTooLong, "lease-too-long", 1),
    (Planted::AnswerAfterLease, "answer-after-lease", 1),
    (Planted::HandOverTooEarly, "hand-over-too-early", 1),
    (Planted::StaleMap, "stale-map", 1),
    (Planted::DedupeForgotten, "dedupe-forgotten", 1),
    (Planted::ThrottleOpen, "throttle-open", 1),
    (Planted::CommitNotAwaited, "commit-not-awaited", 1),
    (Planted::BacklogReversed, "backlog-reversed", 1),
    (Planted::RefusedDropped, "refused-dropped", 1),
    (Planted::TrimTooEarly, "trim-too-early", 1),
    (Planted::SettledTooEarly, "settled-too-early", 1),
    (Planted::RepeatsPassed, "repeats-passed", 1),
    (Planted::LentForEver, "lent-for-ever", 11),
    (Planted::MirrorForgets, "mirror-forgets", 1),
    (Planted::FormerBelieved, "former-believed", 1),
    (Planted::LeftForgotten, "left-forgotten", 1),
    (Planted::AckTooEarly, "ack-too-early", 1),
];

/// The bug of that name.
pub(crate) fn by_name(name: &str) -> Option<Planted> {
    let found = ALL.iter().find(|(_, known, _)| *known == name);
    found.map(|(planted, ..)| *planted)
}
