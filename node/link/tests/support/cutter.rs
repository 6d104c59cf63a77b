use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Stands between two nodes: carries bytes, cuts all connections at any moment, and may refuse new
/// ones.
pub(crate) struct Cutter {
    pub(crate) address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    cut: watch::Sender<u64>,
    closed: watch::Sender<bool>,
    /// Connections up to this number stand still.
    frozen: watch::Sender<u64>,
    count: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Cutter {
    pub(crate) async fn before(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let to = Arc::new(Mutex::new(to));
        let (cut, closed) = (watch::Sender::new(0), watch::Sender::new(false));
        let (cuts, shut, target) = (cut.subscribe(), closed.subscribe(), to.clone());
        let (frozen, count) = (watch::Sender::new(0), Arc::new(AtomicU64::new(0)));
        let (still, counted) = (frozen.subscribe(), count.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if *shut.borrow() {
                    continue;
                }
                let mut cuts = cuts.clone();
                let seen = *cuts.borrow_and_update();
                let target = *target.lock().unwrap();
                let mut still = still.clone();
                let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(target).await else {
                        return;
                    };
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    let mut copy = std::pin::pin!(copy_bidirectional(&mut near, &mut far));
                    loop {
                        tokio::select! {
                            biased;
                            _ = cuts.wait_for(|cut| *cut != seen) => return,
                            _ = still.wait_for(|frozen| *frozen >= number) => {}
                            _ = &mut copy => return,
                        }
                        tokio::select! {
                            _ = cuts.wait_for(|cut| *cut != seen) => return,
                            _ = still.wait_for(|frozen| *frozen < number) => {}
                        }
                    }
                });
            }
        });
        Self {
            address,
            to,
            cut,
            closed,
            frozen,
            count,
            task,
        }
    }

    /// Cuts all connections, wherever their bytes are.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cut| *cut += 1);
    }

    /// Lets all connections that are open stand still, without a word to either side.
    pub(crate) fn freeze(&self) {
        self.frozen.send_replace(self.count.load(Ordering::Relaxed));
    }

    /// They go on where they stood.
    pub(crate) fn thaw(&self) {
        self.frozen.send_replace(0);
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Refuses new ones, or lets them through again.
    pub(crate) fn close(&self, closed: bool) {
        self.closed.send_replace(closed);
    }

    /// Leads elsewhere from the next connection on.
    pub(crate) fn lead_to(&self, to: SocketAddr) {
        *self.to.lock().unwrap() = to;
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.task.abort();
    }
}
