//! Frames of all kinds.

use rookery_session::carrier::{Barred, Moderation};

use super::*;

fn register(address: IpAddr, invite: Option<ShownToken>) -> Question {
    Question::Register {
        host: "example.net".to_owned(),
        address,
        iq: Bytes::from_static(b"<iq type=\"get\"/>"),
        invite: invite.map(Box::new),
    }
}

/// What a client has its node ask.
fn of_clients() -> Vec<Question> {
    let account = jid("juliet@example.net");
    let v4 = IpAddr::from([192, 0, 2, 1]);
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    let bind = |resource: Option<&str>, address| Question::Bind {
        account: account.clone(),
        resource: resource.map(str::to_owned),
        address,
    };
    vec![
        Question::Credentials {
            account: account.clone(),
        },
        bind(None, v4),
        Question::Enable {
            account: account.clone(),
            first: 1 << 40,
        },
        Question::Resume {
            account: account.clone(),
            id: "name".to_owned(),
            h: u32::MAX,
            address: v6,
        },
        bind(Some("bälcony"), v6),
        register(v6, None),
        register(
            v4,
            Some(ShownToken {
                token: "tökén".to_owned(),
                age_ms: 1 << 40,
            }),
        ),
    ]
}

fn questions() -> Vec<Question> {
    let account = jid("juliet@example.net");
    let mut questions = of_clients();
    let password = "pässword".to_owned();
    questions.extend(
        [
            AdminQuestion::CreateAccount {
                account: account.clone(),
                password: password.clone(),
                force: false,
            },
            AdminQuestion::CreateAccount {
                account: account.clone(),
                password: password.clone(),
                force: true,
            },
            AdminQuestion::DeleteAccount {
                account: account.clone(),
                now: false,
            },
            AdminQuestion::DeleteAccount {
                account: account.clone(),
                now: true,
            },
            AdminQuestion::SetPassword {
                account: account.clone(),
                password,
            },
            AdminQuestion::SetEnabled {
                account: account.clone(),
                enabled: true,
            },
            AdminQuestion::ShowAccount {
                account: account.clone(),
            },
            AdminQuestion::ListSessions {
                account: None,
                shard: SHARD,
            },
            AdminQuestion::ListSessions {
                account: Some(account.clone()),
                shard: SHARD,
            },
        ]
        .map(Question::Admin),
    );
    let steps = [
        Moderation::Restore,
        Moderation::Approve,
        Moderation::Deny { tombstone: false },
        Moderation::Deny { tombstone: true },
        Moderation::EndDue {
            awaiting_before: Timestamp(1 << 41),
        },
    ];
    questions.extend(steps.map(|step| {
        let account = account.clone();
        Question::Admin(AdminQuestion::Moderate { account, step })
    }));
    questions.extend(stream_errors().into_iter().map(|error| {
        Question::Admin(AdminQuestion::CloseSessions {
            jid: account.clone(),
            error,
        })
    }));
    questions
}

/// What is answered of accounts that are not in use.
fn of_standing(credentials: &Arc<Credentials>) -> [Answer; 3] {
    [
        Answer::Barred(credentials.clone(), Barred::AwaitsApproval),
        Answer::Barred(credentials.clone(), Barred::Leaves),
        Answer::Admin(AdminAnswer::Leaving(Timestamp(1 << 41))),
    ]
}

fn answers() -> Vec<Answer> {
    let credentials = Arc::new(Credentials::derive("secret", b"0123456789abcdef", 3).unwrap());
    let of_standing = of_standing(&credentials);
    let summary = |priority, show: &str| SessionSummary {
        jid: jid("juliet@example.net/a"),
        address: IpAddr::from([192, 0, 2, 1]),
        bound: Timestamp(1 << 41),
        priority,
        show: show.to_owned(),
    };
    let sessions = vec![summary(None, ""), summary(Some(-5), "away")];
    let account = |last_seen| AccountSummary {
        account: jid("juliet@example.net"),
        created: Timestamp(5),
        enabled: false,
        last_seen,
        roster_items: 9,
        offline_messages: u64::MAX,
        sessions: sessions.clone(),
    };
    let mut answers = vec![
        Answer::Credentials(None),
        Answer::Credentials(Some(credentials)),
        Answer::Bound(shared("juliet@example.net/a")),
        Answer::Iq(Bytes::from_static(b"<iq type=\"result\"/>")),
        Answer::Unavailable,
        Answer::Enabled {
            id: "name".to_owned(),
            max_s: 300,
        },
        Answer::Resumed(Resumed {
            jid: shared("juliet@example.net/a"),
            id: "name".to_owned(),
            max_s: 300,
            h: 7,
            acked: 1 << 33,
            seen: rookery_session::Seen::heard([(SESSION, 3, 1)]),
        }),
        Answer::NotResumed { h: None },
        Answer::NotResumed { h: Some(0) },
    ];
    answers.extend(Condition::ALL.iter().map(|condition| {
        Answer::Refused(
            StanzaError::new(*condition)
                .with_type(ErrorType::Wait)
                .with_text("text"),
        )
    }));
    answers.push(Answer::Refused(
        StanzaError::new(Condition::Gone)
            .with_new_address("xmpp:x@y")
            .with_application(Element::new("a", "urn:b").with_text("&")),
    ));
    answers.extend(
        [
            AdminAnswer::Done,
            AdminAnswer::NotFound,
            AdminAnswer::AlreadyExists,
            AdminAnswer::Invalid("no".to_owned()),
            AdminAnswer::Account(Box::new(account(None))),
            AdminAnswer::Account(Box::new(account(Some(Timestamp(8))))),
            AdminAnswer::Sessions(sessions.clone()),
            AdminAnswer::Sessions(vec![]),
            AdminAnswer::Closed(3),
        ]
        .map(Answer::Admin),
    );
    answers.extend(of_standing);
    answers
}

pub(super) fn ups() -> Vec<Up> {
    let mut bodies: Vec<_> = questions()
        .into_iter()
        .map(|question| {
            UpBody::Session(ToShard::Ask {
                from: Arc::new(Nobody),
                ask: AskId(77),
                question,
            })
        })
        .collect();
    for batch in [some_batch(), Batch::default()] {
        bodies.push(UpBody::Session(ToShard::Stanzas {
            session: SESSION,
            from: shared("a@b/c"),
            sequence: 1 << 40,
            batch: batch.clone(),
            receipt: None,
        }));
        let mut frame = PeerFrame::new(shared("a@b/c"), shared("d@e"), batch);
        bodies.push(UpBody::Peer(frame.clone()));
        frame.origin = Some(ORIGIN);
        bodies.push(UpBody::Peer(frame));
    }
    let unnumbered = Delivered {
        origins: Origins::Each(some_batch().recs.iter().map(|_| Some(ORIGIN)).collect()),
        arrival: 1 << 33,
        ..Delivered::from(some_batch())
    };
    bodies.extend([unnumbered, some_numbered()].map(|delivered| {
        UpBody::Session(ToShard::Left {
            session: SESSION,
            jid: shared("a@b/c"),
            delivered: Box::new(delivered),
        })
    }));
    bodies.push(UpBody::Session(ToShard::Closed {
        session: SESSION,
        jid: shared("a@b/c"),
        receipt: None,
    }));
    bodies.push(UpBody::Session(ToShard::Detached {
        session: SESSION,
        jid: shared("a@b/c"),
        receipt: None,
    }));
    bodies.push(acked());
    bodies.extend([UpBody::Again(7), UpBody::Fence, UpBody::AllAnnounced]);
    for (address, state) in [("192.0.2.1", &b"<session/>"[..]), ("2001:db8::1", b"")] {
        bodies.push(UpBody::Announce(Announced {
            session: SESSION,
            round: 3,
            jid: shared("a@b/c"),
            address: address.parse().unwrap(),
            state: Bytes::from_static(state),
            kept: (!state.is_empty()).then(|| Box::new(some_kept())),
        }));
    }
    let up = |body| {
        let mut up = Up::new(SHARD, body);
        up.token = if up.is_kept() { 1 << 50 } else { 0 };
        up
    };
    let mut ups: Vec<_> = bodies.into_iter().map(up).collect();
    ups.push(Up::new(ShardId(0), UpBody::NotTaken(u64::MAX)));
    ups
}

fn acked() -> UpBody {
    UpBody::Session(ToShard::Acked {
        session: SESSION,
        jid: shared("a@b/c"),
        acked: 1 << 41,
    })
}

/// Stanzas that are numbered, each with its origin.
fn some_numbered() -> Delivered {
    let batch = some_batch();
    let origins = batch.recs.iter().enumerate();
    let origins = origins.map(|(at, _)| (at % 2 == 0).then_some(ORIGIN.plus(at)));
    Delivered {
        origins: Origins::Each(origins.collect()),
        arrival: 1 << 35,
        number: 4,
        ..Delivered::from(batch)
    }
}

fn some_kept() -> Kept {
    Kept {
        id: "name".to_owned(),
        next_stanza: 1 << 36,
        again: (1 << 36) + 8,
        submitted: (1 << 36) + 9,
        h: u32::MAX,
        acked: 3,
        unacked: vec![some_numbered()],
        seen: rookery_session::Seen::heard([(SESSION, 1 << 37, u64::MAX)]),
    }
}

pub(super) fn downs() -> Vec<Down> {
    let mut frames: Vec<_> = answers()
        .into_iter()
        .map(|answer| {
            (
                0,
                ToSession::Answer {
                    ask: AskId(3),
                    answer,
                },
            )
        })
        .collect();
    frames.extend(
        stream_errors()
            .into_iter()
            .map(|e| (0, ToSession::Close(e))),
    );
    frames.push((9, ToSession::Deliver(some_batch().into())));
    frames.push((0, ToSession::Deliver(Batch::default().into())));
    let mut delivered = Delivered::from(some_batch());
    delivered.origins = Origins::Run(ORIGIN);
    frames.push((2, ToSession::Deliver(delivered.clone())));
    let each = delivered.batch.recs.iter().enumerate();
    let each = each.map(|(at, _)| (at % 2 == 0).then_some(ORIGIN.plus(at)));
    delivered.origins = Origins::Each(each.collect());
    frames.push((2, ToSession::Deliver(delivered)));
    frames.push((5, ToSession::Deliver(some_numbered())));
    frames.push((4, ToSession::Remember(Bytes::from_static(b"<session/>"))));
    frames.push((0, ToSession::WrongPassword));
    let mut bodies: Vec<_> = frames
        .into_iter()
        .map(|(round, frame)| DownBody::Session {
            session: SESSION,
            round,
            jid: None,
            epoch: None,
            ticket: None,
            frame,
        })
        .collect();
    bodies.push(DownBody::NotMine(SHARD, 6));
    bodies.push(DownBody::Fenced(SHARD));
    bodies.push(DownBody::Settled(vec![(SHARD, 1), (ShardId(0), u64::MAX)]));
    bodies.push(DownBody::Held(8));
    bodies.push(DownBody::Room(SHARD));
    bodies.into_iter().map(|body| Down { body }).collect()
}
