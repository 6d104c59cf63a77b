//! XEP-0128: Service Discovery Extensions.
//!
//! ```text
//! S: <query xmlns='http://jabber.org/protocol/disco#info'>…
//!      <x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>…</field>…</x>
//!    </query>
//! ```
//!
//! The forms that go with a place's `disco#info`. A host shows its software (XEP-0232's form), which spares clients a
//! request of XEP-0092, and in a second form its contact addresses (XEP-0157) and where it tells of itself (XEP-0485);
//! both are part of the capabilities' hash.

use rookery_xmpp::dataform::{DataForm, Field, FormKind};
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;

use super::{Info, Module, Place, Status, contact_addresses, server_info, version};
use crate::environment::Environment;

/// XEP-0128.
pub(super) const INFO: Info = Info {
    xep: 128,
    title: "Service Discovery Extensions",
    version: "1.0.1",
    status: Status::Complete,
    note: "hosts show their software, their contact addresses and where they tell of themselves",
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
pub(super) fn forms(env: &Environment, place: Place, host: &str) -> Vec<Element> {
    let forms = match place {
        Place::Host => [Some(software()), network(env, host)],
        Place::Own | Place::Account => [None, None],
    };
    let forms = forms.iter().flatten();
    forms.map(DataForm::to_element).collect()
}

/// One form, for XEP-0128 allows one of each type. None where there is nothing to tell.
fn network(env: &Environment, host: &str) -> Option<DataForm> {
    let contact = env.contact.load();
    let addresses = contact_addresses::fields(&contact.options);
    let fields: Vec<_> = addresses.chain(server_info::field(env, host)).collect();
    if fields.is_empty() {
        return None;
    }
    let form = DataForm::new(FormKind::Result).with_form_type(ns::SERVER_INFO);
    Some(fields.into_iter().fold(form, DataForm::with_field))
}

fn software() -> DataForm {
    DataForm::new(FormKind::Result)
        .with_form_type(SOFTWARE_FORM)
        .with_field(Field::submitted("software", version::NAME))
        .with_field(Field::submitted("software_version", version::VERSION))
}
