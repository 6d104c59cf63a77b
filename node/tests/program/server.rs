//! A real server of a test's own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::{Run, command, rookery};

/// `rookery dev` in a folder of its own. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    dir: tempfile::TempDir,
    offset: u16,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(dir, arguments)
    }

    /// The same in a folder that may hold something.
    pub(crate) fn start_in(dir: tempfile::TempDir, arguments: &[&str]) -> Self {
        let offset = free_offset();
        let child = launch(dir.path(), offset, arguments);
        Self { child, dir, offset }
    }

    /// Starts `rookery serve` with this file, for `localhost` on the test's own ports.
    pub(crate) fn serve(file: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let offset = free_offset();
        let certificate = certificate(dir.path());
        let listen = |port: u16| format!("[\"127.0.0.1:{}\"]", port + offset);
        let set = [
            ("server.hosts", "[\"localhost\"]".to_owned()),
            ("server.data_dir", dir.path().display().to_string()),
            ("connection.starttls", listen(5222)),
            ("connection.direct_tls", listen(5223)),
            ("http.listen", listen(5280)),
            ("tls.certificates", certificate),
        ];
        let mut command = command();
        command.arg("serve").arg("--config").arg(file);
        for (key, value) in set {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let child = until_ready(command);
        Self { child, dir, offset }
    }

    /// Starts it again after it was stopped, on the same folder.
    pub(crate) fn restart(&mut self, arguments: &[&str]) {
        self.child = launch(self.dir.path(), self.offset, arguments);
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `rookery admin` for it.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Run {
        let socket = self.dir().join("admin.sock");
        let first: [&OsStr; 3] = ["admin".as_ref(), "--socket".as_ref(), socket.as_ref()];
        rookery(
            first
                .into_iter()
                .chain(arguments.iter().map(|text| OsStr::new(*text))),
        )
    }

    /// One of its ports, by the number it has without an offset.
    pub(crate) fn port(&self, port: u16) -> u16 {
        port + self.offset
    }

    /// What its HTTP port answers for a path, the head included.
    pub(crate) fn http(&self, path: &str) -> String {
        http(5280 + self.offset, path)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("it runs");
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().expect("a child")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an HTTP port answers for a path, the head included.
pub(crate) fn http(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("http port");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn launch(dir: &Path, offset: u16, arguments: &[&str]) -> Child {
    let mut command = command();
    command.arg("dev").arg("--dir").arg(dir);
    command.arg("--port-offset").arg(offset.to_string());
    command.args(arguments);
    until_ready(command)
}

pub(crate) fn until_ready(mut command: Command) -> Child {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let ready = lines.any(|line| line.is_ok_and(|line| line == "ready"));
    assert!(ready, "the server ended before it was ready");
    child
}

/// A certificate for `localhost`, as the option wants it.
fn certificate(dir: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (chain, key) = (dir.join("chain.pem"), dir.join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let (chain, key) = (chain.display(), key.display());
    format!("[{{ host = \"localhost\", chain = \"{chain}\", key = \"{key}\" }}]")
}

/// Below the ports that the system gives to clients; every process of tests has its own hundred.
pub(super) fn free_offset() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let hundred = u16::try_from(std::process::id() % 200).expect("below 200");
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let offset = 6_000 + hundred * 100 + NEXT.fetch_add(4, Ordering::Relaxed);
        if [5222, 5223, 5280].iter().all(|port| is_free(port + offset)) {
            return offset;
        }
    }
}
