//! What the oracle lets pass, and what it does not.

use super::*;

const READER: SessionId = SessionId { node: 8, serial: 1 };

/// An oracle to which eve has sent two messages for dee; each came to dee's shard under these epochs, in this order.
struct Run(Oracle);

impl Run {
    fn begin() -> Self {
        let mut oracle = Oracle::new();
        for _ in 0..2 {
            let posting = Posting {
                from: "eve@localhost/one",
                session: SessionId { node: 7, serial: 1 },
                is_managed: false,
                to: "dee@localhost",
                recipient: "dee@localhost",
                due: None,
            };
            oracle.post(&posting, 0);
        }
        Self(oracle)
    }

    fn came(&mut self, epoch: u32, number: u64) {
        let shard = ShardId::of("dee@localhost", SHARDS);
        self.0.given().came(shard, epoch, &[number]);
        self.0.acted((shard, SHARDS), epoch, &[number], 0);
    }

    /// Whether dee may read this message now.
    fn may_read(&mut self, number: u64) -> bool {
        self.0.given().insert(READER, number);
        let stanza = Received::Message(number, "eve@localhost/one".to_owned(), true);
        self.0.read("dee@localhost", READER, stanza, 0);
        self.0.violation().is_none()
    }
}

#[test]
fn what_a_session_had_not_got_from_a_former_owner_may_come_from_the_next_behind_newer_ones() {
    let mut run = Run::begin();
    run.came(1, 0);
    run.came(1, 1);
    assert!(run.may_read(1));
    run.came(2, 0);
    assert!(run.may_read(0));
}

#[test]
fn what_is_read_was_given_to_an_owner_of_its_shard_before() {
    let mut run = Run::begin();
    run.came(1, 0);
    assert!(run.may_read(0) && !run.may_read(1));
}

#[test]
fn one_owner_keeps_the_order_whoever_else_had_the_messages_before() {
    let mut alone = Run::begin();
    alone.came(1, 0);
    alone.came(1, 1);
    assert!(alone.may_read(1) && !alone.may_read(0));

    let mut overtaken = Run::begin();
    overtaken.came(1, 0);
    overtaken.came(2, 1);
    assert!(overtaken.may_read(1));
    overtaken.came(2, 0);
    assert!(!overtaken.may_read(0), "the newer came to the same owner");

    let mut both = Run::begin();
    both.came(1, 0);
    both.came(1, 1);
    both.came(2, 1);
    both.came(2, 0);
    assert!(both.may_read(1));
    assert!(!both.may_read(0), "the session took none before");
}

#[test]
fn what_is_trimmed_from_a_log_is_with_a_session_or_with_its_sender_until_it_is() {
    let trimmed = |hears: &dyn Fn(&mut Oracle, (ShardId, u16))| {
        let mut run = Run::begin();
        run.came(1, 0);
        run.0.stored(0);
        hears(&mut run.0, (ShardId::of("dee@localhost", SHARDS), SHARDS));
        run.0.trimmed(0);
        run.0.violation()
    };
    assert!(trimmed(&|_, _| {}).is_some());
    assert!(trimmed(&|oracle, _| oracle.given().insert(READER, 0)).is_none());
    assert!(trimmed(&|oracle, dee| oracle.on_its_way(dee, 1, &[0])).is_none());
    let back = trimmed(&|oracle, dee| {
        oracle.on_its_way(dee, 1, &[0]);
        oracle.came_back(&[0]);
    });
    assert!(back.is_some());
    let by_former_owner = trimmed(&|oracle, dee| {
        oracle.on_its_way(dee, 1, &[0]);
        oracle.acted(dee, 2, &[], 0);
    });
    assert!(
        by_former_owner.is_some(),
        "the present one has it in the log alone"
    );
}

#[test]
fn what_an_owner_that_gives_its_shard_up_has_left_in_the_store_is_not_lost_with_a_node() {
    let dee = ShardId::of("dee@localhost", SHARDS);
    for (left, is_lost) in [(0, false), (1, true)] {
        let mut run = Run::begin();
        run.came(1, 0);
        run.0.bounced(1);
        run.0.mirrored(&[0]);
        run.0.acked(&[0], |_, _| false, 0);
        run.0.owners.gave_up(dee, 1, 1);
        (0..left).for_each(|_| run.0.owners.left(dee, 1));
        run.0.acted((dee, SHARDS), 2, &[], 0);
        run.0.alone(&[0], 7, 0);
        run.0.finish(7..=8, 0);
        assert_eq!(run.0.violation().is_some(), is_lost);
    }
}

#[test]
fn what_its_owner_alone_has_and_could_not_store_is_lost_with_it() {
    let dee = ShardId::of("dee@localhost", SHARDS);
    for (refused, is_lost) in [(0, true), (20 * SECOND, false)] {
        let mut run = Run::begin();
        run.came(1, 0);
        run.0.bounced(1);
        run.0.mirrored(&[0]);
        run.0.acked(&[0], |_, _| false, 0);
        run.0.alone(&[0], 7, SECOND);
        run.0.store_refused(dee, refused);
        run.0.acted((dee, SHARDS), 2, &[], 21 * SECOND);
        run.0.finish(7..=8, 0);
        assert_eq!(run.0.violation().is_some(), is_lost, "{refused}");
    }
}
