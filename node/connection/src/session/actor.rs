//! The actor and its turns.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix::fut::ActorFuture;
use actix::{Actor, ActorContext, AsyncContext};
use rookery_session::carrier::AskId;
use rookery_session::event::Event;
use rookery_session::{ConnectionFacts, Session};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::OsEntropy;
use rookery_xmpp::stanza::Content;
use rookery_xmpp::xml::{Reader, XmlLimits};
use tokio::net::TcpStream;

use super::shard_link::ShardLink;
use super::writing::Ending;
use crate::inbox::Inbox;
use crate::pace::SessionPace;
use crate::padding::Padding;
use crate::quota::SessionQuota;
use crate::scratch::Scratch;
use crate::shared::{Seat, Shared};
use crate::timers::{Alarm, Timers};
use crate::wire::{TlsEngine, Wire};

/// A connection that was let in.
pub(crate) struct Accepted {
    /// The socket.
    pub(crate) socket: TcpStream,
    /// Where it comes from, and what its port speaks.
    pub(crate) facts: ConnectionFacts,
    /// Its place.
    pub(crate) seat: Seat,
}

/// A password that is being verified, and the try that waits for it.
pub(super) type Verification = (AskId, Pin<Box<dyn Future<Output = bool>>>);

/// One client's connection.
pub(crate) struct SessionActor {
    pub(super) shared: Arc<Shared>,
    pub(super) seat: Seat,
    pub(super) machine: Session,
    pub(super) reader: Reader,
    pub(super) wire: Wire,
    pub(super) inbox: Arc<Inbox>,
    pub(super) link: ShardLink,
    pub(super) pace: SessionPace,
    pub(super) padding: Padding,
    pub(super) quota: SessionQuota,
    pub(super) timers: Timers,
    pub(super) verification: Option<Verification>,
    /// The question for the keys of an account that is banned.
    pub(super) banned: Option<AskId>,
    pub(super) ending: Ending,
}

impl SessionActor {
    /// An actor for an accepted connection.
    ///
    /// # Errors
    /// rustls refuses the configuration of its certificates.
    pub(crate) fn new(shared: Arc<Shared>, accepted: Accepted) -> Result<Self, rustls::Error> {
        let Accepted {
            socket,
            facts,
            seat,
        } = accepted;
        let mut wire = Wire::new(socket);
        if facts.direct_tls {
            wire.start_tls(TlsEngine::new(shared.tls.current(), true)?);
        }
        let inbox = seat.inbox().clone();
        Ok(Self {
            machine: Session::new(shared.session.load_full(), facts),
            reader: Reader::new(Content::Client, XmlLimits::before_authentication()),
            wire,
            link: ShardLink::new(shared.routers.clone(), inbox.clone()),
            inbox,
            pace: SessionPace::new(shared.bandwidth.clone(), shared.quota.now_ms()),
            padding: Padding::default(),
            quota: SessionQuota::new(shared.quota.clone(), seat.address()),
            timers: Timers::default(),
            verification: None,
            banned: None,
            ending: Ending::NotYet,
            shared,
            seat,
        })
    }

    /// One turn. Ready when the connection is over.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.inbox.is_cut() {
            return Poll::Ready(());
        }
        self.inbox.register(cx.waker());
        let mut scratch = Scratch::take();
        let now = Timestamp::now();
        self.ring(cx, &mut scratch, now);
        self.link.poll(cx);
        self.read(cx, &mut scratch, now);
        self.collect(cx, &mut scratch, now);
        self.settle(cx, &mut scratch, now);
        let polled = self.write(cx, &mut scratch, now);
        scratch.give_back();
        polled
    }

    /// Tells the machine something and does what it wants.
    pub(super) fn event(&mut self, event: Event<'_>, scratch: &mut Scratch, now: Timestamp) {
        self.machine
            .handle(event, now, &mut OsEntropy, &mut scratch.effects);
        self.carry_out(scratch, now);
    }

    /// Timers that ran out.
    fn ring(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Timestamp) {
        while let Poll::Ready(alarm) = self.timers.poll(cx) {
            match alarm {
                Alarm::Session(timer) => self.event(Event::TimedOut(timer), scratch, now),
                Alarm::Rested => {}
                Alarm::Stalled => {
                    tracing::debug!(address = %self.seat.address(), "client takes nothing, cut");
                    self.lose(scratch, now);
                }
                Alarm::Lingered => self.ending = Ending::Over,
            }
        }
    }

    /// What is waited for, this turn's beginnings included: each must be polled, or it wakes nobody.
    fn settle(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch, now: Timestamp) {
        if let Some((ask, verification)) = &mut self.verification
            && let Poll::Ready(right) = verification.as_mut().poll(cx)
        {
            let ask = *ask;
            self.verification = None;
            self.event(Event::PasswordVerified(ask, right), scratch, now);
        }
        if !self.link.has_room() {
            self.link.poll(cx);
            if self.link.has_room() {
                // The socket was not read for want of it.
                cx.waker().wake_by_ref();
            }
        }
    }

    /// What it has used up is missing for its account's next stream as well.
    pub(super) fn leave_pace(&self, now_ms: u64) {
        if let Some((account, pace)) = self.pace.leaves() {
            self.shared.spent().leave(account, pace, now_ms);
        }
    }

    /// The socket is of no use any more.
    pub(super) fn lose(&mut self, scratch: &mut Scratch, now: Timestamp) {
        self.event(Event::Lost, scratch, now);
        self.ending = Ending::Over;
    }
}

impl Actor for SessionActor {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let mut scratch = Scratch::take();
        self.event(Event::Connected, &mut scratch, Timestamp::now());
        scratch.give_back();
        ctx.spawn(Turns);
    }
}

impl Drop for SessionActor {
    fn drop(&mut self) {
        self.leave_pace(self.shared.quota.now_ms());
    }
}

/// Runs an actor's turns until its connection is over.
struct Turns;

impl ActorFuture<SessionActor> for Turns {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut SessionActor,
        ctx: &mut actix::Context<SessionActor>,
        task: &mut Context<'_>,
    ) -> Poll<()> {
        let polled = actor.turn(task);
        if polled.is_ready() {
            ctx.stop();
        }
        polled
    }
}
