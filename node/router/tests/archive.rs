//! Queries of an archive, as clients make them.

mod support;

use rookery_router::{ArchiveDefault, ArchiveOptions};
use rookery_xmpp::clock::Timestamp;
use support::archive::{FORM, ask, filled, got, query, rsm};
use support::{Client, START, World};

fn numbers(range: std::ops::Range<usize>) -> Vec<usize> {
    range.collect()
}

#[test]
fn an_archive_is_read_forwards_and_backwards_page_by_page() {
    let (mut world, juliet) = filled();
    let all = query(&mut world, &juliet, &[], "");
    assert_eq!(all.bodies, numbers(0..40));
    assert!(all.is_complete());
    let first = query(&mut world, &juliet, &[], &rsm("<max>15</max>"));
    assert_eq!(first.bodies, numbers(0..15));
    assert!(!first.is_complete());
    assert_eq!(
        (first.end("first"), first.end("last")),
        (all.ids[0].clone(), all.ids[14].clone())
    );
    let after = |id: &str, max| rsm(&format!("<max>{max}</max><after>{id}</after>"));
    let second = query(&mut world, &juliet, &[], &after(&first.end("last"), 15));
    assert_eq!(second.bodies, numbers(15..30));
    let third = query(&mut world, &juliet, &[], &after(&second.end("last"), 10));
    assert_eq!(third.bodies, numbers(30..40));
    assert!(third.is_complete(), "it ends with the page");
    let behind = query(&mut world, &juliet, &[], &after(&third.end("last"), 10));
    assert_eq!((behind.ids.len(), behind.is_complete()), (0, true));
    let last = query(&mut world, &juliet, &[], &rsm("<max>15</max><before/>"));
    assert_eq!(last.bodies, numbers(25..40));
    assert!(!last.is_complete());
    let before = rsm(&format!(
        "<max>30</max><before>{}</before>",
        last.end("first")
    ));
    let rest = query(&mut world, &juliet, &[], &before);
    assert_eq!(rest.bodies, numbers(0..25));
    assert!(rest.is_complete());
    let flipped = query(
        &mut world,
        &juliet,
        &[],
        &format!("{}<flip-page/>", rsm("<max>3</max>")),
    );
    assert_eq!(flipped.bodies, [2, 1, 0]);
    assert_eq!(
        flipped.end("first"),
        all.ids[0],
        "only the order of sending is another"
    );
}

#[test]
fn results_are_filtered_by_address_time_and_id() {
    let (mut world, juliet) = filled();
    let all = query(&mut world, &juliet, &[], "").ids;
    let mut ask = |fields: &[(&str, &str)]| query(&mut world, &juliet, fields, "");
    let paris = ask(&[("with", "paris@localhost")]);
    let of_paris = (0..40).filter(|n| n % 5 != 4 && n % 2 == 1);
    assert_eq!(paris.bodies, of_paris.collect::<Vec<_>>());
    assert!(paris.is_complete());
    let romeo = ask(&[("with", "romeo@localhost")]).bodies.len();
    assert_eq!(romeo + paris.bodies.len(), 40, "also what she wrote to him");
    assert_eq!(
        ask(&[("with", "paris@localhost/house")]).bodies,
        paris.bodies
    );
    assert_eq!(ask(&[("with", "paris@localhost/garden")]).bodies, [0; 0]);
    assert_eq!(
        ask(&[("with", "juliet@localhost")]).bodies,
        [0; 0],
        "not all that is hers"
    );
    let at = |second: u64| rookery_xmpp::datetime::format(Timestamp(START.0 + second * 1_000));
    let (ten, twenty) = (at(10), at(20));
    let between = ask(&[("start", &ten), ("end", &twenty)]);
    assert_eq!(between.bodies, numbers(10..21), "both ends are included");
    assert!(between.is_complete());
    assert_eq!(ask(&[("start", &twenty), ("end", &ten)]).bodies, [0; 0]);
    let late = ask(&[("start", "9999-12-31T23:59:59Z")]);
    assert_eq!((late.bodies.len(), late.is_complete()), (0, true));
    assert_eq!(ask(&[("start", "1970-01-01T00:00:00Z")]).bodies.len(), 40);
    let ids = ask(&[("after-id", &all[3]), ("before-id", &all[7])]);
    assert_eq!(ids.bodies, [4, 5, 6]);
    assert_eq!(
        ask(&[("after-id", &all[7]), ("before-id", &all[3])]).bodies,
        [0; 0]
    );
    assert_eq!(ask(&[("ids", &all[9])]).bodies, [9]);
    assert_eq!(
        ask(&[("ids", &all[9]), ("with", "romeo@localhost/nowhere")]).bodies,
        [0; 0]
    );
}

#[test]
fn what_makes_no_sense_has_an_answer() {
    let (mut world, juliet) = filled();
    let mut refused = |fields: &[(&str, &str)], rest: &str, condition: &str| {
        let got = query(&mut world, &juliet, fields, rest);
        assert!(
            got.answer.contains(condition),
            "{fields:?} {rest}: {}",
            got.answer
        );
        assert_eq!(got.ids.len(), 0);
    };
    let missing = "item-not-found";
    for id in ["0000010000000fff", "nothing", "", "ffffffffffffffff"] {
        for field in ["after-id", "before-id", "ids"] {
            refused(&[(field, id)], "", missing);
        }
    }
    refused(&[], &rsm("<after>0000010000000fff</after>"), missing);
    refused(&[], &rsm("<before>0000010000000fff</before>"), missing);
    refused(
        &[("include-groupchat", "true")],
        "",
        "feature-not-implemented",
    );
    refused(&[("start", "yesterday")], "", "bad-request");
    refused(&[("end", "")], "", "bad-request");
    refused(&[("with", "@")], "", "jid-malformed");
    refused(&[], &rsm("<max>-1</max>"), "bad-request");
    refused(
        &[],
        &rsm("<max>10</max><index>3</index>"),
        "feature-not-implemented",
    );
    let many = "<value>0000010000000001</value>".repeat(251);
    let ids =
        format!("<x xmlns='jabber:x:data' type='submit'>{FORM}<field var='ids'>{many}</field></x>");
    world.send(
        &juliet,
        &format!("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>{ids}</query></iq>"),
    );
    assert!(juliet.stanza().contains("policy-violation"));
    world.send(
        &juliet,
        "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>\
         <x xmlns='jabber:x:data' type='submit'/></query></iq>",
    );
    assert!(juliet.stanza().contains("bad-request"));
}

#[test]
fn a_page_is_bounded_whatever_is_asked_for() {
    let (mut world, juliet) = filled();
    let limited = |change: fn(&mut ArchiveOptions)| {
        let mut options = ArchiveOptions {
            default: ArchiveDefault::Always,
            ..ArchiveOptions::default()
        };
        change(&mut options);
        options
    };
    world.set_archive(limited(|options| options.page_entries_max = 7));
    let got = query(&mut world, &juliet, &[], &rsm("<max>4294967296</max>"));
    assert_eq!((got.bodies.len(), got.is_complete()), (7, false));
    world.set_archive(limited(|options| options.page_entries_default = 3));
    assert_eq!(query(&mut world, &juliet, &[], "").bodies.len(), 3);
    world.set_archive(limited(|options| options.page_bytes_max = 1));
    let got = query(&mut world, &juliet, &[], "");
    assert_eq!((got.bodies.len(), got.is_complete()), (1, false));
    // Of a search for what is rare the client gets an id to go on behind.
    world.set_archive(limited(|options| options.scan_entries_max = 9));
    let nobody = [("with", "nurse@localhost")];
    let all = query(&mut world, &juliet, &[], "").ids;
    let mut rest = String::new();
    let mut queries = 0;
    loop {
        let got = query(&mut world, &juliet, &nobody, &rest);
        queries += 1;
        if got.is_complete() {
            break;
        }
        assert_eq!(got.end("last"), all[9 * queries - 1]);
        rest = rsm(&format!("<after>{}</after>", got.end("last")));
    }
    assert_eq!(queries, 5);
    let none = query(&mut world, &juliet, &[], &rsm("<max>0</max>"));
    assert!(
        none.answer.contains("<count>40</count>") && none.ids.is_empty(),
        "{}",
        none.answer
    );
}

#[test]
fn queries_that_are_under_way_are_counted() {
    let (mut world, juliet) = filled();
    world.hold_reads = true;
    for _ in 0..3 {
        world.send(
            &juliet,
            "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>",
        );
    }
    let refused = juliet.stanza();
    assert!(
        refused.contains("resource-constraint") && refused.contains("type=\"wait\""),
        "{refused}"
    );
    world.release();
    let answers = juliet
        .stanzas()
        .into_iter()
        .filter(|it| it.contains("<fin"));
    assert_eq!(answers.count(), 2);
    assert_eq!(query(&mut world, &juliet, &[], "").bodies.len(), 40);
}

#[test]
fn who_searches_much_and_finds_nothing_waits() {
    let (mut world, juliet) = filled();
    world.set_archive(ArchiveOptions {
        search_entries_per_s: 20,
        search_entries_burst: 50,
        ..ArchiveOptions::default()
    });
    let nobody = [("with", "nurse@localhost")];
    for _ in 0..2 {
        assert!(query(&mut world, &juliet, &nobody, "").is_complete());
    }
    world.send(
        &juliet,
        "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>",
    );
    let refused = juliet.stanza();
    assert!(
        refused.contains("resource-constraint") && refused.contains("type=\"wait\""),
        "{refused}"
    );
    (0..2).for_each(|_| world.tick());
    // What is found costs nothing.
    for _ in 0..5 {
        assert_eq!(query(&mut world, &juliet, &[], "").bodies.len(), 40);
    }
}

/// Two messages to juliet, who has got them, are on their way into her log and his.
fn on_their_way() -> (World, Client) {
    let (mut world, juliet) = filled();
    let romeo = world.online("romeo", "garden");
    juliet.stanzas();
    world.appends = Some(Vec::new());
    for number in [40, 41] {
        world.send(
            &romeo,
            &format!("<message to='juliet@localhost' type='chat'><body>{number}</body></message>"),
        );
    }
    juliet.stanzas();
    (world, juliet)
}

#[test]
fn a_query_waits_for_what_came_before_it() {
    let (mut world, juliet) = on_their_way();
    ask(&mut world, &juliet, &[], &rsm("<max>2</max><before/>"));
    // Hers and his, of two messages: hers are the second and the last.
    for _ in 0..3 {
        juliet.nothing();
        world.append_newest();
    }
    let got = got(&juliet);
    assert_eq!(got.bodies, [40, 41]);
    assert!(!got.answer.contains("stable="), "{}", got.answer);
}

#[test]
fn the_ends_of_an_archive_are_told_when_what_came_before_is_there() {
    let (mut world, juliet) = on_their_way();
    let metadata = "<iq type='get' id='m'><metadata xmlns='urn:xmpp:mam:2'/></iq>";
    world.send(&juliet, metadata);
    for _ in 0..3 {
        juliet.nothing();
        world.append_newest();
    }
    let ends = juliet.stanza();
    let last = query(&mut world, &juliet, &[], &rsm("<max>1</max><before/>"));
    assert_eq!(last.bodies, [41]);
    let end = format!("<end id=\"{}\"", last.ids[0]);
    assert!(ends.contains(&end), "{ends}");
}

#[test]
fn ends_of_an_archive_that_are_waited_for_are_queries() {
    let (mut world, juliet) = on_their_way();
    for _ in 0..3 {
        world.send(
            &juliet,
            "<iq type='get' id='m'><metadata xmlns='urn:xmpp:mam:2'/></iq>",
        );
    }
    let refused = juliet.stanza();
    assert!(refused.contains("resource-constraint"), "{refused}");
    world.tick();
    assert_eq!(juliet.stanzas().len(), 2, "they wait for a second at most");
    ask(&mut world, &juliet, &[], "");
    world.tick();
    assert_eq!(got(&juliet).bodies.len(), 40, "others have room again");
}

#[test]
fn what_is_on_its_way_into_the_log_for_long_is_not_passed_over() {
    let (mut world, juliet) = on_their_way();
    // Hers and his, of two messages: his are the first and the third.
    world.append_newest();
    ask(&mut world, &juliet, &[], &rsm("<max>2</max><before/>"));
    juliet.nothing();
    world.tick();
    let early = got(&juliet);
    assert_eq!(early.bodies, [38, 39], "41 is there, and 40 is not yet");
    assert!(
        early.answer.contains("stable=\"false\""),
        "{}",
        early.answer
    );
    for _ in 0..3 {
        world.append_newest();
    }
    let got = query(&mut world, &juliet, &[], &rsm("<max>2</max><before/>"));
    assert_eq!(got.bodies, [40, 41]);
}

#[test]
fn the_archive_tells_its_ends_and_its_form() {
    let (mut world, juliet) = filled();
    world.send(
        &juliet,
        "<iq type='get' id='m'><metadata xmlns='urn:xmpp:mam:2'/></iq>",
    );
    let ends = juliet.stanza();
    let all = query(&mut world, &juliet, &[], "").ids;
    assert!(
        ends.contains(&format!(
            "<start id=\"{}\" timestamp=\"2023-11-14T22:13:20Z\"/>",
            all[0]
        )),
        "{ends}"
    );
    assert!(ends.contains(&format!("<end id=\"{}\"", all[39])), "{ends}");
    let nurse = {
        world.create("nurse");
        world.online("nurse", "door")
    };
    world.send(
        &nurse,
        "<iq type='get' id='m'><metadata xmlns='urn:xmpp:mam:2'/></iq>",
    );
    assert!(
        nurse
            .stanza()
            .contains("<metadata xmlns=\"urn:xmpp:mam:2\"/>")
    );
    world.send(
        &nurse,
        "<iq type='get' id='m'><query xmlns='urn:xmpp:mam:2'/></iq>",
    );
    let form = nurse.stanza();
    for field in ["with", "start", "end", "before-id", "after-id", "ids"] {
        assert!(form.contains(&format!("var=\"{field}\"")), "{form}");
    }
    world.send(
        &nurse,
        "<iq type='get' id='d' to='nurse@localhost'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    );
    let features = nurse.stanza();
    for feature in [
        "urn:xmpp:mam:2",
        "urn:xmpp:mam:2#extended",
        "urn:xmpp:sid:0",
    ] {
        assert!(
            features.contains(&format!("var=\"{feature}\"")),
            "{features}"
        );
    }
}

#[test]
fn nobody_reads_the_archive_of_another() {
    let (mut world, juliet) = filled();
    let romeo = world.online("romeo", "garden");
    let ask = "<iq type='set' id='q' to='juliet@localhost'><query xmlns='urn:xmpp:mam:2'/></iq>";
    let nobody = ask.replace("juliet", "nobody");
    world.send(&romeo, ask);
    let refused = romeo.stanza();
    world.send(&romeo, &nobody);
    assert_eq!(
        refused.replace("juliet", "nobody"),
        romeo.stanza(),
        "nobody learns who is here"
    );
    assert!(refused.contains("service-unavailable"));
    world.befriend(&romeo, &juliet);
    world.send(&romeo, ask);
    assert!(romeo.stanza().contains("forbidden"));
    juliet.nothing();
}

#[test]
fn preferences_are_kept_and_followed() {
    let mut world = World::with(&["romeo", "juliet", "paris"]);
    let juliet = world.online("juliet", "balcony");
    let (romeo, paris) = (
        world.online("romeo", "orchard"),
        world.online("paris", "house"),
    );
    let get = "<iq type='get' id='p'><prefs xmlns='urn:xmpp:mam:2'/></iq>";
    world.send(&juliet, get);
    assert!(
        juliet.stanza().contains(
            "<prefs xmlns=\"urn:xmpp:mam:2\" default=\"never\"><always/><never/></prefs>"
        )
    );
    let wishes = "<iq type='set' id='p'><prefs xmlns='urn:xmpp:mam:2' default='always'>\
        <never><jid>paris@localhost</jid></never></prefs></iq>";
    world.send(&juliet, wishes);
    let told = juliet.stanza();
    assert!(
        told.contains("default=\"always\"><always/><never><jid>paris@localhost</jid></never>"),
        "{told}"
    );
    let write = |world: &mut World| {
        for from in [&romeo, &paris] {
            world.send(
                from,
                "<message to='juliet@localhost' type='chat'><body>a</body></message>",
            );
        }
        world.log("juliet").len()
    };
    assert_eq!(write(&mut world), 1);
    world.restart();
    for client in [&juliet, &romeo, &paris] {
        world.announce(client);
    }
    assert_eq!(write(&mut world), 2);
    juliet.stanzas();
    for (wrong, condition) in [
        ("<prefs xmlns='urn:xmpp:mam:2'/>", "bad-request"),
        (
            "<prefs xmlns='urn:xmpp:mam:2' default='sometimes'/>",
            "bad-request",
        ),
        (
            "<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>@</jid></always></prefs>",
            "jid-malformed",
        ),
    ] {
        world.send(&juliet, &format!("<iq type='set' id='p'>{wrong}</iq>"));
        assert!(juliet.stanza().contains(condition), "{wrong}");
    }
    world.set_archive(ArchiveOptions {
        preferences_max: 1,
        ..ArchiveOptions::default()
    });
    let two = "<jid>a@localhost</jid><jid>b@localhost</jid>";
    world.send(
        &juliet,
        &format!(
            "<iq type='set' id='p'><prefs xmlns='urn:xmpp:mam:2' default='never'>\
             <always>{two}</always></prefs></iq>"
        ),
    );
    assert!(juliet.stanza().contains("policy-violation"));
}
