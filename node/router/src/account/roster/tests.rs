//! RFC 6121 appendix A, row by row.

use super::*;

/// The nine states of RFC 6121 A.1.
const STATES: [(&str, Subscription, bool, bool); 9] = [
    ("none", Subscription::None, false, false),
    ("none+out", Subscription::None, true, false),
    ("none+in", Subscription::None, false, true),
    ("none+out+in", Subscription::None, true, true),
    ("to", Subscription::To, false, false),
    ("to+in", Subscription::To, false, true),
    ("from", Subscription::From, false, false),
    ("from+out", Subscription::From, true, false),
    ("both", Subscription::Both, false, false),
];

fn contact() -> Jid {
    Jid::parse("romeo@example.net").expect("a valid JID")
}

fn roster_in(state: &str) -> Roster {
    let (_, subscription, ask, pending) = STATES
        .iter()
        .find(|(name, ..)| *name == state)
        .expect("a state of the table");
    let mut item = Roster::default().item_or_stranger(&contact());
    item.subscription = *subscription;
    item.ask = *ask;
    item.pending_in = pending.then(|| Bytes::from_static(b"<presence/>"));
    item.in_roster = true;
    let mut roster = Roster::default();
    roster.apply(roster.put(item));
    roster
}

fn state_of(item: &RosterItem) -> &'static str {
    STATES
        .iter()
        .find(|(_, subscription, ask, pending)| {
            item.subscription == *subscription
                && item.ask == *ask
                && item.pending_in.is_some() == *pending
        })
        .map_or("no state of the table", |(name, ..)| name)
}

fn check(table: &[(&str, bool, &str)], step: impl Fn(&Roster) -> Transition) {
    assert_eq!(table.len(), STATES.len(), "every state has its row");
    for (before, passes, after) in table {
        let transition = step(&roster_in(before));
        assert_eq!(transition.passes, *passes, "from {before}");
        assert_eq!(state_of(&transition.item), *after, "from {before}");
    }
}

#[test]
fn outbound_subscribe_follows_table_a_2_1() {
    check(
        &[
            ("none", true, "none+out"),
            ("none+out", true, "none+out"),
            ("none+in", true, "none+out+in"),
            ("none+out+in", true, "none+out+in"),
            ("to", true, "to"),
            ("to+in", true, "to+in"),
            ("from", true, "from+out"),
            ("from+out", true, "from+out"),
            ("both", true, "both"),
        ],
        |roster| roster.outbound(&contact(), Step::Subscribe),
    );
}

#[test]
fn outbound_unsubscribe_follows_table_a_2_2() {
    check(
        &[
            ("none", true, "none"),
            ("none+out", true, "none"),
            ("none+in", true, "none+in"),
            ("none+out+in", true, "none+in"),
            ("to", true, "none"),
            ("to+in", true, "none+in"),
            ("from", true, "from"),
            ("from+out", true, "from"),
            ("both", true, "from"),
        ],
        |roster| roster.outbound(&contact(), Step::Unsubscribe),
    );
}

#[test]
fn outbound_subscribed_follows_table_a_2_3() {
    check(
        &[
            ("none", false, "none"),
            ("none+out", false, "none+out"),
            ("none+in", true, "from"),
            ("none+out+in", true, "from+out"),
            ("to", false, "to"),
            ("to+in", true, "both"),
            ("from", false, "from"),
            ("from+out", false, "from+out"),
            ("both", false, "both"),
        ],
        |roster| roster.outbound(&contact(), Step::Subscribed),
    );
}

#[test]
fn outbound_unsubscribed_follows_table_a_2_4() {
    check(
        &[
            ("none", false, "none"),
            ("none+out", false, "none+out"),
            ("none+in", true, "none"),
            ("none+out+in", true, "none+out"),
            ("to", false, "to"),
            ("to+in", true, "to"),
            ("from", true, "none"),
            ("from+out", true, "none+out"),
            ("both", true, "to"),
        ],
        |roster| roster.outbound(&contact(), Step::Unsubscribed),
    );
}

#[test]
fn inbound_subscribe_follows_table_a_3_1() {
    check(
        &[
            ("none", true, "none+in"),
            ("none+out", true, "none+out+in"),
            ("none+in", false, "none+in"),
            ("none+out+in", false, "none+out+in"),
            ("to", true, "to+in"),
            ("to+in", false, "to+in"),
            ("from", false, "from"),
            ("from+out", false, "from+out"),
            ("both", false, "both"),
        ],
        |roster| roster.inbound(&contact(), Step::Subscribe, b"<presence type='subscribe'/>"),
    );
}

#[test]
fn inbound_unsubscribe_follows_table_a_3_2() {
    check(
        &[
            ("none", false, "none"),
            ("none+out", false, "none+out"),
            ("none+in", true, "none"),
            ("none+out+in", true, "none+out"),
            ("to", false, "to"),
            ("to+in", true, "to"),
            ("from", true, "none"),
            ("from+out", true, "none+out"),
            ("both", true, "to"),
        ],
        |roster| roster.inbound(&contact(), Step::Unsubscribe, b""),
    );
}

#[test]
fn inbound_subscribed_follows_table_a_3_3() {
    check(
        &[
            ("none", false, "none"),
            ("none+out", true, "to"),
            ("none+in", false, "none+in"),
            ("none+out+in", true, "to+in"),
            ("to", false, "to"),
            ("to+in", false, "to+in"),
            ("from", false, "from"),
            ("from+out", true, "both"),
            ("both", false, "both"),
        ],
        |roster| roster.inbound(&contact(), Step::Subscribed, b""),
    );
}

#[test]
fn inbound_unsubscribed_follows_table_a_3_4() {
    check(
        &[
            ("none", false, "none"),
            ("none+out", true, "none"),
            ("none+in", false, "none+in"),
            ("none+out+in", true, "none+in"),
            ("to", true, "none"),
            ("to+in", true, "none+in"),
            ("from", false, "from"),
            ("from+out", true, "from"),
            ("both", true, "from"),
        ],
        |roster| roster.inbound(&contact(), Step::Unsubscribed, b""),
    );
}

#[test]
fn a_pre_approved_request_is_answered_by_the_server() {
    let mut roster = Roster::default();
    let approval = roster.outbound(&contact(), Step::Subscribed);
    assert!(approval.changed && approval.item.approved && !approval.passes);
    roster.apply(roster.put(approval.item));

    let request = roster.inbound(&contact(), Step::Subscribe, b"");
    assert!(request.auto_reply && !request.passes);
    assert_eq!(state_of(&request.item), "from");
}

#[test]
fn a_pre_approval_is_taken_back_by_unsubscribed() {
    let mut roster = Roster::default();
    let approval = roster.outbound(&contact(), Step::Subscribed);
    roster.apply(roster.put(approval.item));
    let taken_back = roster.outbound(&contact(), Step::Unsubscribed);
    assert!(taken_back.changed && !taken_back.item.approved && !taken_back.passes);
}

#[test]
fn a_request_of_a_stranger_is_not_shown_as_a_contact() {
    let mut roster = Roster::default();
    let request = roster.inbound(&contact(), Step::Subscribe, b"<presence/>");
    roster.apply(roster.put(request.item));
    assert_eq!(roster.contacts().count(), 0);
    assert_eq!(roster.requests().count(), 1);
}
