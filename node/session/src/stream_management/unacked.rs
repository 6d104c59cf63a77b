//! What the client was sent, and has not acknowledged.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use bytes::Bytes;
use rookery_xmpp::stanza::Batch;

use crate::carrier::{Delivered, Origin};

/// A queue of sent stanzas. Bounded by its user, who asks for its size.
#[derive(Debug, Default)]
pub struct Unacked {
    queue: VecDeque<Sent>,
    /// How many the client was sent, and has acknowledged.
    sent: u64,
    acked: u64,
    bytes: usize,
}

/// What was sent together.
#[derive(Debug)]
enum Sent {
    /// By the shard.
    Delivered(Delivered),
    /// A stanza that nobody misses.
    Own,
}

impl Unacked {
    /// Keeps a copy of what goes to the client: a slice would keep the whole of what it came with. Gives the copy,
    /// which whoever else keeps it can share.
    pub fn keep(&mut self, delivered: &Delivered) -> Batch {
        let stanzas = delivered.batch.recs.len();
        let batch = copied(&delivered.batch);
        if stanzas == 0 {
            return batch;
        }
        self.sent += stanzas as u64;
        self.bytes += batch.buf.len();
        self.queue.push_back(Sent::Delivered(Delivered {
            batch: batch.clone(),
            origins: delivered.origins.clone(),
            receipt: None,
            arrival: delivered.arrival,
            number: delivered.number,
            logged: delivered.logged.clone(),
        }));
        batch
    }

    /// The stanza of this origin, if it is here, lies in the log at this place.
    pub fn lies_at(&mut self, origin: Origin, place: NonZeroU64) {
        for sent in &mut self.queue {
            let Sent::Delivered(delivered) = sent else {
                continue;
            };
            let stanzas = delivered.batch.recs.len();
            let found = (0..stanzas).find(|at| delivered.origins.at(*at) == Some(origin));
            if let Some(at) = found {
                delivered.logged = delivered.logged.with(at, place, stanzas);
            }
        }
    }

    /// Keeps the place of a stanza of the stream's own.
    pub fn keep_place(&mut self) {
        self.sent += 1;
        self.queue.push_back(Sent::Own);
    }

    /// Stanzas that are not acknowledged.
    pub fn stanzas(&self) -> u64 {
        self.sent - self.acked
    }

    /// Their bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The client has so many, modulo 2^32. `Err` tells how many it was sent.
    pub fn forget(&mut self, h: u32) -> Result<(), u32> {
        let news = h.wrapping_sub(self.acked as u32);
        if u64::from(news) > self.stanzas() {
            return Err(self.sent as u32);
        }
        self.acked += u64::from(news);
        let mut left = news as usize;
        while left > 0
            && let Some(sent) = self.queue.front_mut()
        {
            let Sent::Delivered(delivered) = sent else {
                self.queue.pop_front();
                left -= 1;
                continue;
            };
            let stanzas = delivered.batch.recs.len();
            if stanzas > left {
                self.bytes -= delivered.drop_first(left);
                return Ok(());
            }
            self.bytes -= delivered.batch.stanza_bytes();
            self.queue.pop_front();
            left -= stanzas;
        }
        Ok(())
    }

    /// None, but so many were acknowledged before.
    pub fn behind(acked: u64) -> Self {
        Self {
            sent: acked,
            acked,
            ..Self::default()
        }
    }

    /// How many were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How many were acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// What is not acknowledged of what the shard sent.
    pub fn iter(&self) -> impl Iterator<Item = &Delivered> {
        self.queue.iter().filter_map(|sent| match sent {
            Sent::Delivered(delivered) => Some(delivered),
            Sent::Own => None,
        })
    }

    /// What is left.
    pub fn into_delivered(self) -> Vec<Delivered> {
        let delivered = self.queue.into_iter().filter_map(|sent| match sent {
            Sent::Delivered(delivered) => Some(delivered),
            Sent::Own => None,
        });
        delivered.collect()
    }
}

/// The stanzas of a batch in a buffer of their own.
fn copied(batch: &Batch) -> Batch {
    if batch.stanza_bytes() == batch.buf.len() {
        return batch.clone();
    }
    let mut buf = Vec::with_capacity(batch.stanza_bytes());
    let recs = batch.recs.iter().map(|rec| {
        let start = buf.len() as u32;
        buf.extend_from_slice(rec.bytes(&batch.buf));
        rec.moved_to(start)
    });
    let recs = recs.collect();
    Batch {
        buf: Bytes::from(buf),
        recs,
    }
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::stanza::parse_rec;

    use super::*;
    use crate::carrier::{Origin, Origins, SessionId};

    fn delivered(bodies: &[&str], sequence: u64) -> Delivered {
        let mut buf = b"in front".to_vec();
        let recs = bodies.iter().map(|body| {
            let stanza = format!("<message><body>{body}</body></message>");
            let rec = parse_rec(stanza.as_bytes()).expect("canonical");
            let start = buf.len() as u32;
            buf.extend_from_slice(stanza.as_bytes());
            rec.moved_to(start)
        });
        let recs = recs.collect();
        let session = SessionId { node: 1, serial: 2 };
        Delivered {
            origins: Origins::Run(Origin { session, sequence }),
            arrival: 100 + sequence,
            ..Delivered::from(Batch {
                buf: Bytes::from(buf),
                recs,
            })
        }
    }

    fn bodies(left: &[Delivered]) -> Vec<String> {
        let recs = left
            .iter()
            .flat_map(|d| d.batch.recs.iter().map(|rec| rec.bytes(&d.batch.buf)));
        recs.map(|stanza| {
            let text = String::from_utf8_lossy(stanza);
            let body = text
                .split("<body>")
                .nth(1)
                .and_then(|rest| rest.split('<').next());
            body.unwrap_or_default().to_owned()
        })
        .collect()
    }

    #[test]
    fn what_is_acknowledged_is_forgotten_and_the_rest_comes_back_in_order() {
        let mut unacked = Unacked::default();
        unacked.keep(&delivered(&["a", "b", "c"], 0));
        unacked.keep_place();
        unacked.keep(&delivered(&["d"], 3));
        assert_eq!(unacked.stanzas(), 5);
        assert_eq!(unacked.forget(2), Ok(()));
        assert_eq!(unacked.stanzas(), 3);
        assert_eq!(unacked.forget(2), Ok(()), "said twice");
        let left = unacked.into_delivered();
        assert_eq!(bodies(&left), ["c", "d"]);
        assert_eq!(left[0].origins.at(0).map(|origin| origin.sequence), Some(2));
        assert_eq!(left[0].arrival, 102);
    }

    #[test]
    fn all_of_it_can_be_acknowledged_and_no_more() {
        let mut unacked = Unacked::default();
        unacked.keep(&delivered(&["a", "b"], 0));
        assert_eq!(unacked.forget(3), Err(2));
        assert_eq!(unacked.forget(u32::MAX), Err(2), "less than before");
        assert_eq!(unacked.forget(2), Ok(()));
        assert_eq!((unacked.stanzas(), unacked.bytes()), (0, 0));
    }

    #[test]
    fn the_count_goes_on_from_zero_behind_its_largest_value() {
        let before = u64::from(u32::MAX);
        let mut unacked = Unacked {
            sent: before,
            acked: before,
            ..Unacked::default()
        };
        unacked.keep(&delivered(&["a", "b"], 0));
        assert_eq!(unacked.forget(1), Ok(()));
        assert_eq!(unacked.stanzas(), 0);
    }
}
