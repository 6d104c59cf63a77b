//! Question: what do TLS and the kernel alone cost for a message, with no XML and no rules?
//!
//! A relay on one thread: tokio, buffered rustls, one task a connection. A connection's first line
//! names a pair; what one of a pair sends, the other receives, byte for byte. `loadgen relay`
//! drives it with the pairs, windows and stanza bytes of `loadgen messages`; `compare` runs both.
//!
//! Answer: beside the servers' in the head of `compare.rs`.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use clap::Parser;
use rookery_benches::certificate::SelfSigned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A TLS relay without XML; drive it with `loadgen relay --tls direct --insecure --port PORT`.
#[derive(Debug, Parser)]
struct Options {
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 5299)]
    port: u16,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(options.port))
}

async fn serve(port: u16) -> anyhow::Result<()> {
    let acceptor = SelfSigned::new("localhost")?.acceptor()?;
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .context("cannot listen")?;
    let waiting = Arc::new(Waiting::default());
    loop {
        let (tcp, _) = listener.accept().await?;
        let (acceptor, waiting) = (acceptor.clone(), Arc::clone(&waiting));
        // A connection that ends takes only itself along.
        tokio::spawn(async move { connection(acceptor, tcp, &waiting).await });
    }
}

type Writer = WriteHalf<TlsStream<TcpStream>>;
type Reader = ReadHalf<TlsStream<TcpStream>>;

/// The first of each pair: what it waits for, and its own writing half.
#[derive(Default)]
struct Waiting {
    pairs: Mutex<HashMap<String, (oneshot::Sender<Writer>, Writer)>>,
}

async fn connection(acceptor: TlsAcceptor, tcp: TcpStream, waiting: &Waiting) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let (mut reader, writer) = tokio::io::split(acceptor.accept(tcp).await?);
    let name = first_line(&mut reader).await?;
    let other = match waiting.meet(name, writer) {
        Met::Second(other) => other,
        Met::First(other) => other.await.map_err(io::Error::other)?,
    };
    copy(reader, other).await
}

enum Met {
    First(oneshot::Receiver<Writer>),
    Second(Writer),
}

impl Waiting {
    fn meet(&self, name: String, writer: Writer) -> Met {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        match pairs.remove(&name) {
            Some((first, firsts_writer)) => {
                // The first is gone if this fails; the copy will find that out.
                let _ = first.send(writer);
                Met::Second(firsts_writer)
            }
            None => {
                let (sender, receiver) = oneshot::channel();
                pairs.insert(name, (sender, writer));
                Met::First(receiver)
            }
        }
    }
}

async fn copy(mut reader: Reader, mut writer: Writer) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return writer.shutdown().await;
        }
        writer.write_all(&buffer[..count]).await?;
        writer.flush().await?;
    }
}

async fn first_line(reader: &mut Reader) -> io::Result<String> {
    let mut line = String::new();
    loop {
        match reader.read_u8().await? {
            b'\n' => return Ok(line),
            _ if line.len() >= NAME_BYTES_MAX => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(char::from(byte)),
        }
    }
}

const NAME_BYTES_MAX: usize = 64;
