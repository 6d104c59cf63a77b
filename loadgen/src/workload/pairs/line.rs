//! One end of a pair: its connection, and what it counts if its stream is managed.

use crate::client::{ClientError, Frame, Managed, REQUEST, Resumable, TlsWire, checked};
use crate::oracle::Stamp;

/// A connection of one end.
pub(crate) struct Line {
    /// The connection.
    pub(crate) wire: TlsWire,
    /// Its stream, if it is managed.
    pub(crate) managed: Option<Managed<Stamp>>,
}

impl Line {
    /// A connection with its stream, if that can be resumed.
    pub(crate) fn new(wire: TlsWire, stream: Option<Resumable>) -> Self {
        Self {
            wire,
            managed: stream.map(Managed::new),
        }
    }

    /// Takes all elements that have come: gives what they acknowledge. The end of the stream is an error.
    pub(crate) fn absorb(
        &mut self,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Vec<Stamp>, ClientError> {
        let mut acknowledged = Vec::new();
        while let Some(frame) = self.wire.next()? {
            match frame {
                Frame::Stanza(bytes) => {
                    let bytes = checked(bytes)?;
                    if let Some(managed) = &mut self.managed {
                        acknowledged.extend(managed.takes(bytes));
                    }
                    take(bytes);
                }
                Frame::Open(_) => {}
                Frame::Close => return Err(ClientError::Closed),
            }
        }
        if let Some(managed) = &mut self.managed {
            managed.answer(self.wire.out());
        }
        Ok(acknowledged)
    }

    /// A stanza was written.
    pub(crate) fn sent(&mut self, stamp: Stamp) {
        if let Some(managed) = &mut self.managed {
            managed.sends(stamp);
        }
    }

    /// Asks what has come.
    pub(crate) fn ask(&mut self) {
        if self.managed.is_some() {
            self.wire.out().extend_from_slice(REQUEST);
        }
    }

    /// Whether all that was sent is acknowledged, as far as anybody counts.
    pub(crate) fn is_acknowledged(&self) -> bool {
        let managed = self.managed.as_ref();
        managed.is_none_or(|managed| managed.unacknowledged().len() == 0)
    }
}
