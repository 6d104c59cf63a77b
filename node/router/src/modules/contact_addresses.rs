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
//! Kinds without an address are left out, and so is the form when there is none at all.

use rookery_xmpp::dataform::{DataForm, Field, FieldType, FormKind};
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;

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

/// The form for a host's `disco#info`.
pub(super) fn form(contact: &ContactOptions) -> Option<Element> {
    let kinds = contact.kinds();
    let kinds = kinds.iter().filter(|(_, addresses)| !addresses.is_empty());
    let fields: Vec<_> = kinds
        .map(|(name, addresses)| Field::new(FieldType::ListMulti, *name).with_values(*addresses))
        .collect();
    if fields.is_empty() {
        return None;
    }
    let form = DataForm::new(FormKind::Result).with_form_type(ns::SERVER_INFO);
    let form = fields.into_iter().fold(form, DataForm::with_field);
    Some(form.to_element())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_without_an_address_are_left_out() {
        assert_eq!(form(&ContactOptions::default()), None);
        let contact = ContactOptions {
            abuse: vec![
                "mailto:abuse@a.example".into(),
                "xmpp:juliet@a.example".into(),
            ],
            status: vec!["https://status.a.example".into()],
            ..ContactOptions::default()
        };
        let form = DataForm::from_element(&form(&contact).unwrap()).unwrap();
        let named: Vec<_> = form.fields.iter().map(|field| field.var.as_str()).collect();
        assert_eq!(named, ["FORM_TYPE", "abuse-addresses", "status-addresses"]);
        assert_eq!(form.fields[1].values.len(), 2);
    }
}
