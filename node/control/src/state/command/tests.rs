//! Commands as bytes.

use super::*;
use crate::state::{FormatError, NodeId};

#[test]
fn a_proposal_survives_the_log() {
    let proposal = Proposal {
        request: RequestId {
            node: NodeId::FIRST,
            incarnation: 2,
            sequence: 3,
        },
        acknowledged: 1,
        now: Timestamp(4),
        command: Command::Reserve {
            host: "bücher.example".into(),
            address: "2001:db8::1".parse().unwrap(),
            name: "olga".into(),
            forms: Some(NameForms::of("olga")),
            invite: None,
        },
    };
    assert_eq!(Proposal::decode(&proposal.encode()).unwrap(), proposal);
}

#[test]
fn a_registration_in_the_format_before_is_read_and_asks_no_rule() {
    let json = r#"{"request":{"node":1,"incarnation":2,"sequence":3},"acknowledged":1,"now":4,
        "command":{"reserve":{"host":"a.example","address":"192.0.2.1","name":"olga"}}}"#;
    let read = Proposal::decode(&[b"\x02", json.as_bytes()].concat()).unwrap();
    assert!(matches!(read.command, Command::Reserve { forms: None, .. }));
}

#[test]
fn foreign_bytes_are_refused_by_cause() {
    assert!(matches!(
        Proposal::decode(&[7, b'{']),
        Err(FormatError::Newer { found: 7 })
    ));
    for bytes in [&[][..], &[0], &[1], b"\x01{\"request\":1}"] {
        assert!(
            matches!(Proposal::decode(bytes), Err(FormatError::Corrupt(_))),
            "{bytes:?}"
        );
    }
}
