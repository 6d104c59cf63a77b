//! The xmpp floor.
