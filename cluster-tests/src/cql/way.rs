//! A way to the database that can be cut: what a client sees of a network that fails, or of a database that starts
//! anew, without the half minute that a real one takes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Hands on what comes to its own port.
pub(super) struct Way {
    /// Where it listens.
    pub(super) address: SocketAddr,
    to: String,
    open: Mutex<Option<AbortHandle>>,
}

impl Way {
    /// Opens a way to `to`.
    pub(super) async fn open(to: &str) -> Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let way = Self {
            address: listener.local_addr()?,
            to: to.to_owned(),
            open: Mutex::default(),
        };
        way.keep(listener)?;
        Ok(Arc::new(way))
    }

    /// Ends all connections and refuses further ones.
    pub(super) fn cut(&self) -> Result<()> {
        let open = self.open.lock().ok().context("nobody panics")?.take();
        open.context("it is cut already")?.abort();
        Ok(())
    }

    /// Lets connections through again.
    pub(super) async fn mend(&self) -> Result<()> {
        self.keep(TcpListener::bind(self.address).await?)
    }

    fn keep(&self, listener: TcpListener) -> Result<()> {
        let to = self.to.clone();
        let task = tokio::spawn(async move {
            // They end with the set, when this task is aborted.
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let to = to.clone();
                connections.spawn(async move {
                    if let Ok(mut database) = TcpStream::connect(to).await {
                        // Its end is the end of both.
                        let _ = copy_bidirectional(&mut client, &mut database).await;
                    }
                });
            }
        });
        *self.open.lock().ok().context("nobody panics")? = Some(task.abort_handle());
        Ok(())
    }
}
