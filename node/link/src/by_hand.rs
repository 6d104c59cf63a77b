//! Links without gRPC: whoever holds the two ends of a connection carries the parcels between them.
//! A simulation does, so that it decides what is late and when a connection breaks.
//!
//! ```text
//! Ways::connect ─► Dialling ── hello ──► Hall::accept ─► Accepting
//!                     │  ◄──── hello ────────┘              │
//!                     └─ poll ─► parcels ─► receive ────────┘  and the other way
//! ```

use std::sync::Arc;

use bytes::Bytes;

use crate::broken::Broken;
use crate::half::Half;
use crate::hall::{self, Accepted, Hall};
use crate::machine::Polled;
use crate::ways::{self, Dialled, Ways};
use crate::wire::{Frame, Incoming, Malformed, Outgoing, UpIn, read_parcel};

/// A connection ended for this reason, in words for a log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Ended(String);

/// What an end has to send.
#[derive(Debug)]
pub enum Next {
    /// A parcel.
    Parcel(Bytes),
    /// Nothing now.
    Nothing,
    /// The connection must end: another one has taken over, or the link is lost.
    End,
}

/// The dialling end of a connection.
pub struct Dialling {
    ways: Arc<ways::Inner>,
    link: Arc<Dialled>,
    generation: u64,
}

/// The accepting end of a connection.
pub struct Accepting {
    hall: Arc<hall::Inner>,
    link: Arc<Accepted>,
    generation: u64,
}

impl Ways {
    /// The nodes that are to be reached, in their order.
    pub fn wanted(&self) -> Vec<u32> {
        self.inner.dialled().map(|link| link.node).collect()
    }

    /// A connection to one of the [`wanted`](Self::wanted) begins: the end here, and the hello for the
    /// other.
    pub fn connect(&self, node: u32) -> Option<(Dialling, Bytes)> {
        let link = self.inner.dialled().find(|link| link.node == node)?;
        let (generation, hello) = link.connect(&self.inner);
        let ways = self.inner.clone();
        let hello = written(&Outgoing::<crate::wire::Up>::Hello(hello));
        let end = Dialling {
            ways,
            link,
            generation,
        };
        Some((end, hello))
    }
}

impl Hall {
    /// A connection begins with this hello: the end here, and the hello for the other.
    ///
    /// # Errors
    /// The link is refused.
    pub fn accept(&self, hello: Bytes) -> Result<(Accepting, Bytes), Ended> {
        let Incoming::Hello(hello) = read_parcel(hello, UpIn::read).map_err(Broken::from)? else {
            return Err(Broken::from(Malformed("no hello")).into());
        };
        let extensions = tonic::Extensions::default();
        let (link, generation, reply) = self.inner.welcome(&hello, &extensions)?;
        let hall = self.inner.clone();
        let reply = written(&Outgoing::<crate::wire::Down>::Hello(reply));
        let end = Accepting {
            hall,
            link,
            generation,
        };
        Ok((end, reply))
    }
}

impl Dialling {
    /// A parcel has come; the first is the other end's hello.
    ///
    /// # Errors
    /// The connection must end.
    pub fn receive(&self, parcel: Bytes) -> Result<(), Ended> {
        Ok(self.link.receive(&self.ways, self.generation, parcel)?)
    }

    /// What is to be sent next.
    pub fn poll(&self) -> Next {
        poll(&self.link.half, self.generation)
    }

    /// What was handled shall be told with the next parcel, or by one of its own.
    pub fn tell(&self) {
        self.link.half.line().tell_now();
    }

    /// The connection has ended.
    pub fn end(&self) {
        let now = self.ways.clock.now();
        self.link.half.disconnect(self.generation, now);
    }
}

impl Accepting {
    /// A parcel has come.
    ///
    /// # Errors
    /// The connection must end.
    pub fn receive(&self, parcel: Bytes) -> Result<(), Ended> {
        Ok(self.link.receive(self.generation, parcel)?)
    }

    /// What is to be sent next.
    pub fn poll(&self) -> Next {
        poll(&self.link.half, self.generation)
    }

    /// What was handled shall be told with the next parcel, or by one of its own.
    pub fn tell(&self) {
        self.link.half.line().tell_now();
    }

    /// The connection has ended.
    pub fn end(&self) {
        let now = self.hall.clock.now();
        self.link.half.disconnect(self.generation, now);
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Self(broken.to_string())
    }
}

fn poll<F: Frame>(half: &Half<F>, generation: u64) -> Next {
    match half.line().poll(generation) {
        Polled::Parcel(parcel) => Next::Parcel(written(&parcel)),
        Polled::Pending => Next::Nothing,
        Polled::Ended => Next::End,
    }
}

fn written<F: Frame>(parcel: &Outgoing<F>) -> Bytes {
    let mut bytes = Vec::new();
    parcel.write_to(&mut bytes);
    bytes.into()
}
