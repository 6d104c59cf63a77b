//! XEP-0401: Ad-hoc Account Invitation Generation.
//!
//! ```text
//! C: <command node='urn:xmpp:invite#invite'/>          S: completed, with uri, landing-url, expire
//! C: <command node='urn:xmpp:invite#create-account'/>  S: a form; with a name or none   S: the same
//! ```
//!
//! Who may do what is `[invites]`: an account has so many invitations that have not ended, used or not, so whoever has
//! one account does not get any number of others. Operators may always invite, and as many as they like. What is
//! refused is an entry of the control group's log as well, so an account is heard so many times a minute and no more.
//!
//! Somebody who registers with a `#invite` and the inviter become contacts without being asked; how, says
//! [`befriending`](crate::account::befriending).

use std::time::Duration;

use bytes::Bytes;
use rookery_control::{InviteId, InviteKind, InviteTerms, InvitesRefused, NewInvites};
use rookery_session::carrier::SessionId;
use rookery_store::account::Found;
use rookery_store::inviter::Inviter;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::dataform::{DataForm, Field, FieldType, FormKind};
use rookery_xmpp::datetime;
use rookery_xmpp::element::Element;
use rookery_xmpp::invitation::Invitation;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::Kind;
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};

use super::commands::{Command, Step};
use super::{Flow, Hook, Info, Iq, Module, Phase, Stanza, Status};
use crate::account::{Account, befriending};
use crate::options::InvitesBy;
use crate::shard::{InviteReply, InviteRequest, Reply, Request, Turn};

/// XEP-0401.
pub(super) const INFO: Info = Info {
    xep: 401,
    title: "Ad-hoc Account Invitation Generation",
    version: "0.6.0",
    status: Status::Complete,
    note: "where `[invites]` allows it; bounded for each account",
};

/// Makes those contacts who have invited one another.
pub(super) struct Invites;

impl Module for Invites {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn hooks(&self) -> &'static [(Hook, Phase)] {
        &[
            (Hook::Arrive, Phase::Guard),
            (Hook::Loaded, Phase::Stamp),
            (Hook::SessionBound, Phase::Notify),
        ]
    }

    fn arrive(&self, account: &mut Account, turn: &mut Turn<'_>, stanza: Stanza<'_>) -> Flow {
        let is_ours = stanza.from.as_str() == account.jid().domain();
        if !is_ours || stanza.rec.kind != Kind::Message {
            return Flow::Continue;
        }
        let Ok(message) = Element::parse(stanza.bytes()) else {
            return Flow::Continue;
        };
        match account.is_introduced(turn, &message) {
            true => Flow::Drop,
            false => Flow::Continue,
        }
    }

    fn loaded(&self, account: &mut Account, documents: &[(String, Bytes)]) {
        befriending::read(account, documents);
    }

    fn session_bound(&self, account: &mut Account, turn: &mut Turn<'_>, _session: SessionId) {
        account.befriends_inviter(turn);
    }
}

/// Who has invited somebody, as it is kept with the account.
pub(super) fn inviter(terms: &InviteTerms) -> Inviter {
    let user = terms.by.as_deref().and_then(|by| Jid::parse(by).ok());
    Inviter {
        contact: terms.kind == InviteKind::Contact && user.is_some(),
        user,
    }
}

/// Somebody has registered with an invitation: has the two become contacts, if it is for that.
pub(super) fn welcome(turn: &mut Turn<'_>, guest: &Jid, terms: &InviteTerms) {
    let inviter = inviter(terms);
    tracing::info!(account = %guest, by = inviter.as_str(), "account made by an invitation");
    if let (true, Some(user)) = (inviter.contact, &inviter.user) {
        befriending::introduce(turn, guest, user);
    }
}

/// `urn:xmpp:invite#invite`: an account, and the inviter as its contact.
pub(super) struct InviteContact;

impl Command for InviteContact {
    fn node(&self) -> &'static str {
        "urn:xmpp:invite#invite"
    }

    fn name(&self) -> &'static str {
        "Invite user"
    }

    fn is_for(&self, account: &Account, turn: &Turn<'_>) -> bool {
        let by = turn.env.invites.load().options.by_users;
        by != InvitesBy::Nobody || is_operator(account, turn)
    }

    fn begin(&self, account: &mut Account, turn: &mut Turn<'_>, _iq: &Iq) -> Step {
        create(account, turn, InviteKind::Contact, None)
    }
}

/// `urn:xmpp:invite#create-account`: an account, under a name that may be fixed.
pub(super) struct CreateAccount;

impl Command for CreateAccount {
    fn node(&self) -> &'static str {
        "urn:xmpp:invite#create-account"
    }

    fn name(&self) -> &'static str {
        "Create account"
    }

    fn is_for(&self, account: &Account, turn: &Turn<'_>) -> bool {
        let by = turn.env.invites.load().options.by_users;
        by == InvitesBy::Accounts || is_operator(account, turn)
    }

    fn begin(&self, _account: &mut Account, _turn: &mut Turn<'_>, _iq: &Iq) -> Step {
        let username = Field::new(FieldType::TextSingle, "username")
            .with_label("Username, or nothing to have it chosen");
        let contact = Field::boolean("roster-subscription", false).with_label("Become contacts");
        let form = DataForm::new(FormKind::Form)
            .with_title("Create account")
            .with_instructions("The new account is made when somebody opens the invitation.")
            .with_field(username)
            .with_field(contact);
        Step::Form(form.to_element())
    }

    fn submit(
        &self,
        account: &mut Account,
        turn: &mut Turn<'_>,
        _iq: &Iq,
        form: &DataForm,
    ) -> Step {
        let kind = match form.boolean("roster-subscription") {
            Some(true) => InviteKind::Contact,
            _ => InviteKind::Account,
        };
        let Some(name) = form.value("username").filter(|name| !name.is_empty()) else {
            return create(account, turn, kind, None);
        };
        if !is_heard(account, turn) {
            return Step::Refused(too_often());
        }
        let Ok(jid) = Jid::from_parts(Some(name), account.jid().domain(), None) else {
            return Step::Refused(unacceptable("this username is not a valid localpart"));
        };
        let name = jid.local().unwrap_or_default().to_owned();
        let draft = Draft::new(account, turn, kind, Some(name.clone()));
        // Whoever is invited under a name must get it.
        Step::Wait(
            Request::CheckName(name),
            Box::new(move |_, reply| match reply {
                Reply::Name(None) => when_free(jid, draft),
                Reply::Name(Some(_)) => Step::Refused(unacceptable("this username is reserved")),
                _ => Step::Refused(later()),
            }),
        )
    }
}

fn when_free(jid: Jid, draft: Draft) -> Step {
    Step::Wait(
        Request::Load(jid),
        Box::new(move |turn, reply| match reply {
            Reply::Loaded(Found::Account(_)) => {
                Step::Refused(StanzaError::new(Condition::Conflict))
            }
            Reply::Loaded(_) => draft.make(turn),
            _ => Step::Refused(later()),
        }),
    )
}

fn create(
    account: &mut Account,
    turn: &mut Turn<'_>,
    kind: InviteKind,
    name: Option<String>,
) -> Step {
    match is_heard(account, turn) {
        true => Draft::new(account, turn, kind, name).make(turn),
        false => Step::Refused(too_often()),
    }
}

/// How often an account has wanted an invitation in the minute that began then.
#[derive(Default)]
struct Wanted {
    since: Timestamp,
    times: u32,
}

/// Whether an account may ask the control group once more. It is counted.
fn is_heard(account: &mut Account, turn: &Turn<'_>) -> bool {
    let wanted = account.slots.get_or_default::<Wanted>();
    if turn.now.since(wanted.since) >= MINUTE {
        *wanted = Wanted {
            since: turn.now,
            times: 0,
        };
    }
    wanted.times += 1;
    wanted.times <= WANTED_MAX || is_operator(account, turn)
}

/// What an account wants to hand out.
struct Draft {
    by: Jid,
    kind: InviteKind,
    name: Option<String>,
    user_max: u32,
}

impl Draft {
    fn new(account: &Account, turn: &Turn<'_>, kind: InviteKind, name: Option<String>) -> Self {
        let user_max = match is_operator(account, turn) {
            true => OF_OPERATOR_MAX,
            false => turn.env.invites.load().options.per_user_max,
        };
        Self {
            by: account.jid().to_bare(),
            kind,
            name,
            user_max,
        }
    }

    fn make(self, turn: &mut Turn<'_>) -> Step {
        let settings = turn.env.invites.load_full();
        let token = turn.entropy.token();
        let life = Duration::from_millis(settings.options.life.as_ms().into());
        let expires = turn.now.plus(life);
        let new = NewInvites {
            ids: vec![InviteId::of(&token)],
            kind: self.kind,
            host: self.by.domain().to_owned(),
            by: Some(self.by.as_str().to_owned()),
            name: self.name.clone(),
            uses: 1,
            expires,
            user_max: self.user_max,
        };
        let request = Request::Invite(InviteRequest::Create(new));
        Step::Wait(
            request,
            Box::new(move |_, reply| match reply {
                Reply::Invite(InviteReply::Made) => {
                    let host = self.by.domain();
                    let invitation = match (self.kind, self.by.local()) {
                        (InviteKind::Contact, Some(inviter)) if self.name.is_none() => {
                            Invitation::to_roster(host, inviter, &token)
                        }
                        _ => Invitation::to_register(host, self.name.as_deref(), &token),
                    };
                    Step::Done(handed_out(
                        &invitation,
                        &settings.base_url,
                        &datetime::format(expires),
                    ))
                }
                Reply::Invite(InviteReply::NotMade(why)) => Step::Refused(refused(why)),
                _ => Step::Refused(later()),
            }),
        )
    }
}

/// XEP-0401 3.1.
fn handed_out(invitation: &Invitation<'_>, base: &str, expire: &str) -> Element {
    let field = |var, value: String| Field::new(FieldType::TextSingle, var).with_value(value);
    let mut form = DataForm::new(FormKind::Result)
        .with_form_type("urn:xmpp:invite#invitation")
        .with_field(field("uri", invitation.uri()).with_label("Invitation"));
    if !base.is_empty() {
        form = form.with_field(field("landing-url", invitation.url(base)).with_label("Its page"));
    }
    form.with_field(field("expire", expire.to_owned()).with_label("Good until"))
        .to_element()
}

fn is_operator(account: &Account, turn: &Turn<'_>) -> bool {
    turn.env.admins.contains(&account.jid().to_bare())
}

fn refused(why: InvitesRefused) -> StanzaError {
    match why {
        InvitesRefused::OfUserFull => StanzaError::new(Condition::PolicyViolation)
            .with_type(ErrorType::Wait)
            .with_text("you have as many invitations as you may have: wait until one has ended"),
        InvitesRefused::NameHeld => StanzaError::new(Condition::Conflict)
            .with_text("somebody is invited under this username"),
        InvitesRefused::Full | InvitesRefused::Unavailable(_) => later(),
    }
}

fn too_often() -> StanzaError {
    StanzaError::new(Condition::PolicyViolation)
        .with_type(ErrorType::Wait)
        .with_text("you have asked for too many invitations: try again in a minute")
}

fn unacceptable(text: &str) -> StanzaError {
    StanzaError::new(Condition::NotAcceptable)
        .with_type(ErrorType::Modify)
        .with_text(text)
}

fn later() -> StanzaError {
    StanzaError::new(Condition::ResourceConstraint)
        .with_type(ErrorType::Wait)
        .with_text("no invitation can be made at the moment; try again later")
}

/// Commands of one account in a minute that reach the control group; each makes two entries of its log at most.
const WANTED_MAX: u32 = 20;

const MINUTE: Duration = Duration::from_secs(60);

/// Invitations that an operator may have by commands; the command line has no such bound.
const OF_OPERATOR_MAX: u32 = 10_000;
