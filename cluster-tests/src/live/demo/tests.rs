use std::time::Duration;

use super::show;
use super::talk::{Event, Talk, Totals};

/// The first client sends, the second receives; the words are `sent N`, `again N`, `acked N`, `got SESSION-N`, `bound`
/// and `resumed`, which are said by the second.
fn talk(words: &[&str]) -> Talk {
    let mut talk = Talk::default();
    for (second, word) in words.iter().enumerate() {
        let at = Duration::from_secs(2 * second as u64);
        let (what, rest) = word.split_once(' ').unwrap_or((word, "0"));
        let n = rest.rsplit('-').next().unwrap().parse().unwrap();
        let address = String::new();
        let (who, event) = match what {
            "sent" => (0, Event::Sent { n, session: 1 }),
            "again" => (0, Event::SentAgain { n }),
            "acked" => (0, Event::Acknowledged { n }),
            "bound" => (1, Event::Bound { address }),
            "resumed" => (1, Event::Resumed { address }),
            _ => (1, Event::Received { n, id: rest.into() }),
        };
        talk.hear(who, at, event);
    }
    talk
}

fn totals(words: &[&str]) -> Totals {
    talk(words).directions[0].totals(true)
}

#[test]
fn what_arrives_once_and_in_order_is_clean_and_complete() {
    let it = totals(&[
        "bound", "sent 1", "sent 2", "acked 1", "acked 2", "got 1-1", "resumed", "got 1-2",
    ]);
    assert!(it.is_clean() && it.is_complete(), "{it:?}");
}

#[test]
fn what_was_acknowledged_and_never_came_is_lost() {
    let words = ["bound", "sent 1", "sent 2", "acked 1", "acked 2", "got 1-1"];
    assert_eq!(totals(&words).lost, 1);
    assert_eq!(talk(&words).directions[0].totals(false).lost, 0);
    let overtaken = ["bound", "sent 1", "sent 2", "acked 1", "got 1-2"];
    assert_eq!(talk(&overtaken).directions[0].totals(false).lost, 1);
}

#[test]
fn what_was_not_acknowledged_is_not_lost() {
    assert_eq!(totals(&["bound", "sent 1"]).lost, 0);
}

#[test]
fn a_copy_in_a_session_that_was_resumed_is_doubled() {
    let it = totals(&["bound", "sent 1", "got 1-1", "resumed", "got 1-1"]);
    assert_eq!((it.received, it.doubled, it.received_again), (1, 1, 0));
}

#[test]
fn a_copy_that_the_sender_has_made_or_that_came_in_a_new_session_is_counted_apart() {
    let it = totals(&["bound", "sent 1", "got 1-1", "again 1", "got 1-1"]);
    assert_eq!((it.doubled, it.sent_again, it.received_again), (0, 1, 1));
    let it = totals(&["bound", "sent 1", "got 1-1", "bound", "got 1-1"]);
    assert_eq!((it.doubled, it.received_again), (0, 1));
}

#[test]
fn what_comes_behind_a_later_one_is_disordered_unless_a_session_has_changed() {
    let sent = ["bound", "sent 1", "sent 2"];
    let within = [&sent[..], &["got 1-2", "resumed", "got 1-1"]].concat();
    assert_eq!(totals(&within).disordered, 1);
    let recipient = [&sent[..], &["got 1-2", "bound", "got 1-1"]].concat();
    assert_eq!(totals(&recipient).disordered, 0);
    let sender = [&sent[..], &["got 2-2", "got 1-1"]].concat();
    assert_eq!(totals(&sender).disordered, 0);
    let again = [&sent[..], &["again 1", "got 1-2", "got 1-1"]].concat();
    assert_eq!(totals(&again).disordered, 0);
}

#[test]
fn what_a_later_one_overtakes_while_it_waits_for_a_new_session_is_counted_apart() {
    let it = totals(&[
        "bound", "sent 1", "bound", "sent 2", "got 1-2", "got 1-1", "sent 3", "sent 4", "got 1-4",
        "got 1-3",
    ]);
    assert_eq!((it.overtaken, it.disordered), (1, 1));
}

#[test]
fn clients_say_what_happens_in_lines_of_json() {
    let line = r#"{"event":"received","n":7,"id":"2-7"}"#;
    let event: Event = serde_json::from_str(line).unwrap();
    let id = "2-7".to_owned();
    assert_eq!(event, Event::Received { n: 7, id });
    let line = r#"{"event":"sent_again","n":7}"#;
    let event: Event = serde_json::from_str(line).unwrap();
    assert_eq!(event, Event::SentAgain { n: 7 });
}

#[test]
fn only_sessions_after_the_first_are_new() {
    let it = talk(&["bound", "resumed", "bound"]);
    assert_eq!((it.new_sessions(), it.resumptions()), (1, 1));
}

#[test]
fn a_short_run_says_which_processes_it_has_not_killed() {
    let names = ["connection1", "router1", "control1"].map(str::to_owned);
    let said = show::killed(&names[..2], &names);
    assert_eq!(
        said,
        "killed 2 of 3 nodes; not killed: control1, the database"
    );
    let twice = [&names[..], &names[..1]].concat();
    let said = show::killed(&twice, &names);
    assert_eq!(
        said,
        "killed 3 of 3 nodes, with 4 kills; not killed: the database"
    );
}
