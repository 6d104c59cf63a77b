//! What a phase works with while it handles one event.

use std::time::Duration;

use bytes::Bytes;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::entropy::Entropy;
use rookery_xmpp::stanza::Content;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};
use rookery_xmpp::xml::{STREAM_CLOSE, StreamOpen, write_stream_open};

use crate::carrier::{AskId, Question};
use crate::client_state::ClientState;
use crate::config::{ConnectionFacts, HostConfig, SessionConfig};
use crate::effect::Effect;
use crate::event::Timer;
use crate::phase::Phase;
use crate::stream_management::StreamManagement;

/// What outlives the phases of a session.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The host that the client chose, by its index in the configuration. It never changes: whoever proved to be
    /// somebody at one host must not act at another (x09).
    pub(crate) host: Option<usize>,
    /// Who the client says it is, where it may be told so in our header (RFC 6120 4.7.2).
    pub(crate) peer: Option<String>,
    /// Whether our header stands on the present stream, so that an error may follow.
    pub(crate) open: bool,
    /// The number of the next question.
    pub(crate) next_ask: u32,
    /// When the client was last heard of.
    pub(crate) heard: Timestamp,
    /// What both sides have acknowledged, once the client has enabled that.
    pub(crate) management: Option<StreamManagement>,
    /// The client was lost, or is not heard of any more: it may come back.
    pub(crate) is_interrupted: bool,
    /// The node sends its clients away: the client is to come back elsewhere.
    pub(crate) is_sent_away: bool,
    /// What a client waits for that does not look, and whether it looks.
    pub(crate) client_state: ClientState,
    /// The timers that run, so that one that ran out while it was stopped is not believed.
    armed: Vec<Timer>,
}

impl Stream {
    /// Whether this timer runs; from now on it does not.
    pub(crate) fn take_timer(&mut self, timer: Timer) -> bool {
        let before = self.armed.len();
        self.armed.retain(|armed| *armed != timer);
        self.armed.len() < before
    }
}

/// The surroundings of one event.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a SessionConfig,
    pub(crate) facts: &'a ConnectionFacts,
    pub(crate) stream: &'a mut Stream,
    pub(crate) now: Timestamp,
    pub(crate) entropy: &'a mut dyn Entropy,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl<'a> Context<'a> {
    /// The host of the stream; the server's own while the client has named none.
    pub(crate) fn host(&self) -> &'a HostConfig {
        &self.config.hosts[self.stream.host.unwrap_or(0)]
    }

    pub(crate) fn send(&mut self, bytes: impl Into<Bytes>) {
        self.effects.push(Effect::Send(bytes.into()));
    }

    pub(crate) fn send_element(&mut self, element: &Element) {
        self.send(element.to_bytes());
    }

    pub(crate) fn ask(&mut self, question: Question) -> AskId {
        let ask = self.next_ask();
        self.effects.push(Effect::Ask(ask, question));
        ask
    }

    /// A number that no question of this session has had.
    pub(crate) fn next_ask(&mut self) -> AskId {
        let ask = AskId(self.stream.next_ask);
        self.stream.next_ask = self.stream.next_ask.wrapping_add(1);
        ask
    }

    pub(crate) fn arm(&mut self, timer: Timer, ms: u64) {
        self.stream.take_timer(timer);
        self.stream.armed.push(timer);
        self.effects
            .push(Effect::Arm(timer, Duration::from_millis(ms)));
    }

    pub(crate) fn disarm(&mut self, timer: Timer) {
        if self.stream.take_timer(timer) {
            self.effects.push(Effect::Disarm(timer));
        }
    }

    fn disarm_all(&mut self) {
        let armed = std::mem::take(&mut self.stream.armed);
        self.effects.extend(armed.into_iter().map(Effect::Disarm));
    }

    /// Writes our stream header, and behind it what `more` writes, in one piece.
    pub(crate) fn open_stream(&mut self, more: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::with_capacity(1024);
        self.write_header(&mut out);
        more(&mut out);
        self.send(out);
    }

    /// Expects a new stream on the same connection (RFC 6120 4.3.3).
    pub(crate) fn restart_stream(&mut self) {
        self.stream.open = false;
        self.effects.push(Effect::ResetReader);
    }

    /// Ends the stream with an error and waits, bounded, for the client's end of it (RFC 6120 4.9.1.1).
    pub(crate) fn end(&mut self, condition: StreamCondition, text: &str) -> Phase {
        self.end_with(&StreamError::new(condition).with_text(text))
    }

    /// The same with a ready error.
    pub(crate) fn end_with(&mut self, error: &StreamError) -> Phase {
        self.send_end(Some(error));
        self.disarm_all();
        self.arm(Timer::Close, self.config.options.close_timeout_ms);
        Phase::Closing
    }

    /// Ends the stream and the connection at once: nothing more will be read.
    pub(crate) fn end_now(&mut self, error: Option<&StreamError>) -> Phase {
        self.send_end(error);
        self.hang_up()
    }

    /// Ends the connection without a word.
    pub(crate) fn hang_up(&mut self) -> Phase {
        self.disarm_all();
        self.effects.push(Effect::CloseSocket);
        Phase::Ended
    }

    /// An error that our header must precede (RFC 6120 4.9.1.2), then the end of the stream.
    fn send_end(&mut self, error: Option<&StreamError>) {
        let mut out = Vec::with_capacity(256);
        if !self.stream.open {
            self.write_header(&mut out);
        }
        if let Some(error) = error {
            error.write(&mut out);
        }
        out.extend_from_slice(STREAM_CLOSE);
        self.send(out);
    }

    fn write_header(&mut self, out: &mut Vec<u8>) {
        let id = self.entropy.token();
        let open = StreamOpen {
            from: Some(&self.host().domain),
            to: self.stream.peer.as_deref(),
            id: Some(&id),
            // The language of the texts in our errors.
            lang: Some("en"),
        };
        write_stream_open(out, Content::Client, &open);
        self.stream.open = true;
    }
}
