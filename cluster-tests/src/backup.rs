//! Backups of a server that is busy: restored elsewhere, and people log in there.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Result, bail, ensure};

use crate::crash::{change_things, create, look, until_waiting};
use crate::server::Server;
use crate::suite::{Suite, Test};
use crate::wire::Wire;

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "a backup made under load is restored elsewhere, where people log in and find their things",
    "what is sent behind a restore comes behind what was restored, whatever the epochs",
    "what a command line has wrong about a backup is told",
];

/// The tests.
pub(crate) fn tests() -> Vec<Test<'static>> {
    vec![
        (NAMES[0], Box::new(under_load)),
        (NAMES[1], Box::new(behind_a_restore)),
        (NAMES[2], Box::new(refusals)),
    ]
}

const PASSWORD: &str = "correct horse";

fn under_load(suite: &Suite) -> Result<()> {
    let home = tempfile::tempdir()?;
    let server = Server::start(suite, &["--unlimited"])?;
    furnish(&server)?;
    let load = start_load(suite, &server)?;
    let busy = home.path().join("busy");
    back_up(suite, &server, &busy)?;
    let ended = load.wait_with_output()?;
    let errors = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "under load: {errors}");
    restore_and_log_in(suite, &busy, &home.path().join("second"))?;

    let quiet = home.path().join("quiet");
    back_up(suite, &server, &quiet)?;
    let socket = server.folder().join("admin.sock");
    let socket = socket.to_string_lossy();
    let quiet = quiet.to_string_lossy();
    let told = rookery(suite, &["verify", &quiet, "--server", "--socket", &socket])?;
    ensure!(told.starts_with("equal: "), "{told}");
    let told = refused(suite, &["verify", &busy.to_string_lossy(), &quiet], 1)?;
    ensure!(
        told.contains("differ"),
        "loadgen's messages came between: {told}"
    );
    ensure!(!server.folder().join("copy").exists(), "the copy stays");
    Ok(())
}

/// A cluster's shards have had owners before, and so high epochs; a server of its own begins with the first.
fn behind_a_restore(suite: &Suite) -> Result<()> {
    let home = tempfile::tempdir()?;
    let (folder, backup) = (home.path().join("cluster"), home.path().join("backup"));
    let (dir, address) = (
        folder.to_string_lossy(),
        format!("127.0.0.1:{}", free_port()?),
    );
    let init = [
        "cluster",
        "init",
        "--dir",
        &dir,
        "--name",
        "old",
        "--address",
        &address,
    ];
    rookery(suite, &init)?;
    let set = [
        format!("cluster.listen=[{address:?}]"),
        format!("cluster.address={address}"),
        "cluster.lease_ms=1000".to_owned(),
    ];
    let set: Vec<&str> = set.iter().flat_map(|it| ["--set", it]).collect();
    let mut server = Server::start_in(suite, &folder, &[&["--unlimited"], &*set].concat())?;
    for _ in 0..3 {
        server.kill()?;
        server.restart()?;
    }
    furnish(&server)?;
    back_up(suite, &server, &backup)?;
    drop(server);

    let (backup, alone) = (backup.to_string_lossy(), home.path().join("alone"));
    let at = format!("server.data_dir={}", alone.display());
    rookery(suite, &["restore", &backup, "--set", &at])?;
    let server = Server::start_in(suite, &alone, &["--unlimited"])?;
    let (mut wire, _) = Wire::bound(&server, "owner0", PASSWORD)?;
    wire.send("<message to='absent@localhost' type='chat'><body>afterwards</body></message>")?;
    until_waiting(&server, 6)?;
    let (mut wire, _) = Wire::bound(&server, "absent", PASSWORD)?;
    wire.send("<presence/>")?;
    let text = wire.read_until("afterwards")?;
    ensure!(
        text.contains("round 0 number 4"),
        "the new one overtook the old: {text}"
    );
    Ok(())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// An account with a contact, a document and messages that wait for another.
pub(crate) fn furnish(server: &Server) -> Result<()> {
    create(server, "absent")?;
    create(server, "owner0")?;
    let (mut wire, _) = Wire::bound(server, "owner0", PASSWORD)?;
    change_things(&mut wire, 0)?;
    until_waiting(server, 5)
}

/// Restores a backup into a new folder, compares, and starts a server on it.
pub(crate) fn restore_and_log_in(suite: &Suite, backup: &Path, folder: &Path) -> Result<()> {
    let (backup, at) = (
        backup.to_string_lossy(),
        format!("server.data_dir={}", folder.display()),
    );
    rookery(suite, &["restore", &backup, "--set", &at])?;
    let told = rookery(suite, &["verify", &backup, "--set", &at])?;
    ensure!(told.starts_with("equal: "), "{told}");
    let server = Server::start_in(suite, folder, &["--unlimited"])?;
    look(&server, 0)?;
    let (mut wire, _) = Wire::bound(&server, "absent", PASSWORD)?;
    wire.send("<presence/>")?;
    let text = wire.read_until("round 0 number 4")?;
    ensure!(
        text.matches("<body>").count() == 5,
        "not each message once: {text}"
    );
    Ok(())
}

/// `rookery backup` of a running server.
pub(crate) fn back_up(suite: &Suite, server: &Server, dir: &Path) -> Result<()> {
    let socket = server.folder().join("admin.sock");
    let (dir, socket) = (dir.to_string_lossy(), socket.to_string_lossy());
    rookery(suite, &["backup", &dir, "--socket", &socket])?;
    let told = rookery(suite, &["verify", &dir])?;
    ensure!(told.starts_with("whole: "), "{told}");
    Ok(())
}

fn start_load(suite: &Suite, server: &Server) -> Result<Child> {
    let port = server.starttls_port().to_string();
    let child = Command::new(&suite.loadgen)
        .args(["messages", "--register", "--rate", "200", "--pairs", "10"])
        .args([
            "--duration",
            "4",
            "--warmup",
            "1",
            "--limit",
            "120",
            "--port",
            &port,
        ])
        .arg("--ca")
        .arg(server.certificate())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(child)
}

fn refusals(suite: &Suite) -> Result<()> {
    let home = tempfile::tempdir()?;
    let server = Server::start(suite, &["--unlimited"])?;
    furnish(&server)?;
    let backup = home.path().join("backup");
    back_up(suite, &server, &backup)?;
    let socket = server.folder().join("admin.sock");
    let (dir, socket) = (backup.to_string_lossy(), socket.to_string_lossy());
    let at = |folder: &Path| format!("server.data_dir={}", folder.display());
    let (used, nowhere) = (at(server.folder()), at(&home.path().join("nowhere")));

    let told = refused(suite, &["backup", &dir, "--socket", &socket], 1)?;
    ensure!(told.contains("finished backup"), "{told}");
    let told = refused(suite, &["restore", &dir], 64)?;
    ensure!(told.contains("into which store"), "{told}");
    let told = refused(suite, &["restore", &dir, "--set", &used], 70)?;
    ensure!(told.contains("in use by another server"), "{told}");
    let told = refused(suite, &["verify", &dir, "--set", &nowhere], 78)?;
    ensure!(told.contains("there is no store"), "{told}");
    let gone = home.path().join("gone.sock");
    let other = home.path().join("other");
    let (gone, other) = (gone.to_string_lossy(), other.to_string_lossy());
    refused(suite, &["backup", &other, "--socket", &gone], 69)?;

    let chunk = backup.join("chunk-000001");
    let mut bytes = std::fs::read(&chunk)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&chunk, bytes)?;
    let told = refused(suite, &["restore", &dir, "--set", &nowhere], 1)?;
    ensure!(told.contains("chunk-000001 is damaged"), "{told}");
    ensure!(
        !home.path().join("nowhere").exists(),
        "something was written"
    );
    Ok(())
}

/// Runs a command that must succeed, and gives its output.
pub(crate) fn rookery(suite: &Suite, arguments: &[&str]) -> Result<String> {
    let output = Command::new(&suite.rookery).args(arguments).output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{arguments:?}: {}", errors.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a command that must fail with this code, and gives what it says.
fn refused(suite: &Suite, arguments: &[&str], code: i32) -> Result<String> {
    let output = Command::new(&suite.rookery).args(arguments).output()?;
    let errors = String::from_utf8(output.stderr)?;
    let found = output.status.code();
    ensure!(
        found == Some(code),
        "{arguments:?} ended with {found:?}: {errors}"
    );
    Ok(errors)
}
