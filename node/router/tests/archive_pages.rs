//! What pages of an archive promise: whether they are the last, in which order they come, and whether they stay so.

mod support;

use rookery_router::ArchiveOptions;
use support::World;
use support::archive::{FORM, filled, part, query, rsm};

#[test]
fn a_page_is_complete_only_where_nothing_else_would_match() {
    let (mut world, juliet) = filled();
    let all = query(&mut world, &juliet, &[], "").ids;
    let mut complete = |fields: &[(&str, &str)], rest: &str| {
        let got = query(&mut world, &juliet, fields, &rsm(rest));
        let said = got.answer.matches("complete=").count();
        assert_eq!(said, usize::from(got.is_complete()), "{}", got.answer);
        (got.bodies.len(), got.is_complete())
    };
    for (max, rest, found, is_last) in [
        (39, "", 39, false),
        (40, "", 40, true),
        (41, "", 40, true),
        (39, "<before/>", 39, false),
        (40, "<before/>", 40, true),
        (0, "", 0, false),
        (0, "<before/>", 0, false),
    ] {
        let got = complete(&[], &format!("<max>{max}</max>{rest}"));
        assert_eq!(got, (found, is_last), "{max} {rest}");
    }
    // Of Paris there are 16; the last is not the last of all.
    let paris = [("with", "paris@localhost")];
    assert_eq!(complete(&paris, "<max>15</max>"), (15, false));
    assert_eq!(complete(&paris, "<max>16</max>"), (16, true));
    let until = [("before-id", all[10].as_str())];
    assert_eq!(complete(&until, "<max>9</max>"), (9, false));
    assert_eq!(complete(&until, "<max>10</max>"), (10, true));
    let both = [("after-id", all[20].as_str()), ("before-id", &all[31])];
    assert_eq!(complete(&both, "<max>9</max><before/>"), (9, false));
    assert_eq!(complete(&both, "<max>10</max><before/>"), (10, true));
    let named = [("ids", all[4].as_str())];
    assert_eq!(complete(&named, "<max>1</max>"), (1, true));
}

#[test]
fn pages_are_flipped_at_both_ends_and_named_entries_come_in_their_order() {
    let (mut world, juliet) = filled();
    let all = query(&mut world, &juliet, &[], "").ids;
    let last = format!("{}<flip-page/>", rsm("<max>3</max><before/>"));
    let flipped = query(&mut world, &juliet, &[], &last);
    assert_eq!(flipped.bodies, [39, 38, 37]);
    assert_eq!(
        (flipped.end("first"), flipped.end("last")),
        (all[37].clone(), all[39].clone())
    );
    let paris = format!("{}<flip-page/>", rsm("<max>2</max>"));
    let flipped = query(&mut world, &juliet, &[("with", "paris@localhost")], &paris);
    assert_eq!(flipped.bodies, [3, 1]);
    let named = |ids: &[&str]| {
        let values: String = ids
            .iter()
            .map(|id| format!("<value>{id}</value>"))
            .collect();
        format!(
            "<x xmlns='jabber:x:data' type='submit'>{FORM}<field var='ids'>{values}</field></x>"
        )
    };
    let mut ask = |ids: &[&str], rest: &str| {
        let form = named(ids);
        world.send(
            &juliet,
            &format!(
                "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>{form}{rest}</query></iq>"
            ),
        );
        let mut got = juliet.stanzas();
        let answer = got.pop().expect("an answer");
        let body = |it: &String| part(it, "<body>", "<")?.parse::<usize>().ok();
        (got.iter().filter_map(body).collect::<Vec<_>>(), answer)
    };
    let ids = [&*all[30], &*all[2], &*all[30], &*all[11]];
    assert_eq!(ask(&ids, "").0, [2, 11, 30]);
    assert_eq!(ask(&ids, "<flip-page/>").0, [30, 11, 2]);
    let (bodies, answer) = ask(&ids, &rsm("<max>2</max>"));
    assert_eq!(bodies, [2, 11]);
    assert!(!answer.contains("complete"), "{answer}");
    let (bodies, answer) = ask(&[&all[30], "0000010000000fff"], "");
    assert_eq!(bodies, [0; 0], "all of them, or none");
    assert!(answer.contains("item-not-found"), "{answer}");
}

#[test]
fn a_page_says_when_it_may_be_another_one_later() {
    let mut world = World::archiving(&["romeo", "juliet"]);
    let romeo = world.online("romeo", "orchard");
    // She asks, and takes no messages.
    let juliet = world.bind("juliet", "balcony");
    let say = |world: &mut World, number: usize| {
        let to = "juliet@localhost";
        world.send(
            &romeo,
            &format!("<message to='{to}' type='chat'><body>{number}</body></message>"),
        );
    };
    for number in 0..3 {
        say(&mut world, number);
    }
    let stable = |world: &mut World, rest: &str| {
        let got = query(world, &juliet, &[], &rsm(rest));
        let said = part(&got.answer, "stable=\"", "\"");
        (got.bodies, said)
    };
    assert_eq!(stable(&mut world, "<max>9</max>"), (vec![0, 1, 2], None));
    // The store takes it, and its answer is lost.
    world.answers_lost = true;
    world.appends = Some(Vec::new());
    say(&mut world, 3);
    world.append_newest();
    world.answers_lost = false;
    world.append_newest();
    let unstable = Some("false".to_owned());
    let (bodies, said) = stable(&mut world, "<max>9</max>");
    assert_eq!((bodies.len(), said), (4, unstable.clone()));
    assert_eq!(stable(&mut world, "<max>2</max>"), (vec![0, 1], None));
    assert_eq!(stable(&mut world, "<max>1</max><before/>").1, unstable);
    for _ in 0..60 {
        world.tick();
    }
    assert_eq!(stable(&mut world, "<max>9</max>").1, None);
}

#[test]
fn only_its_owner_is_told_of_an_archives_ends_and_only_of_what_is_archived() {
    let (mut world, juliet) = filled();
    let romeo = world.online("romeo", "garden");
    world.befriend(&romeo, &juliet);
    world.send(
        &romeo,
        "<iq type='get' id='m' to='juliet@localhost'><metadata xmlns='urn:xmpp:mam:2'/></iq>",
    );
    assert!(romeo.stanza().contains("forbidden"));
    world.create("nurse");
    world.set_archive(ArchiveOptions::default());
    let nurse = world.bind("nurse", "door");
    world.send(
        &romeo,
        "<message to='nurse@localhost' type='chat'><body>40</body></message>",
    );
    assert_eq!(world.log("nurse").len(), 1, "it waits");
    world.send(
        &nurse,
        "<iq type='get' id='m'><metadata xmlns='urn:xmpp:mam:2'/></iq>",
    );
    let ends = nurse.stanza();
    assert!(
        ends.contains("<metadata xmlns=\"urn:xmpp:mam:2\"/>"),
        "{ends}"
    );
    assert!(query(&mut world, &nurse, &[], "").is_complete());
    world.store_fails = Some(rookery_store::StoreError::Busy);
    world.send(
        &juliet,
        "<iq type='get' id='m'><metadata xmlns='urn:xmpp:mam:2' x='y'/></iq>",
    );
    assert!(juliet.stanzas().concat().contains("<start "), "reads go on");
}
