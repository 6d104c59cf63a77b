//! What clients notice of a store that stands still for a moment: they wait, and nothing is refused.

mod program;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use program::client::Client;
use program::server::Server;
use rusqlite::Connection;

/// Much more than an account may have on its way into its archive.
const MESSAGES: usize = 6_000;

/// How long a sender may take who is not made to wait.
const AT_FULL_SPEED: Duration = Duration::from_secs(2);

/// Somebody else writes to the store's database as long as this is kept, so that the server cannot.
struct Held(Connection);

impl Held {
    fn hold(server: &Server) -> Self {
        let database = find(server.dir(), "store.db").expect("the store's database");
        let other = Connection::open(database).expect("a connection");
        other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        Self(other)
    }

    fn let_go(self) {
        self.0.execute_batch("ROLLBACK").expect("the lock is free");
    }
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.filter_map(Result::ok);
    entries.map(|entry| entry.path()).find_map(|path| {
        let is_meant = path.file_name().is_some_and(|it| it == name);
        is_meant.then(|| path.clone()).or_else(|| find(&path, name))
    })
}

#[test]
fn a_store_that_stands_still_makes_a_client_wait_and_nothing_is_refused() {
    let server = Server::start(&[
        "--set",
        "archive.default=always",
        "--set",
        "bandwidth.exempt=[\"localhost\"]",
    ]);
    let password = "something long";
    let log_in = |name: &str| {
        let jid = format!("{name}@localhost");
        let create = ["users", "create", &jid, "--password", password];
        server.admin(&create).expect_success();
        let mut client = Client::connect(server.dir(), server.port(5223)).expect("a stream");
        client.log_in(name, password);
        client.send("<presence/>");
        client.heard("/>");
        client
    };
    let (mut juliet, mut romeo) = (log_in("juliet"), log_in("romeo"));
    let held = Held::hold(&server);
    let (sent, is_sent) = mpsc::channel();
    let sender = std::thread::spawn(move || {
        for number in 0..MESSAGES {
            juliet.send(&format!(
                "<message to='romeo@localhost' type='chat' id='n{number}'><body>Ay me</body></message>"
            ));
        }
        // The test may have failed by then.
        let _ = sent.send(());
        juliet.send("<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq>");
        juliet.heard("id=\"last\"")
    });
    romeo.heard("id=\"n0\"");
    // What is written fits into the sockets' buffers, perhaps.
    let _ = is_sent.recv_timeout(AT_FULL_SPEED);
    held.let_go();
    let last = format!("id=\"n{}\"", MESSAGES - 1);
    let heard = romeo.heard(&last);
    assert_eq!(heard.matches("<body>").count(), MESSAGES - 1);
    let told = sender.join().expect("it was answered");
    assert!(!told.contains("error"), "{told:.1000}");
}
