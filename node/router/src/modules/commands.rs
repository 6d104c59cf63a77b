//! XEP-0050: Ad-Hoc Commands.
//!
//! ```text
//! C: <iq type='set' to='host'><command node='…' action='execute'/></iq>
//! S: <command node='…' sessionid='a' status='executing'><actions execute='complete'>…<x type='form'>…</command>
//! C: <command node='…' sessionid='a'><x type='submit'>…</command>
//! S: <command node='…' sessionid='a' status='completed'>…</command>
//! ```
//!
//! A command is a [`Command`] and one line in [`COMMANDS`]. It has one form at most, so what is kept of one that waits
//! for it is its name only, for [`LIFE`] and in the account's memory: whoever comes back later, or after the account
//! has moved, begins anew. An account has [`OPEN_MAX`] of them at once; one more ends the oldest.

use std::time::Duration;

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::dataform::DataForm;
use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::StanzaType;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::{Info, Iq, IqRoute, Module, Outcome, Place, Status, invites};
use crate::account::Account;
use crate::shard::{Reply, Request, Turn};

/// XEP-0050.
pub(super) const INFO: Info = Info {
    xep: 50,
    title: "Ad-Hoc Commands",
    version: "1.3.0",
    status: Status::Complete,
    note: "of the server's hosts; those of accounts are their clients' own",
};

/// Something that a user can have a host do.
pub(super) trait Command: Sync {
    /// The name in stanzas.
    fn node(&self) -> &'static str;

    /// The name for people.
    fn name(&self) -> &'static str;

    /// Whether this account may do it. Others do not see it.
    fn is_for(&self, account: &Account, turn: &Turn<'_>) -> bool;

    /// Begins it: done at once, or with the form that it needs.
    fn begin(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Step;

    /// Goes on with the form that was filled in. Only commands that have asked for one come here.
    fn submit(
        &self,
        _account: &mut Account,
        _turn: &mut Turn<'_>,
        _iq: &Iq,
        _form: &DataForm,
    ) -> Step {
        Step::Refused(bad("malformed-action"))
    }
}

/// What comes of a step of a command.
pub(super) enum Step {
    /// Done, with this result.
    Done(Element),
    /// This form is to be filled in.
    Form(Element),
    /// Not done.
    Refused(StanzaError),
    /// It depends on an answer.
    Wait(Request, Resume),
}

/// Goes on with a step when the reply is there.
pub(super) type Resume = Box<dyn FnOnce(&mut Turn<'_>, Reply) -> Step + Send>;

/// Every command.
const COMMANDS: &[&dyn Command] = &[&invites::InviteContact, &invites::CreateAccount];

/// Finds commands and runs them.
pub(super) struct Commands;

impl Module for Commands {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn features(&self, place: Place) -> &'static [&'static str] {
        match place {
            Place::Host => &[ns::COMMANDS],
            Place::Own | Place::Account => &[],
        }
    }

    fn iq_routes(&self) -> &'static [IqRoute] {
        const ROUTES: &[IqRoute] = &[IqRoute {
            place: Place::Host,
            stanza_type: StanzaType::Set,
            namespace: ns::COMMANDS,
            name: "command",
        }];
        ROUTES
    }

    fn iq(&self, account: &mut Account, turn: &mut Turn<'_>, iq: &Iq) -> Outcome {
        let wanted = iq.payload.attr("node").unwrap_or_default();
        let Some(command) = known(account, turn, iq, wanted) else {
            return Outcome::Error(StanzaError::new(Condition::ItemNotFound));
        };
        let action = iq.payload.attr("action").unwrap_or("execute");
        let session = iq.payload.attr("sessionid");
        if !matches!(action, "execute" | "complete" | "next" | "cancel") {
            let why = if action == "prev" {
                "bad-action"
            } else {
                "malformed-action"
            };
            return Outcome::Error(bad(why));
        }
        let now = turn.now;
        let open = account.slots.get_or_default::<Open>();
        let step = match session {
            Some(id) if !open.close(id, command.node(), now) => {
                return Outcome::Error(bad("bad-sessionid"));
            }
            Some(id) if action == "cancel" => {
                let canceled = answer(command, id, "canceled");
                return Outcome::Result(Some(canceled));
            }
            Some(_) => match submitted(&iq.payload) {
                Ok(form) => command.submit(account, turn, iq, &form),
                Err(error) => Step::Refused(error),
            },
            None if matches!(action, "execute" | "complete") => command.begin(account, turn, iq),
            None => return Outcome::Error(bad("bad-action")),
        };
        let id = session.map_or_else(|| turn.entropy.token(), str::to_owned);
        conclude(account, turn, command, id, step)
    }
}

/// The command of that name, if this account sees it.
fn known(account: &Account, turn: &Turn<'_>, iq: &Iq, node: &str) -> Option<&'static dyn Command> {
    visible(account, turn, iq).find(|command| command.node() == node)
}

/// Only the host's own accounts see commands.
fn visible<'a>(
    account: &'a Account,
    turn: &'a Turn<'_>,
    iq: &Iq,
) -> impl Iterator<Item = &'static dyn Command> + 'a {
    let is_here = iq.is_own() && iq.host() == account.jid().domain();
    let all = COMMANDS.iter().copied();
    all.filter(move |command| is_here && command.is_for(account, turn))
}

/// XEP-0050 4: what disco tells of a host's commands; `None` for a node that is not theirs.
pub(super) fn disco(account: &Account, turn: &Turn<'_>, iq: &Iq, node: &str) -> Option<Element> {
    let is_items = iq.payload.ns() == ns::DISCO_ITEMS;
    let namespace = match is_items {
        true => ns::DISCO_ITEMS,
        false => ns::DISCO_INFO,
    };
    let query = Element::new("query", namespace).with_attr("node", node);
    if node == ns::COMMANDS {
        return Some(match is_items {
            true => visible(account, turn, iq).fold(query, |query, command| {
                query.with_child(
                    Element::new("item", ns::DISCO_ITEMS)
                        .with_attr("jid", iq.host())
                        .with_attr("node", command.node())
                        .with_attr("name", command.name()),
                )
            }),
            false => query.with_child(identity("command-list", "Commands")),
        });
    }
    let command = known(account, turn, iq, node)?;
    let feature = |var| Element::new("feature", ns::DISCO_INFO).with_attr("var", var);
    Some(match is_items {
        true => query,
        false => query
            .with_child(identity("command-node", command.name()))
            .with_child(feature(ns::COMMANDS))
            .with_child(feature(ns::DATA_FORMS)),
    })
}

fn identity(kind: &str, name: &str) -> Element {
    Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", "automation")
        .with_attr("type", kind)
        .with_attr("name", name)
}

fn conclude(
    account: &mut Account,
    turn: &Turn<'_>,
    command: &'static dyn Command,
    id: String,
    step: Step,
) -> Outcome {
    match step {
        Step::Done(result) => {
            let done = answer(command, &id, "completed").with_child(result);
            Outcome::Result(Some(done))
        }
        Step::Form(form) => {
            let actions = Element::new("actions", ns::COMMANDS)
                .with_attr("execute", "complete")
                .with_child(Element::new("complete", ns::COMMANDS));
            let asks = answer(command, &id, "executing")
                .with_child(actions)
                .with_child(form);
            let open = account.slots.get_or_default::<Open>();
            open.add(id, command.node(), turn.now);
            Outcome::Result(Some(asks))
        }
        Step::Refused(error) => Outcome::Error(error),
        Step::Wait(request, resume) => Outcome::wait(request, move |account, turn, _, reply| {
            let step = resume(turn, reply);
            conclude(account, turn, command, id, step)
        }),
    }
}

fn answer(command: &dyn Command, session: &str, status: &str) -> Element {
    Element::new("command", ns::COMMANDS)
        .with_attr("node", command.node())
        .with_attr("sessionid", session)
        .with_attr("status", status)
}

fn submitted(command: &Element) -> Result<DataForm, StanzaError> {
    let form = command
        .child("x", ns::DATA_FORMS)
        .map(DataForm::from_element);
    form.and_then(Result::ok).ok_or_else(|| bad("bad-payload"))
}

/// XEP-0050 4.3.
fn bad(why: &'static str) -> StanzaError {
    StanzaError::new(Condition::BadRequest)
        .with_type(ErrorType::Modify)
        .with_application(Element::new(why, ns::COMMANDS))
}

/// The commands of an account that wait for a form.
#[derive(Default)]
struct Open(Vec<(String, &'static str, Timestamp)>);

impl Open {
    fn add(&mut self, id: String, node: &'static str, now: Timestamp) {
        self.0.retain(|(_, _, began)| now < began.plus(LIFE));
        if self.0.len() >= OPEN_MAX {
            self.0.remove(0);
        }
        self.0.push((id, node, now));
    }

    /// Whether this one waited. It does so no more.
    fn close(&mut self, id: &str, node: &str, now: Timestamp) -> bool {
        let before = self.0.len();
        let mut is_in_time = false;
        self.0.retain(|(open, of, began)| {
            let is_it = open == id && *of == node;
            is_in_time |= is_it && now < began.plus(LIFE);
            !is_it
        });
        self.0.len() < before && is_in_time
    }
}

/// Commands of one account that wait for a form.
const OPEN_MAX: usize = 4;

/// How long a person may take for a form.
const LIFE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_wait_are_few_and_for_a_while() {
        let (mut open, now) = (Open::default(), Timestamp(1_000));
        for number in 0..=OPEN_MAX {
            open.add(number.to_string(), "x", now);
        }
        assert!(!open.close("0", "x", now), "the oldest has ended");
        assert!(!open.close("1", "y", now), "another command");
        assert!(open.close("1", "x", now));
        assert!(!open.close("1", "x", now), "once");
        let late = now.plus(LIFE);
        assert!(!open.close("2", "x", late));
        open.add("5".into(), "x", late);
        assert_eq!(open.0.len(), 1, "what is over is forgotten");
    }
}
