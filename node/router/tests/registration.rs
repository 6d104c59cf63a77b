//! Registration by strangers: the operator's form, captchas, and what passwords must be like.

mod support;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use rookery_control::RegistrationRefused;
use rookery_router::captcha::picture::{HEIGHT, WIDTH, draw};
use rookery_router::captcha::{CaptchaKind, CaptchaQuestion};
use rookery_router::registration_form::{FieldKind, FormField};
use rookery_router::{CaptchaOptions, PasswordOptions, RegistrationFormOptions};
use rookery_session::carrier::{Answer, Question};
use rookery_store::Store;
use rookery_xmpp::dataform::{DataForm, Field, FormKind};
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use support::registration::Stranger;
use support::{World, jid};

const GET: &str = "<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>";

/// A set with these fields in a form.
fn set(values: &[(&str, &str)]) -> String {
    let mut form = DataForm::new(FormKind::Submit).with_form_type(ns::REGISTER);
    for (name, value) in values {
        form = form.with_field(Field::submitted(*name, *value));
    }
    let query = Element::new("query", ns::REGISTER).with_child(form.to_element());
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", "set")
        .with_attr("id", "s")
        .with_child(query);
    String::from_utf8(iq.to_bytes().to_vec()).expect("text")
}

fn form_of(answer: &Element) -> DataForm {
    let query = answer.child("query", ns::REGISTER).expect("a query");
    DataForm::find(query, ns::REGISTER).unwrap_or_else(|| panic!("no form: {answer:?}"))
}

/// The condition and the text of an error.
fn error(answer: &Element) -> String {
    let error = answer.child("error", ns::CLIENT);
    let error = error.unwrap_or_else(|| panic!("no error: {answer:?}"));
    let parts = error.elements().map(|part| match part.name() {
        "text" => part.text(),
        name => name.to_owned(),
    });
    let kind = error.attr("type").unwrap_or_default().to_owned();
    [kind]
        .into_iter()
        .chain(parts)
        .collect::<Vec<_>>()
        .join(" ")
}

fn is_result(answer: &Element) -> bool {
    answer.attr("type") == Some("result")
}

fn email() -> FormField {
    FormField {
        name: "email".into(),
        label: "E-mail".into(),
        kind: FieldKind::Email,
        required: true,
        max: 100,
        choices: Vec::new(),
    }
}

fn questions() -> CaptchaOptions {
    CaptchaOptions {
        kinds: vec![CaptchaKind::Question],
        questions: vec![CaptchaQuestion {
            question: "Who wrote Hamlet?".into(),
            answers: vec!["Shakespeare".into(), "William Shakespeare".into()],
        }],
        ..CaptchaOptions::default()
    }
}

fn images() -> CaptchaOptions {
    CaptchaOptions {
        kinds: vec![CaptchaKind::Image],
        ..CaptchaOptions::default()
    }
}

/// Asks for the form, and gives the challenge's id.
fn challenge(world: &mut World, stranger: &Stranger) -> String {
    let form = form_of(&world.registers(stranger, GET));
    form.value("challenge").expect("a challenge").to_owned()
}

fn answer(world: &mut World, stranger: &Stranger, name: &str, id: &str, said: &str) -> Element {
    let password = ("password", "some phrase of mine");
    let values = [
        ("username", name),
        password,
        ("challenge", id),
        ("qa", said),
    ];
    world.registers(stranger, &set(&values))
}

#[test]
fn what_is_filled_in_is_kept_with_the_account_and_what_is_missing_is_named() {
    let mut world = World::with(&[]);
    world.set_form(RegistrationFormOptions {
        fields: vec![email()],
        instructions: "Be kind.\nWelcome to {host}.".into(),
        ..RegistrationFormOptions::default()
    });
    let stranger = world.stranger();
    let shown = world.registers(&stranger, GET);
    let form = form_of(&shown);
    assert_eq!(form.instructions, ["Be kind.", "Welcome to localhost."]);
    assert!(form.field("email").is_some_and(|field| field.required));
    let query = shown.child("query", ns::REGISTER).expect("a query");
    assert!(query.child("email", ns::REGISTER).is_some(), "{query:?}");

    let mut values = vec![("username", "bill"), ("password", "Calliope")];
    let refused = error(&world.registers(&stranger, &set(&values)));
    assert_eq!(
        refused,
        "modify not-acceptable the field \"E-mail\" is required"
    );
    values.push(("email", "nonsense"));
    let refused = error(&world.registers(&stranger, &set(&values)));
    assert!(refused.contains("no address of mail"), "{refused}");
    values.pop();
    values.push(("email", "bill@globe.example"));
    assert!(is_result(&world.registers(&stranger, &set(&values))));
    assert_eq!(world.reserved, 0);
    let kept = world.store.account(&jid("bill@localhost")).now_or_never();
    let record = kept
        .expect("memory is quick")
        .expect("readable")
        .expect("there");
    assert_eq!(record.details["email"], "bill@globe.example");

    let legacy = "<iq type='set' id='l'><query xmlns='jabber:iq:register'><username>ben</username>\
                  <password>Calliope</password><email>ben@globe.example</email></query></iq>";
    assert!(is_result(&world.registers(&stranger, legacy)));
    let bill = world.online("bill", "desk");
    world.send(
        &bill,
        "<iq type='get' id='o'><query xmlns='jabber:iq:register'/></iq>",
    );
    assert!(
        !bill.stanza().contains("globe"),
        "details go to operators only"
    );
}

#[test]
fn who_is_sent_to_a_web_page_cannot_register_here() {
    let mut world = World::with(&[]);
    world.set_form(RegistrationFormOptions {
        redirect_url: "https://example.org/join".into(),
        ..RegistrationFormOptions::default()
    });
    let stranger = world.stranger();
    let shown = String::from_utf8(world.registers(&stranger, GET).to_bytes().to_vec()).unwrap();
    assert!(
        shown.contains("<url>https://example.org/join</url>"),
        "{shown}"
    );
    assert!(!shown.contains("<username"), "{shown}");
    let values = [("username", "bill"), ("password", "Calliope")];
    let refused = error(&world.registers(&stranger, &set(&values)));
    assert!(
        refused.contains("not-allowed") && refused.contains("example.org/join"),
        "{refused}"
    );
}

#[test]
fn a_weak_password_is_refused_with_the_reason_and_takes_no_place() {
    let mut world = World::with(&["juliet"]);
    world.set_passwords(PasswordOptions::default());
    let stranger = world.stranger();
    for (password, why) in [
        ("short", "at least 8"),
        ("password", "most common"),
        ("bill1234", "guesses"),
    ] {
        let values = [("username", "bill"), ("password", password)];
        let refused = error(&world.registers(&stranger, &set(&values)));
        assert!(refused.starts_with("modify not-acceptable"), "{refused}");
        assert!(refused.contains(why), "{refused}");
    }
    // The throttle is not even asked.
    world.throttle = Some(RegistrationRefused::Closed);
    let values = [("username", "bill"), ("password", "password")];
    let refused = error(&world.registers(&stranger, &set(&values)));
    assert!(refused.contains("most common"), "{refused}");

    let juliet = world.online("juliet", "balcony");
    let change = |password: &str| {
        format!(
            "<iq type='set' id='c' to='localhost'><query xmlns='jabber:iq:register'>\
             <username>juliet</username><password>{password}</password></query></iq>"
        )
    };
    world.send(&juliet, &change("juliet99"));
    let refused = juliet.stanza();
    assert!(
        refused.contains("not-acceptable") && refused.contains("guesses"),
        "{refused}"
    );
    world.send(&juliet, &change("a rose by any name"));
    assert!(juliet.stanza().contains("type=\"result\""));
}

#[test]
fn an_old_session_gives_the_password_to_remove_the_account() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.now = world.now.plus(Duration::from_secs(600));
    world.send(
        &juliet,
        "<iq type='set' id='bye'><query xmlns='jabber:iq:register'><remove/></query></iq>",
    );
    let asked = Element::parse(juliet.stanza().as_bytes()).expect("canonical");
    assert!(error(&asked).starts_with("cancel not-allowed"), "{asked:?}");
    let query = asked.child("query", ns::REGISTER).expect("a form");
    let form = DataForm::find(query, "jabber:iq:register:cancel").expect("of that type");
    let required = |name| form.field(name).is_some_and(|field| field.required);
    assert!(required("username") && required("password"));

    let cancel = |name: &str, password: &str| {
        let values = [
            ("FORM_TYPE", "jabber:iq:register:cancel"),
            ("username", name),
            ("password", password),
        ];
        let field = |(name, value)| format!("<field var='{name}'><value>{value}</value></field>");
        let fields: String = values.map(field).concat();
        format!(
            "<iq type='set' id='bye'><query xmlns='jabber:iq:register'>\
             <x xmlns='jabber:x:data' type='submit'>{fields}</x></query></iq>"
        )
    };
    world.send(&juliet, &cancel("romeo", "secret"));
    assert!(juliet.stanza().contains("bad-request"));
    world.send(&juliet, &cancel("juliet", "wrong"));
    assert!(juliet.stanza().contains("not-authorized"));
    world.send(&juliet, &cancel("juliet@localhost", "secret"));
    assert!(juliet.stanza().contains("type=\"result\""));
    let ended = juliet.closed_with().expect("its sessions end");
    assert!(ended.contains("removed"), "{ended}");
}

#[test]
fn an_old_session_gives_the_old_password_and_three_wrong_ones_end_it() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    let change = |old: Option<&str>, new: &str| {
        let mut values = vec![("username", "juliet@localhost"), ("password", new)];
        values.extend(old.map(|old| ("old_password", old)));
        set(&values).replace("<iq ", "<iq to='localhost' ")
    };
    world.now = world.now.plus(Duration::from_secs(599));
    world.send(&juliet, &change(None, "first"));
    assert!(
        juliet.stanza().contains("type=\"result\""),
        "it is not old yet"
    );
    world.now = world.now.plus(Duration::from_secs(1));
    world.send(&juliet, &change(None, "second"));
    let asked = Element::parse(juliet.stanza().as_bytes()).expect("canonical");
    assert!(
        error(&asked).starts_with("modify not-authorized"),
        "{asked:?}"
    );
    let query = asked.child("query", ns::REGISTER).expect("a form");
    let form = DataForm::find(query, "jabber:iq:register:changepassword").expect("of that type");
    assert!(
        form.field("old_password")
            .is_some_and(|field| field.required)
    );

    world.send(&juliet, &change(Some("first"), "second"));
    assert!(
        juliet.stanza().contains("type=\"result\""),
        "the old one is right"
    );
    for wrong in 1..=3 {
        assert!(juliet.closed_with().is_none());
        world.send(&juliet, &change(Some("first"), "third"));
        assert_eq!(juliet.wrong_passwords(), wrong, "each is told at once");
        let answer = juliet.stanza();
        assert!(
            answer.contains("not-authorized") && answer.contains("is wrong"),
            "{answer}"
        );
    }
    let end = juliet.closed_with().expect("the session is over");
    assert!(end.contains("not-authorized"), "{end}");
    let question = Question::Credentials {
        account: jid("juliet@localhost"),
    };
    let Some(Answer::Credentials(Some(keys))) = world.ask(question) else {
        panic!("no keys");
    };
    assert!(keys.verify_password("second"));
}

#[test]
fn who_hangs_up_before_the_answer_has_guessed_all_the_same() {
    let mut world = World::with(&["juliet"]);
    let juliet = world.online("juliet", "balcony");
    world.now = world.now.plus(Duration::from_secs(600));
    let values = [
        ("username", "juliet"),
        ("old_password", "guess"),
        ("password", "second"),
    ];
    world.hold = true;
    world.send(
        &juliet,
        &set(&values).replace("<iq ", "<iq to='localhost' "),
    );
    world.leave(&juliet);
    assert_eq!(juliet.wrong_passwords(), 0, "it is being judged");
    world.release();
    assert_eq!(juliet.wrong_passwords(), 1);
}

#[test]
fn a_question_is_asked_and_nobody_gets_past_it_without_the_answer() {
    let mut world = World::with(&[]);
    world.set_captcha(questions());
    let stranger = world.stranger();
    let form = form_of(&world.registers(&stranger, GET));
    let question = form.field("qa").expect("a question");
    assert_eq!(question.label.as_deref(), Some("Who wrote Hamlet?"));
    assert!(question.required && form.field("ocr").is_none());
    assert_eq!(form.value("sid"), Some("g"));

    let legacy = "<iq type='set' id='l'><query xmlns='jabber:iq:register'><username>bill</username>\
                  <password>Calliope</password></query></iq>";
    let refused = error(&world.registers(&stranger, legacy));
    assert!(
        refused.starts_with("modify not-acceptable a captcha must be solved"),
        "{refused}"
    );
    let id = challenge(&mut world, &stranger);
    let refused = error(&answer(&mut world, &stranger, "bill", &id, "Marlowe"));
    assert!(refused.contains("the answer is wrong"), "{refused}");
    let other = world.stranger();
    let refused = error(&answer(&mut world, &other, "bill", &id, "Shakespeare"));
    assert!(
        refused.contains("no longer valid"),
        "another stream: {refused}"
    );
    assert_eq!(world.reserved, 0, "the throttle was never asked");
    assert!(is_result(&answer(
        &mut world,
        &stranger,
        "bill",
        &id,
        "  william SHAKESPEARE."
    )));
    let refused = error(&answer(&mut world, &stranger, "ben", &id, "Shakespeare"));
    assert!(
        refused.contains("no longer valid"),
        "one account each: {refused}"
    );
}

#[test]
fn who_solved_it_and_finds_the_name_taken_need_not_solve_it_again() {
    let mut world = World::with(&["taken"]);
    world.set_captcha(questions());
    let stranger = world.stranger();
    let id = challenge(&mut world, &stranger);
    let refused = error(&answer(&mut world, &stranger, "taken", &id, "Shakespeare"));
    assert!(refused.contains("conflict"), "{refused}");
    world.throttle = Some(support::invites::no_quorum());
    let refused = error(&answer(&mut world, &stranger, "free", &id, "Shakespeare"));
    assert!(refused.contains("resource-constraint"), "{refused}");
    world.throttle = None;
    assert!(is_result(&answer(
        &mut world,
        &stranger,
        "free",
        &id,
        "Shakespeare"
    )));
}

#[test]
fn a_picture_comes_with_its_form_and_is_the_one_of_its_letters() {
    let mut world = World::with(&[]);
    world.set_captcha(images());
    let stranger = world.stranger();
    let shown = world.registers(&stranger, GET);
    let query = shown.child("query", ns::REGISTER).expect("a query");
    let form = form_of(&shown);
    let media = form
        .field("ocr")
        .and_then(|field| field.media.clone())
        .expect("a picture");
    let size = (media.attr("width"), media.attr("height"));
    assert_eq!(
        size,
        (
            Some(WIDTH.to_string().as_str()),
            Some(HEIGHT.to_string().as_str())
        )
    );
    let uri = media.child("uri", ns::MEDIA_ELEMENT).expect("an address");
    assert_eq!(uri.attr("type"), Some("image/png"));
    let data = query.child("data", ns::BITS_OF_BINARY).expect("its bits");
    assert_eq!(
        uri.text(),
        format!("cid:{}", data.attr("cid").unwrap_or_default())
    );
    let picture = STANDARD.decode(data.text()).expect("base64");
    let (text, seed) = world.drawn.clone().expect("it was drawn");
    assert_eq!(picture, draw(&text, seed).expect("drawn"), "the same again");

    let id = form.value("challenge").expect("a challenge").to_owned();
    let values = [
        ("username", "bill"),
        ("password", "Calliope"),
        ("challenge", id.as_str()),
    ];
    let typed = |letters: &str| set(&[&values[..], &[("ocr", letters)]].concat());
    let refused = error(&world.registers(&stranger, &typed("WRONG1")));
    assert!(refused.contains("wrong"), "{refused}");
    assert!(is_result(
        &world.registers(&stranger, &typed(&text.to_lowercase()))
    ));
}

#[test]
fn while_pictures_cannot_be_drawn_there_is_the_question_or_a_wait() {
    let mut world = World::with(&[]);
    world.pictures_fail = true;
    world.set_captcha(images());
    let stranger = world.stranger();
    let refused = error(&world.registers(&stranger, GET));
    assert!(refused.starts_with("wait resource-constraint"), "{refused}");
    world.set_captcha(CaptchaOptions {
        kinds: vec![CaptchaKind::Image, CaptchaKind::Question],
        ..questions()
    });
    let form = form_of(&world.registers(&stranger, GET));
    assert!(form.field("ocr").is_none());
    assert!(form.field("qa").is_some_and(|field| field.required));
}

#[test]
fn after_the_shard_has_moved_the_form_must_be_asked_for_again() {
    let mut world = World::with(&[]);
    world.set_captcha(questions());
    let stranger = world.stranger();
    let id = challenge(&mut world, &stranger);
    world.restart();
    let refused = error(&answer(&mut world, &stranger, "bill", &id, "Shakespeare"));
    assert!(refused.contains("ask for the form again"), "{refused}");
    let id = challenge(&mut world, &stranger);
    assert!(is_result(&answer(
        &mut world,
        &stranger,
        "bill",
        &id,
        "Shakespeare"
    )));
}

#[test]
fn one_network_gets_so_many_challenges_and_others_are_not_hindered() {
    let mut world = World::with(&[]);
    world.set_captcha(CaptchaOptions {
        asked_per_hour_max: 3,
        ..questions()
    });
    let stranger = world.stranger();
    for _ in 0..3 {
        challenge(&mut world, &stranger);
    }
    let refused = error(&world.registers(&stranger, GET));
    assert!(refused.starts_with("wait resource-constraint"), "{refused}");
    let mut other = world.stranger();
    other.address = [192, 0, 2, 7].into();
    challenge(&mut world, &other);
}
