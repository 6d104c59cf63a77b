//! The gRPC service of the accepting side.

use std::pin::Pin;

use futures_util::Stream;
use rookery_proto::carrier::Parcel;
use rookery_proto::carrier::carrier_server::{Carrier, CarrierServer};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::MESSAGE_BYTES_MAX;
use super::outbound::Outbound;
use crate::broken::Broken;
use crate::hall::Hall;
use crate::wire::{Incoming, Malformed, UpIn, read_parcel};

impl Hall {
    /// The service, for a server with [`server_settings`](crate::server_settings).
    pub fn service(&self) -> CarrierServer<Self> {
        CarrierServer::new(self.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl Carrier for Hall {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<Parcel, Status>> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<Parcel>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let (_, extensions, mut inbound) = request.into_parts();
        let within = self.inner.config.options.connect_max();
        let first = timeout(within, inbound.message()).await;
        let first = first.map_err(|_| Broken::Silent)??;
        let first = first.ok_or(Broken::Silent)?;
        let Incoming::Hello(hello) =
            read_parcel(super::content(first), UpIn::read).map_err(Broken::from)?
        else {
            return Err(Broken::from(Malformed("no hello")).into());
        };
        let welcome = self.inner.welcome(&hello, &extensions);
        let (link, generation, reply) = welcome.inspect_err(|error| {
            tracing::warn!(node = hello.from, %error, "link is refused");
        })?;
        tracing::info!(
            node = link.node,
            resumed = reply.resumed,
            "link is accepted"
        );
        let clock = self.inner.clock;
        let outbound = Outbound::new(link.half.clone(), generation, reply, clock);
        self.inner.config.runtime.spawn(async move {
            let receive = |parcel| link.receive(generation, parcel);
            let ended = super::read(&link.half, generation, &mut inbound, receive).await;
            if let Err(error) = ended {
                tracing::warn!(node = link.node, %error, "link is down");
            }
            link.half.disconnect(generation, clock.now());
        });
        Ok(Response::new(Box::pin(outbound)))
    }
}
