//! Keeps a link to a node up.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rookery_proto::carrier::carrier_client::CarrierClient;
use rookery_xmpp::entropy::{Entropy, OsEntropy};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::Channel;

use super::MESSAGE_BYTES_MAX;
use super::outbound::Outbound;
use crate::broken::Broken;
use crate::ways::{Dialled, Inner};

/// Why a node cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DialError(pub String);

/// How nodes are reached: addresses and identities are the caller's.
pub trait Dial: Send + Sync {
    /// Connects to a node. The channel must be of its own, and of an endpoint with
    /// [`client_settings`].
    ///
    /// [`client_settings`]: crate::client_settings
    fn dial(
        &self,
        node: u32,
    ) -> Pin<Box<dyn Future<Output = Result<Channel, DialError>> + Send + '_>>;
}

/// Dials, and dials again, until the link is not needed any more.
pub(crate) async fn keep_dialled(
    ways: Weak<Inner>,
    link: Arc<Dialled>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut failures = 0;
    loop {
        let Some(inner) = ways.upgrade() else { return };
        if link.is_removed() {
            return;
        }
        let ended = tokio::select! {
            ended = converse(&inner, &link, &mut failures) => ended,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match ended {
            Ok(()) => tracing::info!(node = link.node, "link is down"),
            Err(error) => tracing::warn!(node = link.node, %error, "link is down"),
        }
        let pause = pause(&inner, failures);
        failures += 1;
        drop(inner);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// One connection, from dialling to its end. Both directions end with it.
async fn converse(ways: &Arc<Inner>, link: &Dialled, failures: &mut u32) -> Result<(), Broken> {
    let within = ways.config.options.connect_max();
    let channel = timeout(within, ways.config.dial.dial(link.node)).await;
    let channel = channel.map_err(|_| Broken::Silent)??;
    let (generation, hello) = link.connect(ways);
    let outbound = Outbound::new(link.half.clone(), generation, hello, ways.clock);
    let mut client = CarrierClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let begun = timeout(within, async {
        let mut inbound = client.link(outbound).await?.into_inner();
        let hello = inbound.message().await?.ok_or(Broken::Silent)?;
        link.receive(ways, generation, super::content(hello))?;
        Ok::<_, Broken>(inbound)
    });
    let ended = match begun.await {
        Ok(Ok(mut inbound)) => {
            *failures = 0;
            let receive = |parcel| link.receive(ways, generation, parcel);
            super::read(&link.half, generation, &mut inbound, receive).await
        }
        Ok(Err(broken)) => Err(broken),
        Err(_) => Err(Broken::Silent),
    };
    link.half.disconnect(generation, ways.clock.now());
    ended
}

/// How long to wait after so many failures: between half and all of a time that doubles.
fn pause(ways: &Inner, failures: u32) -> Duration {
    let options = &ways.config.options;
    let most = options
        .backoff_ms
        .saturating_mul(1 << failures.min(16))
        .min(options.backoff_max_ms)
        .max(1);
    let mut random = [0; 8];
    OsEntropy.fill(&mut random);
    let half = most.div_ceil(2);
    Duration::from_millis(half + u64::from_le_bytes(random) % half)
}
