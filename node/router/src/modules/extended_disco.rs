//! XEP-0128: Service Discovery Extensions.
//!
//! ```text
//! S: <query xmlns='http://jabber.org/protocol/disco#info'>…
//!      <x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>…</field>…</x>
//!    </query>
//! ```
//!
//! The forms that go with a place's `disco#info`. A host shows its software (XEP-0232's form),
//! which spares clients a request of XEP-0092, and its contact addresses (XEP-0157); both are part of the capabilities'
//! hash.

use rookery_xmpp::dataform::{DataForm, Field, FormKind};
use rookery_xmpp::element::Element;

use super::{Info, Module, Place, Status, contact_addresses, version};
use crate::contact::ContactOptions;

/// XEP-0128.
pub(super) const INFO: Info = Info {
    xep: 128,
    title: "Service Discovery Extensions",
    version: "1.0.1",
    status: Status::Complete,
    note: "hosts show their software and their contact addresses",
};

/// The form of XEP-0232.
const SOFTWARE_FORM: &str = "urn:xmpp:dataforms:softwareinfo";

/// Adds forms to service discovery.
pub(super) struct ExtendedDisco;

impl Module for ExtendedDisco {
    fn info(&self) -> &'static Info {
        &INFO
    }
}

/// The forms of a place.
pub(super) fn forms(place: Place, contact: &ContactOptions) -> Vec<Element> {
    match place {
        Place::Host => {
            let software = software().to_element();
            [Some(software), contact_addresses::form(contact)]
                .into_iter()
                .flatten()
                .collect()
        }
        Place::Own | Place::Account => vec![],
    }
}

fn software() -> DataForm {
    DataForm::new(FormKind::Result)
        .with_form_type(SOFTWARE_FORM)
        .with_field(Field::submitted("software", version::NAME))
        .with_field(Field::submitted("software_version", version::VERSION))
}
