//! Errors of streams and stanzas. Conditions go by name, so that a version may know more of them
//! than another.

use rookery_xmpp::element::Element;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::{Malformed, Out, Reader};

pub(super) fn write_stream_error(error: &StreamError, out: &mut impl Out) {
    out.text(error.condition.as_str());
    out.some_text(error.text.as_deref());
    out.some_text(error.other_host.as_deref());
}

pub(super) fn read_stream_error(input: &mut Reader) -> Result<StreamError, Malformed> {
    let name = input.text()?;
    let known = STREAM_CONDITIONS.iter().find(|c| c.as_str() == name);
    Ok(StreamError {
        condition: known
            .copied()
            .unwrap_or(StreamCondition::UndefinedCondition),
        text: input.some_text()?,
        other_host: input.some_text()?,
        // Only streams themselves have any.
        application: None,
    })
}

pub(super) fn write_stanza_error(error: &StanzaError, out: &mut impl Out) {
    out.text(error.condition.as_str());
    out.text(error.error_type.as_str());
    out.some_text(error.text.as_deref());
    out.some_text(error.new_address.as_deref());
    out.bool(error.application.is_some());
    if let Some(application) = &error.application {
        out.bytes(&application.to_bytes());
    }
}

pub(super) fn read_stanza_error(input: &mut Reader) -> Result<StanzaError, Malformed> {
    let condition = Condition::from_name(&input.text()?).unwrap_or(Condition::UndefinedCondition);
    let error_type = ErrorType::from_name(&input.text()?).unwrap_or(ErrorType::Cancel);
    let text = input.some_text()?;
    let new_address = input.some_text()?.map(String::into_boxed_str);
    let application = match input.bool()? {
        true => Some(Element::parse(&input.octets()?).map_err(|_| Malformed("not an element"))?),
        false => None,
    };
    Ok(StanzaError {
        error_type,
        condition,
        text,
        new_address,
        application: application.map(Box::new),
        // Only shards write what is beside an error, into the answers that they give themselves.
        beside: None,
    })
}

pub(super) const STREAM_CONDITIONS: [StreamCondition; 25] = [
    StreamCondition::BadFormat,
    StreamCondition::BadNamespacePrefix,
    StreamCondition::Conflict,
    StreamCondition::ConnectionTimeout,
    StreamCondition::HostGone,
    StreamCondition::HostUnknown,
    StreamCondition::ImproperAddressing,
    StreamCondition::InternalServerError,
    StreamCondition::InvalidFrom,
    StreamCondition::InvalidNamespace,
    StreamCondition::InvalidXml,
    StreamCondition::NotAuthorized,
    StreamCondition::NotWellFormed,
    StreamCondition::PolicyViolation,
    StreamCondition::RemoteConnectionFailed,
    StreamCondition::Reset,
    StreamCondition::ResourceConstraint,
    StreamCondition::RestrictedXml,
    StreamCondition::SeeOtherHost,
    StreamCondition::SystemShutdown,
    StreamCondition::UndefinedCondition,
    StreamCondition::UnsupportedEncoding,
    StreamCondition::UnsupportedFeature,
    StreamCondition::UnsupportedStanzaType,
    StreamCondition::UnsupportedVersion,
];
