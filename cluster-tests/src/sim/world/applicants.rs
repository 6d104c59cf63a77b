//! Strangers who want accounts.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rookery_session::carrier::{
    Answer, AskId, Question, Routers, ShardId, SinkRef, ToSession, ToShard,
};
use rookery_xmpp::jid::Jid;

use super::{SHARDS, World};
use crate::sim::inbox::Inbox;
use crate::sim::message;
use crate::sim::process::HOST;

/// Somebody who wants an account.
pub(super) struct Applicant {
    node: u32,
    life: u32,
    inbox: Arc<Inbox>,
    address: IpAddr,
    account: Jid,
}

impl World {
    /// The user of a client asks for another account.
    pub(super) fn apply_for_account(&mut self, at: usize) {
        let Some(node) = self.clients[at]
            .session
            .as_ref()
            .map(|session| session.id.node)
        else {
            return;
        };
        let inbox = Arc::new(self.inbox(node));
        let serial = self.last_serial;
        let name = format!("new{serial}");
        let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + serial as u32));
        let Some(process) = self.processes.get(&node) else {
            return;
        };
        let from: SinkRef = inbox.clone();
        let iq = format!(
            "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>\
             <password>secret</password></query></iq>"
        );
        let mut canonical = Vec::new();
        message::canonical(&iq, &self.clients[at].account, &mut canonical);
        let ask = ToShard::Ask {
            from,
            ask: AskId(1),
            question: Question::Register {
                host: HOST.to_owned(),
                address,
                iq: canonical.into(),
                invite: None,
            },
        };
        let shard = ShardId((serial % u64::from(SHARDS)) as u16);
        let guard = process.enter();
        let taken = process.ways.send(shard, ask).is_ok();
        drop(guard);
        if taken {
            self.applicants.push(Applicant {
                node,
                life: process.life,
                inbox,
                address,
                account: format!("{name}@{HOST}").parse().expect("a JID"),
            });
        }
        self.touch(node);
    }

    /// Tells the applicants of a node what came of it.
    pub(super) fn serve_applicants(&mut self, node: u32) {
        let life = self.processes.get(&node).map(|process| process.life);
        let mut answers = Vec::new();
        self.applicants.retain(|applicant| {
            if applicant.node != node {
                return true;
            }
            if Some(applicant.life) != life {
                return false;
            }
            let frames = applicant.inbox.take();
            let is_answered = !frames.is_empty();
            let answer = |frame| (frame, applicant.address, applicant.account.clone());
            answers.extend(frames.into_iter().map(answer));
            !is_answered
        });
        for (frame, address, account) in answers {
            let ToSession::Answer {
                answer: Answer::Iq(iq),
                ..
            } = frame
            else {
                continue;
            };
            let granted = String::from_utf8_lossy(&iq).contains("type=\"result\"");
            self.journal
                .note(self.now, format_args!("registered {account} {granted}"));
            if granted {
                self.registered(address, account);
            }
        }
    }

    fn registered(&mut self, address: IpAddr, account: Jid) {
        self.oracle.registrations.acknowledged(address);
        self.oracle.tally.registered += 1;
        if !self.database.has_account(&account) {
            let what = format!("{account} was told that it is registered, and is not");
            self.oracle.broken(what);
        }
    }
}
