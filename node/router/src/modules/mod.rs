//! The XEPs: one file each, one line each in [`registry::all`](all).
//!
//! A module's file always has the same order: its documentation with one exchange drawn, `INFO`,
//! its type, its [`Module`] implementation, its pure rules, its tests. It does no IO: what it wants
//! written or read it asks for ([`Outcome::Wait`],
//! [`Account::request`](crate::account::Account::request)).
//!
//! Stanzas pass the modules that joined a hook in the order of their phases:
//!
//! ```text
//! Guard < Validate < Privacy < Stamp < Archive < Copy < Deliver < Notify
//! ```

mod archive;
mod archive_preferences;
mod bits_of_binary;
mod blocking;
pub mod caps;
mod captcha;
pub(crate) mod carbons;
mod commands;
mod contact_addresses;
mod delayed_delivery;
mod disco;
mod extended_disco;
mod invites;
pub mod last_activity;
mod media_element;
mod module;
mod offline_messages;
mod ping;
mod preauth;
mod private_xml;
pub mod registration;
mod registry;
mod reporting;
mod result_sets;
pub(crate) mod retraction;
mod server_info;
mod stanza_ids;
mod time;
mod vcard;
mod vcard_avatar;
pub mod version;

pub use module::{
    After, Flow, Hook, Info, Iq, IqRoute, Module, Outcome, Phase, Place, Resume, Stanza, Status,
};
pub use registry::{Registry, all};
