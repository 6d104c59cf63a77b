//! XEP-0157: Contact Addresses for XMPP Services.
//!
//! ```text
//! C: <iq type='get' to='capulet.example'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>
//! S: …<x xmlns='jabber:x:data' type='result'>
//!       <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>
//!       <field var='abuse-addresses' type='list-multi'><value>mailto:abuse@capulet.example</value></field>
//!     </x>
//! ```
//!
//! Kinds without an address are left out, and so is the form when it has no field.

use rookery_xmpp::dataform::{Field, FieldType};

use super::{Info, Module, Status};
use crate::contact::ContactOptions;

/// XEP-0157.
pub(super) const INFO: Info = Info {
    xep: 157,
    title: "Contact Addresses for XMPP Services",
    version: "1.1.1",
    status: Status::Complete,
    note: "with the mailboxes of RFC 2142",
};

/// Tells how to reach whoever runs the server.
pub(super) struct ContactAddresses;

impl Module for ContactAddresses {
    fn info(&self) -> &'static Info {
        &INFO
    }
}

/// The fields for the form in a host's `disco#info`.
pub(super) fn fields(contact: &ContactOptions) -> impl Iterator<Item = Field> {
    let kinds = contact.kinds().into_iter();
    let kinds = kinds.filter(|(_, addresses)| !addresses.is_empty());
    kinds.map(|(name, addresses)| Field::new(FieldType::ListMulti, name).with_values(addresses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_without_an_address_are_left_out() {
        assert_eq!(fields(&ContactOptions::default()).count(), 0);
        let contact = ContactOptions {
            abuse: vec![
                "mailto:abuse@a.example".into(),
                "xmpp:juliet@a.example".into(),
            ],
            status: vec!["https://status.a.example".into()],
            ..ContactOptions::default()
        };
        let shown: Vec<_> = fields(&contact).collect();
        let named: Vec<_> = shown.iter().map(|field| field.var.as_str()).collect();
        assert_eq!(named, ["abuse-addresses", "status-addresses"]);
        assert_eq!(shown[0].values.len(), 2);
    }
}
