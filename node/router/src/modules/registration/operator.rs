//! Making accounts for the operator: past the throttle, the form and the captcha, for whoever runs the server decides
//! who is on it. Its names are checked all the same, unless that is not wanted; its passwords are where it asks (the
//! admin API).

use rookery_session::carrier::{AdminAnswer, AdminQuestion, Answer, AskId, Question, SinkRef};
use rookery_store::StoreError;
use rookery_store::name::NameChecks;
use rookery_store::standing::Standing;
use rookery_xmpp::jid::Jid;

use super::{Making, checks, creation, derivation};
use crate::shard::{Reply, Request, Turn};

/// Creates an account for the operator.
pub(crate) fn create_for_operator(
    turn: &mut Turn<'_>,
    from: SinkRef,
    ask: AskId,
    question: Question,
) {
    let Question::Admin(AdminQuestion::CreateAccount {
        account,
        password,
        force,
    }) = question
    else {
        return;
    };
    if !account.is_bare() || account.local().is_none() || !turn.env.is_local(account.domain()) {
        let text = format!("{account} is not an address of a host that is served here");
        return turn.answer(&from, ask, Answer::Admin(AdminAnswer::Invalid(text)));
    }
    if force {
        return derive_for_operator(turn, from, ask, account, password, NameChecks::NONE);
    }
    let name = account.local().unwrap_or_default().to_owned();
    turn.request_free(Request::CheckName(name), move |turn, reply| match reply {
        Reply::Name(None) => {
            let checks = checks(turn);
            derive_for_operator(turn, from, ask, account, password, checks);
        }
        other => turn.answer(&from, ask, operator_answer(&other)),
    });
}

fn derive_for_operator(
    turn: &mut Turn<'_>,
    from: SinkRef,
    ask: AskId,
    account: Jid,
    password: String,
    checks: NameChecks,
) {
    let request = derivation(turn, password);
    turn.request_free(request, move |turn, reply| match reply {
        Reply::Credentials(keys) => {
            let making = Making {
                jid: account,
                keys: *keys,
                details: Default::default(),
                address: None,
                checks,
                standing: Standing::Member,
                inviter: None,
            };
            turn.request_free(creation(turn, making), move |turn, reply| {
                turn.answer(&from, ask, operator_answer(&reply));
            });
        }
        other => turn.answer(&from, ask, operator_answer(&other)),
    });
}

fn operator_answer(reply: &Reply) -> Answer {
    match reply {
        Reply::Done => Answer::Admin(AdminAnswer::Done),
        Reply::Failed(StoreError::AlreadyExists) => Answer::Admin(AdminAnswer::AlreadyExists),
        Reply::Failed(error) if error.is_about_name() => {
            let why = format!("{error}: --force creates it all the same");
            Answer::Admin(AdminAnswer::Invalid(why))
        }
        Reply::Name(Some((rule, kind))) => {
            let kind = kind.as_str();
            let why = format!(
                "the name is {kind} by the rule `{rule}` (`rookery admin names list`): --force creates it all the same"
            );
            Answer::Admin(AdminAnswer::Invalid(why))
        }
        Reply::BadPassword => Answer::Admin(AdminAnswer::Invalid(
            "the password is empty or has characters that no password may have".into(),
        )),
        _ => Answer::Unavailable,
    }
}
