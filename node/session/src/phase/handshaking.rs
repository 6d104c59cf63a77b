//! TLS is being made: nothing may be written, and nothing is read.

use super::{Opening, Phase, Standing};
use crate::context::Context;
use crate::event::{Event, Timer, TlsFacts};

/// Proof that TLS protects the connection. Only a finished handshake makes one.
#[derive(Debug)]
pub(crate) struct Secured {
    tls: TlsFacts,
}

impl Secured {
    pub(crate) fn tls(&self) -> &TlsFacts {
        &self.tls
    }
}

/// Waits for the TLS handshake.
#[derive(Debug)]
pub(crate) struct Handshaking;

impl Handshaking {
    pub(crate) fn handle(self, event: Event<'_>, cx: &mut Context<'_>) -> Phase {
        match event {
            Event::Connected => {
                cx.arm(Timer::Login, cx.config.options.login_timeout_ms);
                Phase::Handshaking(self)
            }
            Event::Secured(tls) => {
                if !cx.facts.direct_tls {
                    cx.restart_stream();
                }
                Phase::Opening(Opening::new(Standing::Secured(Secured { tls })))
            }
            // Nothing but TLS can be read or written now; a mover that says otherwise is not believed.
            Event::Opened(_) | Event::Element(_) => cx.hang_up(),
            _ => Phase::Handshaking(self),
        }
    }
}
