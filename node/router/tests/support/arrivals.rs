//! What comes from other shards.

use std::sync::Arc;

use bytes::Bytes;
use rookery_router::shard::Input;
use rookery_session::carrier::{Origin, PeerFrame};
use rookery_xmpp::stanza::Batch;

use super::client::Settled;
use super::{World, jid, stamped};

impl World {
    /// A message of another shard's session, which may come twice. Whether all is done that it asked for.
    pub(crate) fn arrive(&mut self, from: Origin, to: &str, text: &str) -> bool {
        let stanza =
            format!("<message to='{to}' type='chat' id='{text}'><body>{text}</body></message>");
        self.arrive_stanza(from, to, &stanza)
    }

    /// The same with any stanza.
    pub(crate) fn arrive_stanza(&mut self, from: Origin, to: &str, stanza: &str) -> bool {
        let sender = Arc::new(jid("tybalt@localhost/street"));
        let mut out = Vec::new();
        let rec = stamped(stanza, &sender, &mut out);
        let batch = Batch {
            buf: out.into(),
            recs: vec![rec],
        };
        let mut frame = PeerFrame::new(sender, Arc::new(jid(to)), batch);
        frame.origin = Some(from);
        let settled = Arc::new(Settled::default());
        frame.receipt = Some(settled.receipt());
        self.step(Input::Peer(frame));
        settled.is_settled()
    }

    /// Two messages of another shard's session that were sent together come one behind the other. Who tell whether
    /// each is done.
    pub(crate) fn arrive_together(
        &mut self,
        origins: [Origin; 2],
        to: &str,
    ) -> [impl Fn() -> bool + use<>; 2] {
        let sender = Arc::new(jid("tybalt@localhost/street"));
        let mut out = Vec::new();
        let stanza = format!("<message to='{to}' type='chat'><body>both</body></message>");
        let recs = [(); 2].map(|()| stamped(&stanza, &sender, &mut out));
        let buf: Bytes = out.into();
        [0, 1].map(|at| {
            let recs = vec![recs[at]];
            let buf = buf.clone();
            let batch = Batch { buf, recs };
            let mut frame = PeerFrame::new(sender.clone(), Arc::new(jid(to)), batch);
            frame.origin = Some(origins[at]);
            let settled = Arc::new(Settled::default());
            frame.receipt = Some(settled.receipt());
            self.step(Input::Peer(frame));
            move || settled.is_settled()
        })
    }
}
