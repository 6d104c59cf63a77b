//! Reads a socket in large pieces, below TLS.
//!
//! rustls asks for 4 KiB at a time, and a parcel between busy nodes is many times as long: each piece would be a system
//! call of its own.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// A socket whose next bytes are here already when they are asked for.
pub(super) struct ReadAhead(BufReader<TcpStream>);

impl ReadAhead {
    /// Nothing of the socket may have been read before.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(BufReader::with_capacity(AHEAD_BYTES, stream))
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

impl Connected for ReadAhead {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.0.get_ref().connect_info()
    }
}

/// Two records of TLS: in memory for each connection, and more than most parcels have.
const AHEAD_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_is_longer_than_what_is_read_ahead_comes_whole_in_small_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sender = TcpStream::connect(listener.local_addr().unwrap());
        let (sender, accepted) = tokio::join!(sender, listener.accept());
        let sent: Vec<u8> = (0..3 * AHEAD_BYTES + 7)
            .map(|at| (at / 251) as u8)
            .collect();
        let mut sender = ReadAhead::new(sender.unwrap());
        let mut receiver = ReadAhead::new(accepted.unwrap().0);
        let mut received = Vec::new();
        let send = async {
            sender.write_all(&sent).await.unwrap();
            sender.shutdown().await.unwrap();
        };
        let receive = async {
            let mut piece = [0; 4096];
            loop {
                match receiver.read(&mut piece).await.unwrap() {
                    0 => return,
                    length => received.extend_from_slice(&piece[..length]),
                }
            }
        };
        tokio::join!(send, receive);
        assert!(received == sent);
    }
}
