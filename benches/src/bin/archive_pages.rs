//! Question: how long does a client wait for a page of 40 out of an archive of a million messages, at whatever depth?
//!
//! ```text
//! cargo build --release -p rookery -p rookery-benches
//! target/release/archive_pages
//! ```
//!
//! The archive is filled by the store's own appends, in turn with those of other accounts, so that its messages lie as
//! far apart in the file as `--others` says. Then `rookery dev` serves it over TLS, and one client asks for one page
//! after another (XEP-0313, XEP-0059): from the first byte of the query until its answer has come, which is behind the
//! results. Each page begins somewhere else. The load of the account is not counted, for it comes once. The last row is
//! the store's search for a message that is retracted and not there.
//!
//! Answer: see the table in `deploy/SIZING.md`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use rookery_benches::child::{Server, free_port, sibling};
use rookery_store::account::NewAccount;
use rookery_store::log::{Append, DELIVERED, Key, LogSearch, Marks, Position};
use rookery_store::name::NameChecks;
use rookery_store::standing::Standing;
use rookery_store::{SqliteOptions, SqliteStore, Store};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::time::Instant;

/// Measures pages of a large archive through a server.
#[derive(Debug, Parser)]
struct Options {
    /// Messages in the archive.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(20_000..))]
    messages: u64,
    /// Messages of other accounts between two of them.
    #[arg(long, default_value_t = 2)]
    others: u64,
    /// Pages at each depth.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pages: u32,
    /// Messages in a page.
    #[arg(long, default_value_t = 40)]
    page: u32,
    /// Where the server's data goes, and stays for the next run; a temporary folder if there is none.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let temporary = std::env::temp_dir().join(format!("rookery-archive-{}", std::process::id()));
    let folder = options.dir.as_ref().unwrap_or(&temporary);
    let result = measure(&options, folder);
    if options.dir.is_none() {
        // Left-overs in the temporary folder harm nobody.
        let _ = std::fs::remove_dir_all(folder);
    }
    result
}

fn measure(options: &Options, folder: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(fill(options, &folder.join("store")))?;
    let server = start(folder)?;
    let mut client = Client::connect(&server, &folder.join("tls/ca.pem"))?;
    say("depth       p50 ms   p99 ms   max ms")?;
    let last = options.messages - 1;
    for (depth, from, to) in [
        ("first", 0, NEAR),
        ("middle", last / 2 - NEAR / 2, last / 2 + NEAR / 2),
        ("last", last - NEAR, last - u64::from(options.page)),
        ("anywhere", 0, last - u64::from(options.page)),
    ] {
        let mut dice = Dice(7);
        let mut times = Vec::new();
        for _ in 0..options.pages {
            let after = from + dice.roll(to - from);
            times.push(client.page(after, options.page)?);
        }
        tell(depth, times)?;
    }
    drop((client, server));
    tell(
        "no such",
        runtime.block_on(search(options, &folder.join("store")))?,
    )
}

/// How long the store looks for what somebody retracts that is not there: as far back as a retraction reaches.
async fn search(options: &Options, folder: &Path) -> anyhow::Result<Vec<Duration>> {
    let store = SqliteStore::open(folder, SqliteOptions::default())?;
    let juliet = Jid::parse("juliet@localhost")?;
    let mut times = Vec::new();
    for number in 0..options.pages {
        let search = LogSearch {
            key: Key::new("romeo@localhost", &format!("none{number}")),
            before: None,
            among: 10_000,
            limit: 8,
        };
        let began = Instant::now();
        let found = store.find_log(&juliet, search).await?;
        times.push(began.elapsed());
        ensure!(found.is_empty(), "it found what is not there");
    }
    Ok(times)
}

/// A row of the table.
fn tell(name: &str, mut times: Vec<Duration>) -> anyhow::Result<()> {
    times.sort_unstable();
    let ms = |share: f64| {
        let rank = (times.len() as f64 * share).ceil() as usize;
        times[rank.clamp(1, times.len()) - 1].as_secs_f64() * 1e3
    };
    let (half, most, all) = (ms(0.5), ms(0.99), ms(1.0));
    say(&format!("{name:<9} {half:>8.2} {most:>8.2} {all:>8.2}"))
}

/// Fills a new store; one that is there was filled before.
async fn fill(options: &Options, folder: &Path) -> anyhow::Result<()> {
    let mark = folder.with_extension("filled");
    if mark.exists() {
        return say("the archive is there already");
    }
    std::fs::create_dir_all(folder)?;
    let store = SqliteStore::open(folder, SqliteOptions::default())?;
    let juliet = Jid::parse("juliet@localhost")?;
    let account = NewAccount {
        jid: juliet.clone(),
        credentials: Credentials::derive("secret", b"0123456789abcdef", 4096)?,
        created: Timestamp(BEGIN_MS),
        details: Default::default(),
        address: None,
        checks: NameChecks::ALL,
        standing: Standing::Member,
        inviter: None,
    };
    store.create_account(account).await?;
    let others = (0..OTHERS).map(|number| Jid::parse(&format!("other{number}@localhost")));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    let mut batch = Vec::with_capacity(BATCH);
    for number in 0..options.messages * (1 + options.others) {
        let (at, turn) = (number / (1 + options.others), number % (1 + options.others));
        let (owner, at) = match turn {
            0 => (&juliet, at),
            _ => (&others[(number % OTHERS) as usize], number),
        };
        batch.push(message(owner, at, number)?);
        if batch.len() == BATCH {
            store.append(std::mem::take(&mut batch)).await?;
        }
    }
    store.append(batch).await?;
    let last = Position::new(1, options.messages)?;
    store.set_cursor(&juliet, DELIVERED, last).await?;
    // Writes the rest of the index.
    drop(store);
    std::fs::write(mark, "")?;
    say(&format!("filled in {:.0} s", began.elapsed().as_secs_f64()))
}

/// A message as clients write them, some 500 bytes of stanza; a minute goes by between two.
fn message(owner: &Jid, at: u64, number: u64) -> anyhow::Result<Append> {
    let text =
        "What's in a name? That which we call a rose by any other name would smell as sweet. ";
    let stanza = format!(
        "<message from=\"romeo@localhost/orchard\" to=\"{owner}\" type=\"chat\" id=\"{number:016x}\">\
         <body>{number} {}</body><request xmlns=\"urn:xmpp:receipts\"/>\
         <markable xmlns=\"urn:xmpp:chat-markers:0\"/>\
         <origin-id xmlns=\"urn:xmpp:sid:0\" id=\"{number:016x}\"/></message>",
        text.repeat(2)
    );
    let received = Timestamp(BEGIN_MS + at * 60_000);
    let place = Position::new(1, at + 1)?;
    let append = Append::new(owner.clone(), place, stanza.into(), received);
    Ok(append.marked(Marks::ARCHIVED))
}

fn start(folder: &Path) -> anyhow::Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(sibling("rookery")?);
    command.args(["dev", "--unlimited", "--dir"]).arg(folder);
    let at = format!("[\"127.0.0.1:{port}\"]");
    for setting in [
        format!("connection.direct_tls={at}"),
        "connection.starttls=[]".to_owned(),
        "http.listen=[]".to_owned(),
        "archive.entries_max=0".to_owned(),
    ] {
        command.args(["--set", &setting]);
    }
    Server::start(&mut command, port)
}

/// Juliet's client.
struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl Client {
    fn connect(server: &Server, authority: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost")?;
        let socket = TcpStream::connect(server.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        let connection = ClientConnection::new(Arc::new(config), name)?;
        let mut client = Self {
            stream: StreamOwned::new(connection, socket),
            received: Vec::new(),
        };
        for (say, answer) in LOGIN {
            client.ask(say, answer)?;
        }
        // Has the account loaded.
        client.page(0, 1)?;
        Ok(client)
    }

    /// Asks for the page behind the message `after`, and says how long it took.
    fn page(&mut self, after: u64, max: u32) -> anyhow::Result<Duration> {
        let id = format!("{:016x}", Position::new(1, after + 1)?.pack());
        let query = format!(
            "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>\
             <max>{max}</max><after>{id}</after></set></query></iq>"
        );
        let began = Instant::now();
        self.ask(&query, "</iq>")?;
        let took = began.elapsed();
        let page = String::from_utf8_lossy(&self.received);
        let results = page.matches("<result ").count();
        let first = format!("{:016x}", Position::new(1, after + 2)?.pack());
        ensure!(
            results == max as usize && page.contains(&format!("id=\"{first}\"")),
            "{results} results: {page}"
        );
        Ok(took)
    }

    fn ask(&mut self, say: &str, answer: &str) -> anyhow::Result<()> {
        self.received.clear();
        self.stream.write_all(say.as_bytes())?;
        self.stream.flush()?;
        let mut chunk = [0; 65_536];
        while !self.ends_with(answer) {
            match self.stream.read(&mut chunk) {
                Ok(0) => bail!("the server closed the stream"),
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("no answer"),
            }
        }
        Ok(())
    }

    /// Looks at the end only: what is asked for comes last.
    fn ends_with(&self, answer: &str) -> bool {
        let end = &self.received[self.received.len().saturating_sub(300)..];
        end.windows(answer.len())
            .any(|window| window == answer.as_bytes())
    }
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % below
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// What the client says, and what the answer ends with. PLAIN is of `juliet` with the password `secret`.
const LOGIN: [(&str, &str); 4] = [
    (HEADER, "</stream:features>"),
    (
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldABzZWNyZXQ=</auth>",
        "<success",
    ),
    (HEADER, "</stream:features>"),
    (
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "</iq>",
    ),
];

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// When the archive begins: 2001.
const BEGIN_MS: u64 = 1_000_000_000_000;

/// Other accounts.
const OTHERS: u64 = 500;

/// Messages in one append.
const BATCH: usize = 2_000;

/// How many messages from an end, or around the middle, still are there.
const NEAR: u64 = 10_000;

const ANSWER_MAX: Duration = Duration::from_secs(30);
