//! The engine against records that are cut anywhere, spoiled, doubled and reordered, for some seconds or as long as
//! `ROOKERY_FUZZ_SECONDS` says.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rookery_xmpp::entropy::{Entropy, Seeded};

use super::*;
use crate::scratch::READ_BYTES_MAX;

/// A client and the engine, with a wire between them that somebody may reach into.
struct Line {
    seed: u64,
    entropy: Seeded,
    client: ClientConnection,
    /// The client writes no more.
    client_done: bool,
    /// The client met something that it does not take.
    client_gone: bool,
    engine: TlsEngine,
    /// Whether the wire is left alone.
    orderly: bool,
    /// What is on its way to the engine.
    wire: Vec<u8>,
    /// What the client wrote, and what of it came out.
    written: Vec<u8>,
    plain: Vec<u8>,
    /// What the server wrote, and what of it the client read.
    answered: Vec<u8>,
    got: Vec<u8>,
    sealed: Vec<u8>,
    secured: bool,
    broken: bool,
}

impl Line {
    fn new(seed: u64) -> Self {
        let mut entropy = Seeded::new(seed);
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let version = versions[entropy.below(2) as usize];
        let fragment = [None, None, Some(32), Some(100), Some(1_000)][entropy.below(5) as usize];
        let (generation, roots) = certificates();
        Self {
            seed,
            client: client(version, roots, fragment),
            client_done: false,
            client_gone: false,
            engine: TlsEngine::new(generation, entropy.below(2) == 0)
                .expect("a good configuration"),
            orderly: entropy.below(4) == 0,
            wire: vec![],
            written: vec![],
            plain: vec![],
            answered: vec![],
            got: vec![],
            sealed: vec![],
            secured: false,
            broken: false,
            entropy,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.entropy.below(bound as u64) as usize
    }

    /// One thing happens.
    fn step(&mut self) {
        match self.below(16) {
            0..=3 => self.client_sends(),
            4 | 5 => self.client_writes(),
            6 => self.server_writes(),
            7 => self.client_reads(),
            8 if !self.orderly => self.spoil(),
            9 if self.secured && self.below(8) == 0 => {
                self.client.send_close_notify();
                self.client_done = true;
            }
            10 if self.below(4) == 0 => drop(self.client.refresh_traffic_keys()),
            _ => self.deliver(),
        }
    }

    fn client_sends(&mut self) {
        while self.client.wants_write() {
            self.client
                .write_tls(&mut self.wire)
                .expect("memory takes all");
        }
    }

    fn client_writes(&mut self) {
        if self.client.is_handshaking() || self.client_done || self.client_gone {
            return;
        }
        let len = [0, 1, 30, 500, 20_000][self.below(5)];
        let start = self.written.len();
        let bytes: Vec<u8> = (start..start + len).map(|at| at as u8).collect();
        let taken = self
            .client
            .writer()
            .write(&bytes)
            .expect("memory takes all");
        self.written.extend_from_slice(&bytes[..taken]);
    }

    fn server_writes(&mut self) {
        let len = [0, 1, 100, 16_384, 40_000][self.below(5)];
        let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let before = self.sealed.len();
        match self.engine.seal(&bytes, &mut self.sealed) {
            Ok(()) => self.answered.extend_from_slice(&bytes),
            Err(_) => assert!(self.sealed.len() == before && (self.broken || !self.secured)),
        }
    }

    fn client_reads(&mut self) {
        let sealed = std::mem::take(&mut self.sealed);
        let mut rest = &sealed[..];
        while !self.client_gone && !rest.is_empty() {
            let read = self.client.read_tls(&mut rest);
            self.client_gone = read.is_err() || self.client.process_new_packets().is_err();
            let mut got = [0; 20_000];
            while let Ok(n @ 1..) = self.client.reader().read(&mut got) {
                self.got.extend_from_slice(&got[..n]);
            }
        }
    }

    /// Gives the engine a piece of what is on its way.
    fn deliver(&mut self) {
        let most = [1, 5, 6, 300, READ_BYTES_MAX][self.below(5)];
        let len = self.wire.len().min(1 + self.below(most));
        if len == 0 {
            return self.read_nothing();
        }
        let piece: Vec<u8> = self.wire.drain(..len).collect();
        let mut raw = vec![0; TLS_PENDING_BYTES_MAX + READ_BYTES_MAX];
        let kept = self.engine.restore(&mut raw);
        raw[kept..kept + len].copy_from_slice(&piece);
        let sealed = self.sealed.len();
        let received =
            self.engine
                .receive(&mut raw[..kept + len], &mut self.plain, &mut self.sealed);
        assert!(
            !self.broken || received.is_err(),
            "what is broken is whole again"
        );
        assert!(
            self.sealed.len() - sealed <= ANSWER_BYTES_MAX,
            "a long answer"
        );
        match received {
            Ok(received) => {
                assert!(!(received.secured && self.secured), "secured twice");
                self.secured |= received.secured;
            }
            Err(_) => self.break_off(),
        }
        self.check();
    }

    /// A read that finds nothing leaves all as it is.
    fn read_nothing(&mut self) {
        let mut raw = vec![0; TLS_PENDING_BYTES_MAX];
        let before = self.engine.pending.clone();
        let kept = self.engine.restore(&mut raw);
        self.engine.keep(&raw[..kept]);
        assert!(self.engine.pending == before);
    }

    /// What the mover does with a connection that the client broke.
    fn break_off(&mut self) {
        assert!(!self.orderly, "what nobody touched is broken");
        self.broken = true;
        let sealed = self.sealed.len();
        self.engine.seal_end(&mut self.sealed);
        assert!(self.engine.seal(b"x", &mut self.sealed).is_err());
        assert_eq!(self.sealed.len(), sealed, "something follows the alert");
    }

    fn check(&self) {
        assert!(
            self.engine.pending.len() <= TLS_PENDING_BYTES_MAX,
            "too much is kept"
        );
        assert!(
            !self.broken || self.engine.pending.is_empty(),
            "something is kept for nothing"
        );
        assert!(
            self.written.starts_with(&self.plain),
            "read what was not written"
        );
        assert!(
            self.plain.is_empty() || self.secured || self.broken,
            "read before TLS was made"
        );
    }

    /// Somebody reaches into the wire.
    fn spoil(&mut self) {
        let records = records(&self.wire);
        if records.is_empty() {
            let junk = JUNK[self.below(JUNK.len())];
            return self.wire.extend_from_slice(junk);
        }
        let (start, end) = records[self.below(records.len())];
        let place = start + self.below(end - start);
        match self.below(8) {
            0 => self.wire[place] ^= 1 << self.below(8),
            1 => self.wire[start] = 18 + self.below(8) as u8,
            2 => self.wire[(start + 3).min(end - 1)] ^= 1 << self.below(8),
            3 => drop(self.wire.drain(start..end)),
            4 => {
                let copy = self.wire[start..end].to_vec();
                let (target, _) = records[self.below(records.len())];
                drop(self.wire.splice(target..target, copy));
            }
            5 => drop(self.wire.drain(place..end)),
            6 => {
                let junk = JUNK[self.below(JUNK.len())].iter().copied();
                drop(self.wire.splice(start..start, junk));
            }
            _ => {
                let junk: Vec<u8> = (0..self.below(40_000))
                    .map(|_| self.entropy.below(256) as u8)
                    .collect();
                drop(self.wire.splice(place..place, junk));
            }
        }
    }

    /// Until nothing is on its way any more.
    fn finish(&mut self) {
        for _ in 0..1_000 {
            self.client_sends();
            self.deliver();
            self.client_reads();
            let idle = self.wire.is_empty() && !self.client.wants_write() && self.sealed.is_empty();
            if idle || self.broken {
                break;
            }
        }
        assert!(
            !self.orderly || self.plain == self.written,
            "something was lost"
        );
        assert!(
            !self.orderly || self.got == self.answered,
            "an answer was lost"
        );
        self.engine.seal_end(&mut self.sealed);
        self.engine.facts();
    }
}

/// Which case it was that a check failed in.
impl Drop for Line {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("case {}", self.seed);
        }
    }
}

/// Where the records are, as far as they are whole.
fn records(wire: &[u8]) -> Vec<(usize, usize)> {
    let mut records = vec![];
    let mut at = 0;
    while let Some(&[high, low]) = wire.get(at + 3..at + 5) {
        let end = at + 5 + usize::from(u16::from_be_bytes([high, low]));
        records.push((at, end.min(wire.len())));
        at = end;
    }
    records
}

/// Records that may come from anybody: alerts, changes of cipher, nothing at all, and other protocols.
const JUNK: &[&[u8]] = &[
    b"\x15\x03\x03\x00\x02\x01\x00",
    b"\x15\x03\x03\x00\x02\x02\x28",
    b"\x15\x03\x03\x00\x00",
    b"\x14\x03\x03\x00\x01\x01",
    b"\x14\x03\x03\x00\x01\x02",
    b"\x16\x03\x03\x00\x00",
    b"\x16\x03\x01\x00\x04\x01\x00\xff\xff",
    b"\x16\x03\x03\x00\x04\x00\x00\x00\x00",
    b"\x17\x03\x03\x00\x00",
    b"\x17\x03\x03\x00\x01\x00",
    b"\x18\x03\x03\x00\x03\x01\x40\x00",
    b"\x17\x03\x03\xff\xff",
    b"<stream:stream>",
    b"\0",
];

/// The server's longest flight with these certificates, with room for what a client may ask to be answered.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Certificates are made once: what is tried here does not depend on them.
fn certificates() -> (Arc<TlsGeneration>, RootCertStore) {
    static MADE: OnceLock<(Arc<TlsGeneration>, RootCertStore)> = OnceLock::new();
    MADE.get_or_init(|| generation("localhost")).clone()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a bound on the test's own run time"
)]
fn no_records_do_harm() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let duration = Duration::from_secs(number("ROOKERY_FUZZ_SECONDS").unwrap_or(3));
    let first = number("ROOKERY_FUZZ_SEED").unwrap_or(1) * 1_000_003;
    let start = Instant::now();
    let (mut cases, mut secured, mut broken) = (0, 0, 0);
    while start.elapsed() < duration {
        let mut line = Line::new(first + cases);
        for _ in 0..line.below(150) {
            line.step();
        }
        line.finish();
        cases += 1;
        secured += u64::from(line.secured);
        broken += u64::from(line.broken);
    }
    println!("{cases} connections, {secured} secured, {broken} broken");
    assert!(secured * 4 > cases && broken * 8 > cases);
}
