//! Invitations: who shows a token, and what becomes of it.

mod support;

use rookery_control::{InviteKind, InviteTerms, RegistrationRefused};
use rookery_router::{InviteOptions, InvitesBy};
use rookery_session::carrier::{AdminQuestion, Answer, Question, ShownToken};
use rookery_store::inviter::Inviter;
use rookery_xmpp::clock::Timestamp;
use support::{Client, World, jid};

/// What a stranger is answered, who has shown this token.
fn ask(world: &mut World, payload: &str, token: Option<&str>) -> String {
    let iq = format!("<iq type='set' id='r'>{payload}</iq>");
    let question = Question::Register {
        host: "localhost".into(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        iq: support::canonical(&iq).into(),
        invite: token.map(|token| {
            let token = token.into();
            Box::new(ShownToken { token, age_ms: 0 })
        }),
    };
    match world.ask(question) {
        Some(Answer::Iq(answer)) => String::from_utf8_lossy(&answer).into_owned(),
        answer => panic!("{answer:?}"),
    }
}

fn register(world: &mut World, name: &str, token: Option<&str>) -> String {
    let payload = format!(
        "<query xmlns='jabber:iq:register'><username>{name}</username><password>Calliope</password></query>"
    );
    ask(world, &payload, token)
}

fn show(world: &mut World, token: &str) -> String {
    let payload = format!("<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>");
    ask(world, &payload, Some(token))
}

fn terms(kind: InviteKind, by: Option<&str>) -> InviteTerms {
    InviteTerms {
        kind,
        host: "localhost".into(),
        by: by.map(str::to_owned),
        name: None,
        expires: Timestamp(u64::MAX),
    }
}

fn good(answer: &str) -> bool {
    answer.contains("type=\"result\"")
}

#[test]
fn whoever_shows_a_good_token_registers_and_others_are_told_what_they_need() {
    let mut world = World::with(&[]);
    world.throttle = Some(RegistrationRefused::InviteNeeded);
    world.invited = Some(terms(InviteKind::Account, None));
    let refused = register(&mut world, "olga", None);
    assert!(
        refused.contains("not-allowed") && refused.contains("needs an invitation"),
        "{refused}"
    );
    for wrong in ["", "guess"] {
        assert!(show(&mut world, wrong).contains("item-not-found"));
        assert!(register(&mut world, "olga", Some(wrong)).contains("item-not-found"));
    }
    let without = ask(&mut world, "<preauth xmlns='urn:xmpp:pars:0'/>", None);
    assert!(without.contains("item-not-found"), "{without}");
    assert!(good(&show(&mut world, "good")));
    assert_eq!(world.reserved, 0, "looking takes nothing");
    assert!(good(&register(&mut world, "olga", Some("good"))));
    assert!(register(&mut world, "olga", Some("good")).contains("conflict"));
    assert_eq!(world.reserved, 0, "committed, and given back");
}

#[test]
fn an_invitation_ends_with_the_account_that_made_it() {
    let mut world = World::with(&["romeo", "mercutio", "paris"]);
    let removed = AdminQuestion::DeleteAccount {
        account: jid("paris@localhost"),
        now: false,
    };
    world.ask(Question::Admin(removed));
    for gone in ["tybalt", "mercutio", "paris"] {
        let enabled = AdminQuestion::SetEnabled {
            account: jid("mercutio@localhost"),
            enabled: false,
        };
        world.ask(Question::Admin(enabled));
        let by = format!("{gone}@localhost");
        world.invited = Some(terms(InviteKind::Account, Some(&by)));
        assert!(
            show(&mut world, "good").contains("item-not-found"),
            "{gone}"
        );
        assert!(register(&mut world, "juliet", Some("good")).contains("item-not-found"));
        assert_eq!(world.reserved, 0, "given back");
    }
    world.invited = Some(terms(InviteKind::Account, Some("romeo@localhost")));
    assert!(good(&show(&mut world, "good")));
    assert!(good(&register(&mut world, "juliet", Some("good"))));
}

const COMMANDS: &str = "http://jabber.org/protocol/commands";

fn command(node: &str, more: &str, form: &str) -> String {
    format!(
        "<iq type='set' id='c' to='localhost'><command xmlns='{COMMANDS}' node='urn:xmpp:invite#{node}' {more}>\
         {form}</command></iq>"
    )
}

fn filled(username: &str, contact: u8) -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='username'><value>{username}</value></field>\
         <field var='roster-subscription'><value>{contact}</value></field></x>"
    )
}

fn allow(world: &World, by_users: InvitesBy) {
    let options = InviteOptions {
        by_users,
        per_user_max: 2,
        ..InviteOptions::default()
    };
    world.set_invites(options, "https://a.example");
}

fn session(answer: &str) -> &str {
    let rest = answer.split("sessionid=\"").nth(1).expect("a session");
    rest.split('"').next().expect("its end")
}

#[test]
fn users_invite_as_far_as_they_may_and_see_no_more() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    let items = format!(
        "<iq type='get' id='d' to='localhost'><query xmlns='http://jabber.org/protocol/disco#items' \
         node='{COMMANDS}'/></iq>"
    );
    for (by_users, invites, creates) in [
        (InvitesBy::Nobody, false, false),
        (InvitesBy::Contacts, true, false),
        (InvitesBy::Accounts, true, true),
    ] {
        allow(&world, by_users);
        world.send(&romeo, &items);
        let shown = romeo.stanza();
        assert_eq!(shown.contains("urn:xmpp:invite#invite"), invites, "{shown}");
        assert_eq!(
            shown.contains("urn:xmpp:invite#create-account"),
            creates,
            "{shown}"
        );
        world.send(&romeo, &command("create-account", "", ""));
        let answer = romeo.stanza();
        assert_eq!(answer.contains("item-not-found"), !creates, "{answer}");
        assert_eq!(answer.contains("status=\"executing\""), creates, "{answer}");
    }
    for bound in [false, false, true] {
        world.send(&romeo, &command("invite", "action='execute'", ""));
        let answer = romeo.stanza();
        assert_eq!(answer.contains("policy-violation"), bound, "{answer}");
        let uri = "xmpp:romeo@localhost?roster;preauth=";
        assert_eq!(answer.contains(uri), !bound, "{answer}");
        assert_eq!(
            answer.contains("https://a.example/invite/"),
            !bound,
            "{answer}"
        );
    }
    let made = &world.made[0];
    assert_eq!((made.kind, made.uses), (InviteKind::Contact, 1));
    assert_eq!(made.by.as_deref(), Some("romeo@localhost"));
}

#[test]
fn an_account_that_asks_all_the_time_is_heard_so_often_and_no_more() {
    let mut world = World::with(&["romeo"]);
    allow(&world, InvitesBy::Accounts);
    let romeo = world.online("romeo", "orchard");
    let invite = command("invite", "action='execute'", "");
    for minute in 1..=2 {
        for _ in 0..30 {
            world.send(&romeo, &invite);
        }
        let answers = romeo.stanzas();
        let unheard = answers.iter().filter(|it| it.contains("in a minute"));
        assert_eq!((answers.len(), unheard.count()), (30, 10));
        assert_eq!(world.made.len(), 20 * minute, "whether refused or not");
        world.now = world.now.plus(std::time::Duration::from_secs(60));
    }
}

#[test]
fn a_command_goes_on_with_its_form_once_and_only_in_its_session() {
    let mut world = World::with(&["romeo", "taken"]);
    allow(&world, InvitesBy::Accounts);
    let romeo = world.online("romeo", "orchard");
    let begin = |world: &mut World| {
        world.send(&romeo, &command("create-account", "", ""));
        session(&romeo.stanza()).to_owned()
    };
    for (name, contact, expected) in [
        ("Juliet", 0, "xmpp:juliet@localhost?register;preauth="),
        ("", 0, "xmpp:localhost?register;preauth="),
        ("taken", 1, "conflict"),
        ("a b", 1, "not-acceptable"),
    ] {
        world.made.clear();
        let id = begin(&mut world);
        let go_on = command(
            "create-account",
            &format!("sessionid='{id}'"),
            &filled(name, contact),
        );
        world.send(&romeo, &go_on);
        let answer = romeo.stanza();
        assert!(answer.contains(expected), "{name}: {answer}");
        world.send(&romeo, &go_on);
        let again = romeo.stanza();
        assert!(again.contains("bad-sessionid"), "{again}");
    }
    let id = begin(&mut world);
    let of = format!("sessionid='{id}'");
    world.send(&romeo, &command("invite", &of, ""));
    assert!(romeo.stanza().contains("bad-sessionid"), "another command");
    world.send(
        &romeo,
        &command("create-account", &format!("{of} action='cancel'"), ""),
    );
    assert!(romeo.stanza().contains("status=\"canceled\""));
    let id = begin(&mut world);
    world.send(
        &romeo,
        &command("create-account", &format!("sessionid='{id}'"), ""),
    );
    assert!(romeo.stanza().contains("bad-payload"));
    world.send(&romeo, &command("create-account", "action='prev'", ""));
    assert!(romeo.stanza().contains("bad-action"));
}

#[test]
fn who_registers_with_a_contacts_invitation_and_the_contact_see_each_other_unasked() {
    let mut world = World::with(&["romeo"]);
    let romeo = world.online("romeo", "orchard");
    world.invited = Some(terms(InviteKind::Contact, Some("romeo@localhost")));
    assert!(good(&register(&mut world, "juliet", Some("good"))));
    let told = romeo.stanzas();
    let pushed = |all: &[String], jid: &str| {
        let words = ["jabber:iq:roster", jid, "subscription=\"both\""];
        all.iter()
            .any(|it| words.iter().all(|word| it.contains(word)))
    };
    assert!(pushed(&told, "juliet@localhost"), "{told:?}");
    assert_eq!(told.len(), 1, "no message: {told:?}");
    let juliet = world.bind("juliet", "balcony");
    let roster = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";
    world.send(&juliet, roster);
    assert!(pushed(&juliet.stanzas(), "romeo@localhost"));
    world.send(&juliet, "<presence/>");
    let seen = |all: &[String], from: &str| {
        all.iter()
            .any(|it| it.starts_with("<presence") && it.contains(from))
    };
    assert!(seen(&romeo.stanzas(), "juliet@localhost/balcony"));
    assert!(seen(&juliet.stanzas(), "romeo@localhost/orchard"));
}

/// What a client sees of a contact in its roster.
fn is_contact(world: &mut World, of: &Client, name: &str) -> bool {
    of.stanzas();
    let roster = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";
    world.send(of, roster);
    let both = format!("jid=\"{name}@localhost\"");
    let told = of.stanzas();
    let item = told.iter().find(|it| it.contains(&both));
    item.is_some_and(|it| it.contains("subscription=\"both\""))
}

/// Juliet, whom Romeo has invited, while what shards say to one another is lost.
fn invited_in_a_crash() -> World {
    let mut world = World::with(&["romeo"]);
    world.invited = Some(terms(InviteKind::Contact, Some("romeo@localhost")));
    world.lose_forwards = true;
    assert!(good(&register(&mut world, "juliet", Some("good"))));
    world.restart();
    world
}

#[test]
fn a_crash_behind_the_account_costs_nobody_the_contact() {
    let mut world = invited_in_a_crash();
    // Romeo's side is not told either, in the first login.
    let romeo = world.online("romeo", "orchard");
    assert!(!is_contact(&mut world, &romeo, "juliet"));
    let juliet = world.bind("juliet", "balcony");
    assert!(is_contact(&mut world, &juliet, "romeo"), "her own side");
    assert!(
        !is_contact(&mut world, &romeo, "juliet"),
        "the word is lost"
    );
    world.restart();
    world.lose_forwards = false;
    let romeo = world.online("romeo", "orchard");
    let juliet = world.bind("juliet", "balcony");
    assert!(is_contact(&mut world, &juliet, "romeo"));
    assert!(is_contact(&mut world, &romeo, "juliet"));
}

#[test]
fn a_contact_that_was_made_is_owed_no_more() {
    let mut world = invited_in_a_crash();
    world.lose_forwards = false;
    let romeo = world.online("romeo", "orchard");
    let juliet = world.bind("juliet", "balcony");
    assert!(is_contact(&mut world, &romeo, "juliet"));
    let remove = |name: &str| {
        format!(
            "<iq type='set' id='x'><query xmlns='jabber:iq:roster'>\
             <item jid='{name}@localhost' subscription='remove'/></query></iq>"
        )
    };
    world.send(&juliet, &remove("romeo"));
    world.send(&romeo, &remove("juliet"));
    for _ in 0..2 {
        world.restart();
        let romeo = world.online("romeo", "orchard");
        let juliet = world.online("juliet", "balcony");
        assert!(!is_contact(&mut world, &juliet, "romeo"));
        assert!(!is_contact(&mut world, &romeo, "juliet"));
    }
}

#[test]
fn who_takes_a_silent_inviter_out_of_the_roster_does_not_get_it_again() {
    let mut world = invited_in_a_crash();
    let juliet = world.bind("juliet", "balcony");
    assert!(is_contact(&mut world, &juliet, "romeo"));
    let remove = "<iq type='set' id='x'><query xmlns='jabber:iq:roster'>\
                  <item jid='romeo@localhost' subscription='remove'/></query></iq>";
    world.send(&juliet, remove);
    world.restart();
    let juliet = world.bind("juliet", "balcony");
    assert!(!is_contact(&mut world, &juliet, "romeo"));
}

#[test]
fn an_account_keeps_who_invited_it_and_what_for() {
    let mut world = World::with(&["romeo"]);
    for (name, kind, by, contact) in [
        ("juliet", InviteKind::Contact, Some("romeo@localhost"), true),
        ("nurse", InviteKind::Account, Some("romeo@localhost"), false),
        ("paris", InviteKind::Contact, None, false),
    ] {
        world.invited = Some(terms(kind, by));
        assert!(good(&register(&mut world, name, Some("good"))));
        let user = by.map(jid);
        let inviter = Some(Inviter { user, contact });
        assert_eq!(world.record(name).inviter, inviter, "{name}");
    }
    world.register("tybalt", "Calliope");
    assert_eq!(world.record("tybalt").inviter, None);
}

#[test]
fn nobody_befriends_another_by_writing_what_hosts_write() {
    let mut world = World::with(&["romeo", "tybalt"]);
    let romeo = world.online("romeo", "orchard");
    let tybalt = world.online("tybalt", "street");
    let forged = "<message to='romeo@localhost' type='headline'>\
                  <befriend xmlns='urn:rookery:befriend:0' jid='tybalt@localhost'/></message>";
    world.send(&tybalt, forged);
    let told = romeo.stanzas();
    assert!(
        told.iter().all(|it| !it.contains("jabber:iq:roster")),
        "{told:?}"
    );
    let done = forged.replace("<befriend ", "<befriended ");
    world.send(&tybalt, &done);
    let from_host = forged.replace("<message", "<message from='localhost'");
    world.send(&tybalt, &from_host);
    let told = romeo.stanzas();
    assert!(
        told.iter().all(|it| !it.contains("jabber:iq:roster")),
        "{told:?}"
    );
}
