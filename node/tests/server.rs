//! A real server as its operator sees it: `rookery dev`, the admin commands, HTTP, signals.

mod program;

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use program::server::Server;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// One server for all of it: a start costs more than the rest.
#[test]
fn an_operator_manages_accounts_registration_and_the_log_and_all_but_the_log_survives_a_restart() {
    let mut server = Server::start(&[]);
    accounts(&server);
    registration(&server);
    log_filter(&server);
    monitoring(&server);
    let secret = std::fs::read(server.dir().join("decoy.secret")).unwrap();

    server.signal(Signal::TERM);
    assert!(server.ended().success());
    for gone in ["rookery.pid", "admin.sock"] {
        assert!(!server.dir().join(gone).exists(), "{gone}");
    }
    server.restart(&[]);
    let users = server.admin(&["users", "list", "--json"]).expect_success();
    assert_eq!(json(&users).as_array().unwrap().len(), 2);
    let policy = server.admin(&["registration", "show"]).expect_success();
    assert!(
        policy.contains("closed") && policy.contains("set by an administrator"),
        "{policy}"
    );
    assert_eq!(
        std::fs::read(server.dir().join("decoy.secret")).unwrap(),
        secret
    );

    let told = server.admin(&["server", "stop"]).expect_success();
    assert!(told.starts_with("stops within"), "{told}");
    assert!(server.ended().success());
}

fn accounts(server: &Server) {
    let password = ["--password", "something long"];
    let admin = |first: &[&str], more: &[&str]| server.admin(&[first, more].concat());
    admin(&["users", "create", "juliet@localhost"], &password).expect_success();
    let told = admin(&["users", "create", "juliet@localhost"], &password).expect_failure(1);
    assert!(told.contains("exists already"), "{told}");
    let told = admin(&["users", "create", "juliet@elsewhere"], &password).expect_failure(1);
    assert!(told.contains("the hosts are: localhost"), "{told}");
    admin(&["users", "disable", "juliet@localhost"], &[]).expect_success();
    let shown = admin(&["users", "show", "juliet@localhost"], &[]).expect_success();
    assert!(shown.contains("disabled"), "{shown}");
    admin(&["users", "enable", "juliet@localhost"], &[]).expect_success();
    admin(&["users", "create", "romeo@localhost"], &password).expect_success();
    let told = admin(&["users", "delete", "romeo@localhost"], &[]).expect_success();
    assert!(told.contains("users restore romeo@localhost"), "{told}");
    let shown = admin(&["users", "show", "romeo@localhost"], &[]).expect_success();
    assert!(shown.contains("removed by an operator"), "{shown}");
    admin(&["users", "delete", "romeo@localhost"], &["--now"]).expect_success();
    let listed = admin(&["users", "list", "--json"], &[]).expect_success();
    let names: Vec<_> = json(&listed)
        .as_array()
        .expect("a list")
        .iter()
        .map(|u| u["jid"].clone())
        .collect();
    assert_eq!(names, ["admin@localhost", "juliet@localhost"]);
    assert!(
        admin(&["sessions", "list"], &[])
            .expect_success()
            .contains("no sessions")
    );
}

fn registration(server: &Server) {
    let shown = server.admin(&["registration", "show"]).expect_success();
    assert!(shown.contains("on: open"), "{shown}");
    server
        .admin(&["registration", "set", "--mode", "unthrottled"])
        .expect_success();
    let told = server.admin(&["registration", "set", "--mode", "off"]);
    let told = told.expect_failure(64);
    assert!(
        told.contains("unthrottled") && told.contains("closed"),
        "{told}"
    );
    server
        .admin(&["registration", "set", "--mode", "closed"])
        .expect_success();
    let shown = server.admin(&["throttle", "show"]).expect_success();
    assert!(shown.contains("nothing is counted"), "{shown}");
    let told = server.admin(&["throttle", "reset", "all"]).expect_success();
    assert!(told.contains("all: 0 registrations forgiven"), "{told}");
    let told = server
        .admin(&["throttle", "show", "juliet"])
        .expect_failure(1);
    assert!(told.contains("prefix_24:192.0.2.0"), "{told}");
}

fn log_filter(server: &Server) {
    server
        .admin(&["server", "log-level", "error"])
        .expect_success();
    let told = server
        .admin(&["server", "log-level", "a=b=c"])
        .expect_failure(1);
    assert!(told.contains("cannot be understood"), "{told}");
    assert_eq!(
        server
            .admin(&["server", "log-level"])
            .expect_success()
            .trim(),
        "error"
    );
    server.admin(&["server", "reload"]).expect_success();
    assert_eq!(
        server
            .admin(&["server", "log-level"])
            .expect_success()
            .trim(),
        "warn"
    );
}

fn monitoring(server: &Server) {
    for path in ["/healthz", "/readyz"] {
        let answer = server.http(path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let metrics = server.http("/metrics");
    for name in [
        "rookery_control_is_leader 1",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    let status = server
        .admin(&["server", "status", "--json"])
        .expect_success();
    assert_eq!(json(&status)["ready"], true);
}

#[test]
fn what_the_server_writes_is_for_its_owner_and_a_second_one_is_refused() {
    let server = Server::start(&[]);
    for secret in [
        "admin.password",
        "admin.sock",
        "decoy.secret",
        "store/store.db",
        "tls/localhost.key",
    ] {
        let mode = std::fs::metadata(server.dir().join(secret))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{secret}");
    }
    let dir = server.dir().to_str().unwrap();
    let told = program::rookery(["dev", "--dir", dir, "--port-offset", "9"]).expect_failure(70);
    assert!(told.contains("in use by another server"), "{told}");
}

#[test]
fn a_busy_port_is_told_with_the_option_that_moves_it() {
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let offset = (server.port(5222) - 5222).to_string();
    let dir = dir.path().to_str().unwrap();
    let told = program::rookery(["dev", "--dir", dir, "--port-offset", &offset]);
    let told = told.expect_failure(70);
    assert!(told.contains("`--port-offset N`"), "{told}");
}

#[test]
fn a_server_that_waits_for_its_database_stops_as_soon_as_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nodes = format!("scylla.nodes=[\"{}\"]", silent.local_addr().unwrap());
    let mut command = program::command();
    command.arg("dev").arg("--dir").arg(dir.path());
    for set in [
        "store.backend=scylla",
        &nodes,
        "scylla.connect_ms_max=600000",
        "log.filter=info",
    ] {
        command.arg("--set").arg(set);
    }
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let (heard, _) = silent.accept().unwrap();
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let begun = Instant::now();
    kill_process(id, Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(60), "it waited on");
    drop(heard);
}

#[test]
fn unlimited_lifts_what_slows_a_measurement() {
    let server = Server::start(&["--unlimited"]);
    let shown = server.admin(&["registration", "show"]).expect_success();
    assert!(shown.contains("unthrottled: open"), "{shown}");
}

/// Has a member's log fail for ever at the first entry with this word in it, as a page does that the disk has spoilt.
fn spoil(log: &Path, word: &str) {
    let database = rusqlite::Connection::open(log).expect("a log");
    let trap = format!(
        "PRAGMA journal_mode = DELETE;
         CREATE TABLE spoilt (part INTEGER);
         CREATE TRIGGER trap AFTER INSERT ON entry WHEN instr(NEW.bytes, CAST('{word}' AS BLOB)) > 0
         BEGIN INSERT INTO spoilt VALUES (1); END;"
    );
    database.execute_batch(&trap).expect("a trap");
    let number = |question: &str| -> u64 {
        let read = database.query_row(question, [], |row| row.get(0));
        read.expect("a number")
    };
    let page = number("SELECT rootpage FROM sqlite_schema WHERE name = 'spoilt'");
    let bytes = number("PRAGMA page_size");
    database.close().expect("it is written");
    let file = std::fs::File::options().write(true).open(log);
    let garbage = vec![0xff; usize::try_from(bytes).expect("a page")];
    file.and_then(|file| file.write_all_at(&garbage, (page - 1) * bytes))
        .expect("a page");
}

#[test]
fn a_server_whose_member_of_the_control_group_fails_ends_so_that_it_is_started_again() {
    let mut server = Server::start(&[]);
    server.signal(Signal::TERM);
    assert!(server.ended().success());
    spoil(&server.dir().join("control/control.sqlite"), "4711");
    server.restart(&[]);
    let set = |window: &str| {
        let window = format!("in_all={window}");
        server.admin(&["registration", "set", "--mode", "on", "--window", &window])
    };
    set("11/1h").expect_success();
    assert!(!set("4711/1h").succeeded());
    assert_eq!(server.ended().code(), Some(70));
}

#[test]
fn a_backup_that_cannot_begin_leaves_no_folder_that_was_not_there() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| home.path().join(name).display().to_string();
    let (fresh, there, socket) = (path("fresh"), path("there"), path("no.sock"));
    std::fs::create_dir(&there).expect("a folder");
    for dir in [&fresh, &there] {
        program::rookery(["backup", dir, "--socket", &socket]).expect_failure(69);
    }
    assert!(!Path::new(&fresh).exists());
    assert!(Path::new(&there).exists(), "it was its owner's");
}
