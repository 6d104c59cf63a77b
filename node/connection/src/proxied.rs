//! Reads a load balancer's header from a socket.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::proxy_header::{HEADER_BYTES_MAX, Progress, ProxyError, ProxyHeader};

/// Why a connection of a trusted proxy is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    /// What it says.
    #[error(transparent)]
    Header(#[from] ProxyError),
    /// It did not come in time.
    #[error("the PROXY header did not come in time")]
    Late,
    /// The proxy went away.
    #[error("the connection ended within the PROXY header")]
    Ended,
    /// The socket.
    #[error(transparent)]
    Socket(#[from] io::Error),
}

/// The address that the header tells, or none where the proxy speaks for itself. Takes no byte behind the header.
pub(crate) async fn client_address(
    socket: &mut (impl AsyncRead + Unpin),
    within: Duration,
) -> Result<Option<IpAddr>, HeaderError> {
    let read = tokio::time::timeout(within, read(socket)).await;
    read.map_err(|_elapsed| HeaderError::Late)?
}

async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, HeaderError> {
    let mut header = ProxyHeader::default();
    let mut buffer = [0; HEADER_BYTES_MAX];
    let mut allowed = ProxyHeader::FIRST;
    loop {
        let count = socket.read(&mut buffer[..allowed]).await?;
        if count == 0 {
            return Err(HeaderError::Ended);
        }
        match header.push(&buffer[..count])? {
            Progress::More(more) => allowed = more,
            Progress::Done(address) => return Ok(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn the_stream_goes_on_behind_the_header() {
        let (mut proxy, mut socket) = tokio::io::duplex(1_024);
        let sent = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 5222\r\n<stream>";
        proxy.write_all(sent).await.unwrap();
        let address = client_address(&mut socket, WITHIN).await.unwrap();
        assert_eq!(address, Some("192.0.2.7".parse().unwrap()));
        let mut rest = [0; 8];
        socket.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"<stream>");
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_does_not_come_is_waited_for_so_long() {
        let (mut proxy, mut socket) = tokio::io::duplex(1_024);
        proxy.write_all(b"PROXY TC").await.unwrap();
        let late = client_address(&mut socket, WITHIN).await;
        assert!(matches!(late, Err(HeaderError::Late)), "{late:?}");
        drop(proxy);
        let ended = client_address(&mut socket, WITHIN).await;
        assert!(matches!(ended, Err(HeaderError::Ended)), "{ended:?}");
    }
}
