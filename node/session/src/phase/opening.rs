//! A stream header is awaited: the first, or that of the stream after TLS or SASL (RFC 6120 4.2, 4.3.3, 4.7).

use rookery_xmpp::jid::{Jid, prepare_domain};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};
use rookery_xmpp::xml::StreamHeader;

use super::{Authenticated, Authenticating, Binding, Phase, Secured, Securing, features};
use crate::context::Context;
use crate::event::{Event, Timer};
use crate::sasl::Offer;

/// What has been proved so far; it decides what the next stream offers.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Nothing.
    Stranger,
    /// TLS protects the connection.
    Secured(Secured),
    /// The client proved who it is, under TLS.
    Authenticated(Authenticated),
}

/// Waits for a stream header.
#[derive(Debug)]
pub(crate) struct Opening {
    standing: Standing,
}

impl Opening {
    pub(crate) fn new(standing: Standing) -> Self {
        Self { standing }
    }

    pub(crate) fn handle(self, event: Event<'_>, cx: &mut Context<'_>) -> Phase {
        match event {
            Event::Connected => {
                cx.arm(Timer::Login, cx.config.options.login_timeout_ms);
                Phase::Opening(self)
            }
            Event::Opened(header) => match self.check(header, cx) {
                Ok(()) => self.answer(cx),
                Err(error) => cx.end_with(&error),
            },
            Event::Element(_) => {
                cx.end(StreamCondition::BadFormat, "a stream must be opened first")
            }
            _ => Phase::Opening(self),
        }
    }

    /// Our header with the features of this standing.
    fn answer(self, cx: &mut Context<'_>) -> Phase {
        let (config, host) = (cx.config, cx.host());
        match self.standing {
            Standing::Stranger => {
                cx.open_stream(features::write_before_tls);
                Phase::Securing(Securing::default())
            }
            Standing::Secured(secured) => {
                let offer = Offer::new(&cx.config.options, secured.tls());
                cx.open_stream(|out| features::write_before_login(out, &offer, config, host));
                Phase::Authenticating(Box::new(Authenticating::new(secured, offer)))
            }
            Standing::Authenticated(authenticated) => {
                cx.open_stream(|out| features::write_after_login(out, config, host));
                Phase::Binding(Binding::new(authenticated))
            }
        }
    }

    /// Checks a header and remembers the host it names.
    fn check(&self, header: &StreamHeader, cx: &mut Context<'_>) -> Result<(), StreamError> {
        let host = self.host_of(header, cx)?;
        cx.stream.host = Some(host);
        cx.stream.peer = None;
        if header.version.is_none_or(|(major, _)| major < 1) {
            // A stream without features cannot be secured (RFC 6120 4.7.5).
            return refuse(
                StreamCondition::UnsupportedVersion,
                "version 1.0 is required",
            );
        }
        if let Some(from) = &header.from {
            cx.stream.peer = self.peer_of(from, &cx.config.hosts[host].domain)?;
        }
        Ok(())
    }

    /// Without a `to` (RFC 6120 4.7.2 asks for one) the host is what TLS was made for, or the only one.
    fn host_of(&self, header: &StreamHeader, cx: &Context<'_>) -> Result<usize, StreamError> {
        let indicated = self
            .server_name()
            .and_then(|name| cx.config.host_named(name));
        let host = match &header.to {
            Some(to) if prepare_domain(to).is_err() => {
                return refuse(StreamCondition::ImproperAddressing, "`to` is not a domain");
            }
            Some(to) => cx.config.host_named(to),
            None => cx
                .stream
                .host
                .or(indicated)
                .or_else(|| cx.config.sole_host()),
        };
        let Some(host) = host else {
            return refuse(StreamCondition::HostUnknown, "this host is not served here");
        };
        if cx.stream.host.is_some_and(|chosen| chosen != host) {
            return refuse(
                StreamCondition::PolicyViolation,
                "a stream must not change its host",
            );
        }
        if indicated.is_some_and(|indicated| indicated != host) {
            // The client checked the certificate of one host of ours and talks to another.
            return refuse(
                StreamCondition::PolicyViolation,
                "TLS was made for another host",
            );
        }
        Ok(host)
    }

    /// The address to show in our header. Before login a claim proves nothing and is only echoed where it can be true;
    /// afterwards it must be the authenticated one (RFC 6120 4.9.3.9).
    fn peer_of(&self, from: &str, domain: &str) -> Result<Option<String>, StreamError> {
        let Ok(claimed) = Jid::parse(from) else {
            return refuse(StreamCondition::InvalidFrom, "`from` is not an address");
        };
        match &self.standing {
            Standing::Authenticated(authenticated)
                if !claimed.same_bare(authenticated.account()) =>
            {
                refuse(StreamCondition::InvalidFrom, "`from` is not who logged in")
            }
            _ => Ok((claimed.domain() == domain).then(|| claimed.bare_str().to_owned())),
        }
    }

    fn server_name(&self) -> Option<&str> {
        let tls = match &self.standing {
            Standing::Stranger => return None,
            Standing::Secured(secured) => secured.tls(),
            Standing::Authenticated(authenticated) => authenticated.tls(),
        };
        tls.server_name.as_deref()
    }
}

fn refuse<T>(condition: StreamCondition, text: &str) -> Result<T, StreamError> {
    Err(StreamError::new(condition).with_text(text))
}
