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
