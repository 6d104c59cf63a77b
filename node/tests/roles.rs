//! What a node needs for its roles, and what it starts without.

mod program;

use std::net::TcpListener;
use std::path::Path;

use program::server::until_ready;
use program::{command, rookery};

/// The options of a cluster's first node with these roles, without any certificate of a host.
fn options(dir: &Path, roles: &str, address: &str) -> Vec<String> {
    let set = [
        ("server.hosts", "[\"localhost\"]".to_owned()),
        ("server.data_dir", dir.display().to_string()),
        ("server.roles", roles.to_owned()),
        ("cluster.listen", format!("[{address:?}]")),
        ("cluster.address", address.to_owned()),
        ("connection.starttls", "[\"127.0.0.1:0\"]".to_owned()),
        ("connection.direct_tls", "[]".to_owned()),
        ("http.listen", "[]".to_owned()),
    ];
    let file = dir.with_extension("toml");
    std::fs::write(&file, "").expect("a configuration");
    let mut options = vec!["--config".to_owned(), file.display().to_string()];
    for (key, value) in set {
        options.extend(["--set".to_owned(), format!("{key}={value}")]);
    }
    options
}

fn with<'a>(first: &'a [&'a str], options: &'a [String]) -> impl Iterator<Item = &'a str> {
    first
        .iter()
        .copied()
        .chain(options.iter().map(String::as_str))
}

#[test]
fn only_a_node_that_clients_connect_to_needs_a_certificate() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let dir = root.path().join("node");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = port.expect("a free port").to_string();
    let path = dir.to_str().expect("UTF-8");
    let init = ["cluster", "init", "--dir", path, "--name", "nest"];
    rookery(init.into_iter().chain(["--address", &address])).expect_success();
    for roles in [r#"["control"]"#, r#"["control", "router"]"#] {
        let options = options(&dir, roles, &address);
        let checked = rookery(with(&["check", "--no-dns"], &options)).output();
        assert!(!checked.contains("certificate"), "{checked}");
        assert!(checked.contains("0 errors"), "{checked}");
        let mut serve = command();
        serve.args(with(&["serve"], &options));
        let mut child = until_ready(serve);
        let socket = format!("{path}/admin.sock");
        rookery(["admin", "--socket", &socket, "server", "reload"]).expect_success();
        child.kill().expect("it runs");
        child.wait().expect("a child");
    }
    shards(&dir, &address);
    identity(&dir, &address);
    let options = options(&dir, r#"["control", "router", "connection"]"#, &address);
    let checked = rookery(with(&["check", "--no-dns"], &options));
    checked.expect_failure(1);
    let checked = checked.output();
    assert!(
        checked.contains("localhost has no certificate"),
        "{checked}"
    );
    let told = rookery(with(&["serve"], &options)).expect_failure(78);
    assert!(told.contains("there is no certificate"), "{told}");
}

/// The group has 1024 shards by now: another number is refused by the running node, and by its next start.
fn shards(dir: &Path, address: &str) {
    let options = options(dir, r#"["control", "router"]"#, address);
    let mut serve = command();
    serve.args(with(&["serve"], &options));
    let mut child = until_ready(serve);
    let other = "[router]\nshards = 7\n";
    std::fs::write(dir.with_extension("toml"), other).expect("a configuration");
    let both = |told: &str| {
        let has_both = told.contains("router.shards is 7") && told.contains("has 1024 shards");
        assert!(has_both, "{told}");
    };
    let socket = dir.join("admin.sock");
    let socket = socket.to_str().expect("UTF-8");
    let reload = ["admin", "--socket", socket, "server", "reload"];
    both(&rookery(reload).expect_failure(1));
    let checked = rookery(with(&["check", "--no-dns"], &options));
    checked.expect_failure(1);
    both(&checked.output());
    child.kill().expect("it runs");
    child.wait().expect("a child");
    both(&rookery(with(&["serve"], &options)).expect_failure(78));
}

/// What `rookery check` says of an identity that is not whole.
fn identity(dir: &Path, address: &str) {
    let options = options(dir, r#"["control"]"#, address);
    let checked = |what: &str| {
        let checked = rookery(with(&["check", "--no-dns"], &options));
        checked.expect_failure(1);
        let told = checked.output();
        assert!(told.contains("identity: ") && told.contains(what), "{told}");
    };
    let (files, aside) = (dir.join("cluster"), dir.join("aside"));
    for (file, what) in [
        ("node.key", "cannot read"),
        ("node.pem", "cannot read"),
        ("ca.pem", "cannot read"),
    ] {
        std::fs::rename(files.join(file), &aside).expect("it is there");
        checked(what);
        std::fs::rename(&aside, files.join(file)).expect("it is there");
    }
    let other = dir.with_extension("other");
    let path = other.to_str().expect("UTF-8");
    let init = ["cluster", "init", "--dir", path, "--name", "other"];
    rookery(init.into_iter().chain(["--address", address])).expect_success();
    for file in ["node.key", "ca.pem"] {
        std::fs::rename(files.join(file), &aside).expect("it is there");
        std::fs::copy(other.join("cluster").join(file), files.join(file)).expect("a copy");
        checked("do not work together");
        std::fs::rename(&aside, files.join(file)).expect("it is there");
    }
}
