//! Real clients against the real binary.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::server::Server;
use crate::suite::{Suite, Test, wait_for};

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "slixmpp lives a whole life over starttls",
    "slixmpp lives a whole life over direct tls",
    "slixmpp has two devices, and one of them sleeps",
    "xmpp.js lives a whole life over starttls and direct tls",
    "profanity registers, adds a contact and talks",
    "slixmpp fills in a form, solves a captcha, or is sent to a web page",
    "slixmpp is invited, invites, and finds its inviter among its contacts",
];

/// The tests, with the clients they need.
pub(crate) fn tests<'a>(python: &'a Path, npm: &'a Path) -> Vec<Test<'a>> {
    vec![
        (
            NAMES[0],
            Box::new(move |suite| slixmpp(suite, python, false)),
        ),
        (
            NAMES[1],
            Box::new(move |suite| slixmpp(suite, python, true)),
        ),
        (NAMES[2], Box::new(move |suite| devices(suite, python))),
        (NAMES[3], Box::new(move |suite| xmpp_js(suite, npm))),
        (NAMES[4], Box::new(profanity)),
        (NAMES[5], Box::new(move |suite| join(suite, python))),
        (NAMES[6], Box::new(move |suite| invited(suite, python))),
    ]
}

/// A client's program.
pub(crate) fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

fn slixmpp(suite: &Suite, python: &Path, direct_tls: bool) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let port = if direct_tls {
        server.direct_tls_port()
    } else {
        server.starttls_port()
    };
    let mut command = Command::new(python);
    command
        .arg(script("life.py"))
        .arg(port.to_string())
        .arg(server.certificate());
    if direct_tls {
        command.arg("--direct-tls");
    }
    succeed(&mut command)
}

fn devices(suite: &Suite, python: &Path) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let mut command = Command::new(python);
    command
        .arg(script("devices.py"))
        .arg(server.starttls_port().to_string())
        .arg(server.certificate());
    succeed(&mut command)
}

fn join(suite: &Suite, python: &Path) -> Result<()> {
    let rules = [
        "registration_form.fields=[{name = \"email\", kind = \"email\", required = true}]",
        "captcha.kinds=[\"image\", \"question\"]",
        "captcha.questions=[{question = \"Who wrote Hamlet?\", answers = [\"Shakespeare\"]}]",
        "passwords.common_refused=true",
    ];
    let page = "https://example.org/join";
    let redirect = format!("registration_form.redirect_url={page}");
    for (set, more) in [(&rules[..], None), (&[redirect.as_str()][..], Some(page))] {
        let set = set.iter().flat_map(|option| ["--set", *option]);
        let arguments: Vec<&str> = ["--unlimited"].into_iter().chain(set).collect();
        let server = Server::start(suite, &arguments)?;
        let mut command = Command::new(python);
        command
            .arg(script("join.py"))
            .arg(server.starttls_port().to_string())
            .arg(server.certificate());
        if let Some(page) = more {
            command.arg("--redirect").arg(page);
        }
        succeed(&mut command)?;
    }
    Ok(())
}

fn invited(suite: &Suite, python: &Path) -> Result<()> {
    let set = [
        "--set",
        "registration.mode=invite",
        "--set",
        "invites.by_users=contacts",
    ];
    let server = Server::start(suite, &set)?;
    let made = server.admin(&["--json", "invites", "create"])?;
    let made: serde_json::Value = serde_json::from_str(&made)?;
    let token = made["invites"][0]["token"].as_str().unwrap_or_default();
    let mut command = Command::new(python);
    command
        .arg(script("invite.py"))
        .arg(server.starttls_port().to_string())
        .arg(server.certificate())
        .arg(token);
    succeed(&mut command)
}

fn xmpp_js(suite: &Suite, npm: &Path) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    // Node looks for modules beside the script, so the script stands beside them.
    let here = npm.join("life.mjs");
    std::fs::copy(script("life.mjs"), &here)?;
    let mut command = Command::new("node");
    command
        .arg(std::fs::canonicalize(here)?)
        .arg(server.starttls_port().to_string())
        .arg(server.direct_tls_port().to_string())
        .env("NODE_EXTRA_CA_CERTS", server.certificate());
    succeed(&mut command)
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{}\n{}", tail(&text), tail(&errors));
    }
    Ok(())
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// A terminal with profanity in it, in a tmux server of its own.
struct Terminal {
    socket: std::path::PathBuf,
    _home: tempfile::TempDir,
}

impl Terminal {
    fn open() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let socket = home.path().join("tmux");
        let terminal = Self {
            socket,
            _home: home,
        };
        let folder = terminal._home.path().display().to_string();
        let command =
            format!("HOME={folder} XDG_CONFIG_HOME={folder}/c XDG_DATA_HOME={folder}/d profanity");
        terminal.tmux(&["new-session", "-d", "-x", "160", "-y", "50", &command])?;
        Ok(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .args(arguments)
            .output()?;
        ensure!(
            output.status.success(),
            "tmux {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn type_line(&self, line: &str) -> Result<()> {
        self.tmux(&["send-keys", "-l", line])?;
        self.tmux(&["send-keys", "Enter"])?;
        Ok(())
    }

    fn shows(&self, text: &str) -> Result<()> {
        let seen = wait_for(text, Duration::from_secs(20), || {
            self.tmux(&["capture-pane", "-p", "-S", "-200"])
                .ok()
                .filter(|pane| pane.contains(text))
        });
        match seen {
            Ok(_) => Ok(()),
            Err(error) => {
                bail!(
                    "{error}; the screen:\n{}",
                    self.tmux(&["capture-pane", "-p"])?
                )
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It is gone already if profanity ended.
        let _ = self.tmux(&["kill-server"]);
    }
}

fn profanity(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    server.admin(&[
        "users",
        "create",
        "nurse@localhost",
        "--password",
        "peter-and-potpan",
    ])?;
    let (port, direct) = (server.starttls_port(), server.direct_tls_port());
    register("juliet", port, "balcony-4-ever")?;
    let juliet = Terminal::open()?;
    juliet.shows("Profanity")?;
    connect(&juliet, "juliet@localhost", port, "trust", "balcony-4-ever")?;
    let nurse = Terminal::open()?;
    nurse.shows("Profanity")?;
    connect(
        &nurse,
        "nurse@localhost",
        direct,
        "legacy",
        "peter-and-potpan",
    )?;
    juliet.type_line("/sub request nurse@localhost")?;
    nurse.shows("juliet@localhost")?;
    nurse.type_line("/sub allow juliet@localhost")?;
    juliet.shows("Subscription received from nurse@localhost")?;
    juliet.type_line("/msg nurse@localhost \"What says he of our marriage?\"")?;
    nurse.shows("juliet")?;
    nurse.type_line("/msg juliet@localhost \"Lord, how my head aches!\"")?;
    juliet.shows("how my head aches")?;
    juliet.type_line("/changepassword")?;
    juliet.shows("Enter password:")?;
    juliet.type_line("a-rose-by-any-name")?;
    juliet.shows("Confirm password:")?;
    juliet.type_line("a-rose-by-any-name")?;
    juliet.type_line("/win 1")?;
    juliet.shows("Password successfully changed")?;
    drop(juliet);
    let juliet = Terminal::open()?;
    juliet.shows("Profanity")?;
    connect(
        &juliet,
        "juliet@localhost",
        port,
        "trust",
        "a-rose-by-any-name",
    )
}

/// In a terminal of its own: a profanity that has registered sends stanzas before it logs in.
fn register(name: &str, port: u16, password: &str) -> Result<()> {
    let terminal = Terminal::open()?;
    terminal.shows("Profanity")?;
    terminal.type_line(&format!("/register {name} localhost port {port} tls trust"))?;
    terminal.shows("password")?;
    terminal.type_line(password)?;
    terminal.type_line(password)?;
    terminal.shows("Registration successful")
}

fn connect(terminal: &Terminal, jid: &str, port: u16, tls: &str, password: &str) -> Result<()> {
    terminal.type_line(&format!(
        "/connect {jid} server 127.0.0.1 port {port} tls {tls}"
    ))?;
    terminal.shows("password")?;
    terminal.type_line(password)?;
    if tls == "legacy" {
        // It knows no other way to trust a certificate where TLS comes first.
        terminal.shows("/tls allow")?;
        terminal.type_line("/tls allow")?;
    }
    terminal.shows("logged in")
}
