//! Registration on real processes: form, captcha and passwords, over three nodes and as the operator sees them.

mod program;

use std::fs;
use std::time::Duration;

use program::client::Client;
use program::cluster::{Cluster, Node, until};
use program::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

const SETTINGS: [&str; 4] = [
    "registration.mode=unthrottled",
    "registration_form.fields=[{name = \"email\", kind = \"email\", required = true}]",
    "captcha.kinds=[\"image\", \"question\"]",
    "captcha.questions=[{question = \"Who wrote Hamlet?\", answers = [\"Shakespeare\"]}]",
];

/// A stranger's stream to a node.
struct Stranger(Client);

impl Stranger {
    fn at(node: &Node) -> Self {
        Self(Client::connect(node.dir(), node.port(5223)).expect("it is let in"))
    }

    fn iq(&mut self, iq: &str) -> String {
        self.0.send(iq);
        let begun = self.0.heard(">");
        match begun.ends_with("/>") {
            true => begun,
            false => begun + &self.0.heard("</iq>"),
        }
    }

    /// Asks for the form, and gives its challenge's id.
    fn challenge(&mut self) -> String {
        let form = self.iq("<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>");
        for part in [
            "Who wrote Hamlet?",
            "var=\"email\"",
            "image/png",
            "urn:xmpp:bob",
        ] {
            assert!(form.contains(part), "{part} in {form}");
        }
        let (_, rest) = form.split_once("var=\"challenge\"").expect("a challenge");
        let (_, rest) = rest.split_once("<value>").expect("its value");
        rest.split_once("</value>").expect("its end").0.to_owned()
    }

    /// Fills the form in.
    fn set(&mut self, name: &str, password: &str, challenge: &str) -> String {
        let values = [
            ("username", name),
            ("password", password),
            ("email", "somebody@example.org"),
            ("challenge", challenge),
            ("qa", "shakespeare"),
        ];
        let field = |(name, value): (&str, &str)| {
            format!("<field var='{name}'><value>{value}</value></field>")
        };
        let fields: String = values.into_iter().map(field).collect();
        self.iq(&format!(
            "<iq type='set' id='s'><query xmlns='jabber:iq:register'>\
             <x xmlns='jabber:x:data' type='submit'>{fields}</x></query></iq>"
        ))
    }
}

#[test]
fn a_challenge_of_three_nodes_makes_one_account_and_its_fields_are_shown_to_the_operator() {
    let mut cluster = Cluster::init_with("nest", &SETTINGS);
    cluster.join_with("connection", &SETTINGS[..1]);
    cluster.join_with("connection", &SETTINGS[..1]);
    let [one, two, three] = &cluster.nodes[..] else {
        panic!("three nodes");
    };
    one.create_account("nurse@localhost", "something long");
    let (mut first, mut second) = (Stranger::at(two), Stranger::at(three));
    let (challenge, other) = (first.challenge(), second.challenge());
    let answer = second.set("ben", "something long", &challenge);
    assert!(answer.contains("no longer valid"), "another's: {answer}");
    let answer = first.set("nurse", "something long", &challenge);
    assert!(answer.contains("conflict"), "{answer}");
    let answer = first.set("bill", "bill1234", &challenge);
    assert!(
        answer.contains("not-acceptable") && answer.contains("guesses"),
        "{answer}"
    );
    let answer = first.set("bill", "something long", &challenge);
    assert!(answer.contains("type=\"result\""), "{answer}");
    let answer = first.set("bess", "something long", &challenge);
    assert!(
        answer.contains("no longer valid"),
        "it is used up: {answer}"
    );
    let answer = second.set("ben", "something long", &other);
    assert!(answer.contains("type=\"result\""), "{answer}");

    let rules = &one.shown(&["registration", "show"])["rules"];
    assert_eq!(rules["fields"][0], "email*");
    assert_eq!(rules["captchas"].as_array().map(Vec::len), Some(2));
    until(PATIENCE, "the account", || {
        one.admin(&["users", "show", "bill@localhost"]).succeeded()
    });
    let shown = one.shown(&["users", "show", "bill@localhost"]);
    assert_eq!(shown["details"]["email"], "somebody@example.org");
    let metrics = program::server::http(one.port(5280), "/metrics");
    for cause in ["captcha", "conflict", "password"] {
        let line = format!("rookery_registrations_refused_total{{cause=\"{cause}\"}}");
        assert!(metrics.contains(&line), "{cause} in {metrics}");
    }
}

#[test]
fn operators_obey_the_rules_about_passwords_unless_they_insist_and_a_reload_changes_them() {
    let nest = tempfile::tempdir().unwrap();
    let file = nest.path().join("rookery.toml");
    let write = |more: &str| {
        let text = format!("[log]\nfilter = \"error\"\n{more}");
        fs::write(&file, text).unwrap();
    };
    write("");
    let server = Server::serve(&file);
    let create = |password: &str, more: &[&str]| {
        let words = [
            "users",
            "create",
            "juliet@localhost",
            "--password",
            password,
        ];
        server.admin(&[&words, more].concat())
    };
    let told = create("juliet99", &[]).expect_failure(1);
    assert!(
        told.contains("guesses") && told.contains("--force"),
        "{told}"
    );
    assert!(
        create("password", &[])
            .expect_failure(1)
            .contains("most common")
    );
    create("password", &["--force"]).expect_success();
    let set = |password: &str, more: &[&str]| {
        let words = [
            "users",
            "password",
            "juliet@localhost",
            "--password",
            password,
        ];
        server.admin(&[&words, more].concat())
    };
    assert!(set("short", &[]).expect_failure(1).contains("at least 8"));
    set("short", &["--force"]).expect_success();
    set("a rose by any name", &[]).expect_success();

    write("[passwords]\nlength_min = 4\ncommon_refused = false\nstrength_min = 0\n");
    let told = server.admin(&["server", "reload"]).expect_success();
    assert!(
        told.contains("passwords.length_min") && !told.contains("restart"),
        "{told}"
    );
    set("short", &[]).expect_success();

    write("[captcha]\nkinds = [\"question\"]\n");
    let told = server.admin(&["server", "reload"]).expect_failure(1);
    assert!(told.contains("captcha.questions"), "{told}");
    write("[registration_form]\nredirect_url = \"javascript:x\"\n");
    let told = server.admin(&["server", "reload"]).expect_failure(1);
    assert!(
        told.contains("redirect_url") && told.contains("rookery.toml:4"),
        "{told}"
    );
}
