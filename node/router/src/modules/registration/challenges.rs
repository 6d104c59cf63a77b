//! The challenges of a host's strangers (XEP-0158 4): which stream was asked what, and whether it may go on.
//!
//! ```text
//!            ask                       right: in use ──► account made: gone
//! stream ─────────► open ── answer ──►   │
//!    another form ──┘ ▲                  └──► not made (the name is taken …): solved, the same answer counts again
//!    replaces it      └─ wrong, up to three times; then gone, as after its time
//! ```
//!
//! All registrations of a network (IPv4 /24, IPv6 /48) are decided by one shard, which keeps their challenges in
//! memory: so each is for one stream and makes one account at most, and what a network was asked and got wrong is
//! counted over all nodes. Where the shard moves to another node they are forgotten, with the counts: who was filling
//! in a form is told to ask for it again.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use rookery_control::networks;
use rookery_session::carrier::SessionId;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::Entropy;

use crate::captcha::{CaptchaKind, CaptchaOptions, CaptchaQuestion, picture};

/// Challenges that a shard remembers, some 200 bytes each; the oldest make room. No network gets so many.
const PENDING_MAX: usize = 10_000;

/// Networks whose challenges are counted; the first to be counted make room.
const NETWORKS_MAX: usize = 4_096;

/// Wrong answers to one challenge.
const WRONG_MAX: u8 = 3;

/// How long a network's challenges are counted together.
const HOUR: Duration = Duration::from_secs(3_600);

/// The challenges of a shard's hosts.
#[derive(Default)]
pub(crate) struct Challenges {
    /// By number, so the oldest first.
    all: BTreeMap<u64, Challenge>,
    /// Which one each stream was asked last.
    of_stream: BTreeMap<SessionId, u64>,
    networks: BTreeMap<IpNet, Network>,
    /// The networks in the order in which they were counted first.
    counted: VecDeque<IpNet>,
    last: u64,
}

/// What one stream was asked.
struct Challenge {
    stream: SessionId,
    id: String,
    /// What is on the picture, if there is one.
    text: Option<String>,
    question: Option<CaptchaQuestion>,
    until: Timestamp,
    wrong: u8,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be answered.
    Open,
    /// Answered, for an account that is being made.
    InUse,
    /// Answered, and no account was made.
    Solved,
}

/// What a network did in its hour.
struct Network {
    since: Timestamp,
    asked: u32,
    wrong: u32,
}

/// What a stream is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Comes back with the answer.
    pub(crate) id: String,
    /// What is to be drawn.
    pub(crate) text: Option<String>,
    /// What is to be answered.
    pub(crate) question: Option<String>,
}

/// A right answer, which is used up by the account that is made with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Solved(u64);

/// What a stream answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answered<'a> {
    /// The challenge.
    pub(crate) id: Option<&'a str>,
    /// The letters of the picture.
    pub(crate) text: Option<&'a str>,
    /// The answer to the question.
    pub(crate) answer: Option<&'a str>,
}

/// Why a stream may not go on, worded for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsolved {
    /// Nothing was answered.
    #[error("a captcha must be solved: answer the question, or type the letters of the picture")]
    Missing,
    /// Not what it was asked last, or too late, or too often wrong.
    #[error("this captcha is no longer valid: ask for the form again")]
    Unknown,
    /// Wrong.
    #[error("the captcha was not solved: the answer is wrong")]
    Wrong,
    /// Its network was asked or wrong too often.
    #[error("too many captchas for this network; try again in {minutes} minutes")]
    TooMany {
        /// When it may come again.
        minutes: u64,
    },
}

impl Challenges {
    /// Asks a stream something new, in place of what it was asked before.
    ///
    /// # Errors
    /// [`Unsolved::TooMany`]
    pub(crate) fn ask(
        &mut self,
        stream: SessionId,
        address: IpAddr,
        options: &CaptchaOptions,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> Result<Asked, Unsolved> {
        let network = self.network(address, now);
        network.may_answer(options, now)?;
        network.may_ask(options, now)?;
        network.asked += 1;
        self.make_room(now);
        if let Some(before) = self.of_stream.get(&stream).copied() {
            self.forget(before);
        }
        let wants_picture = options.asks(CaptchaKind::Image);
        let text = wants_picture.then(|| picture::text(|bound| entropy.below(bound)));
        let count = options.questions.len() as u64;
        let asks = options.asks(CaptchaKind::Question) && count > 0;
        let question = asks.then(|| &options.questions[entropy.below(count) as usize]);
        let asked = Asked {
            id: entropy.token(),
            text: text.clone(),
            question: question.map(|question| question.question.clone()),
        };
        self.last += 1;
        self.of_stream.insert(stream, self.last);
        let challenge = Challenge {
            stream,
            id: asked.id.clone(),
            text,
            question: question.cloned(),
            until: now.plus(Duration::from_millis(options.lifetime.as_ms().into())),
            wrong: 0,
            state: State::Open,
        };
        self.all.insert(self.last, challenge);
        Ok(asked)
    }

    /// Judges what a stream answers.
    ///
    /// # Errors
    /// Why it may not go on; a wrong answer counts.
    pub(crate) fn answer(
        &mut self,
        stream: SessionId,
        address: IpAddr,
        answered: Answered<'_>,
        options: &CaptchaOptions,
        now: Timestamp,
    ) -> Result<Solved, Unsolved> {
        let id = answered.id.ok_or(Unsolved::Missing)?;
        self.network(address, now).may_answer(options, now)?;
        let number = *self.of_stream.get(&stream).ok_or(Unsolved::Unknown)?;
        let challenge = self.all.get_mut(&number).ok_or(Unsolved::Unknown)?;
        if challenge.id != id || challenge.until <= now || challenge.state == State::InUse {
            return Err(Unsolved::Unknown);
        }
        let given = [answered.text, answered.answer].into_iter().flatten();
        if given.clone().all(|text| text.trim().is_empty()) {
            return Err(Unsolved::Missing);
        }
        if challenge.is_solved_by(answered) {
            challenge.state = State::InUse;
            return Ok(Solved(number));
        }
        challenge.wrong += 1;
        if challenge.wrong >= WRONG_MAX {
            self.forget(number);
        }
        self.network(address, now).wrong += 1;
        Err(Unsolved::Wrong)
    }

    /// The account was made: nothing more comes of this answer.
    pub(crate) fn used(&mut self, solved: &Solved) {
        self.forget(solved.0);
    }

    /// The account was not made: the same answer counts again, on the same stream.
    pub(crate) fn not_used(&mut self, solved: &Solved) {
        if let Some(challenge) = self.all.get_mut(&solved.0) {
            challenge.state = State::Solved;
        }
    }

    /// There is no picture after all: its letters are no answer.
    pub(crate) fn without_picture(&mut self, stream: SessionId) {
        let number = self.of_stream.get(&stream);
        if let Some(challenge) = number.and_then(|number| self.all.get_mut(number)) {
            challenge.text = None;
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(challenge) = self.all.remove(&number)
            && self.of_stream.get(&challenge.stream) == Some(&number)
        {
            self.of_stream.remove(&challenge.stream);
        }
    }

    /// Forgets what is over, and the oldest where there are too many.
    fn make_room(&mut self, now: Timestamp) {
        while let Some((&number, oldest)) = self.all.first_key_value()
            && (oldest.until <= now || self.all.len() >= PENDING_MAX)
        {
            self.forget(number);
        }
    }

    /// The counts of an address's network.
    fn network(&mut self, address: IpAddr, now: Timestamp) -> &mut Network {
        let [_, key] = networks(address);
        let room = NETWORKS_MAX - usize::from(!self.networks.contains_key(&key));
        while let Some(first) = self.counted.front()
            && (self.networks[first].since.plus(HOUR) <= now || self.counted.len() > room)
        {
            self.networks.remove(first);
            self.counted.pop_front();
        }
        let counted = &mut self.counted;
        self.networks.entry(key).or_insert_with(|| {
            counted.push_back(key);
            Network {
                since: now,
                asked: 0,
                wrong: 0,
            }
        })
    }
}

impl Network {
    /// Whether it gets another challenge, as far as it was asked.
    fn may_ask(&self, options: &CaptchaOptions, now: Timestamp) -> Result<(), Unsolved> {
        self.unless(self.asked >= options.asked_per_hour_max, now)
    }

    /// Whether another answer is judged: else whoever was asked on many streams could go on guessing.
    fn may_answer(&self, options: &CaptchaOptions, now: Timestamp) -> Result<(), Unsolved> {
        self.unless(self.wrong >= options.wrong_per_hour_max, now)
    }

    fn unless(&self, is_over: bool, now: Timestamp) -> Result<(), Unsolved> {
        let left = self.since.plus(HOUR).since(now).as_secs();
        let minutes = left.div_ceil(60).max(1);
        match is_over {
            true => Err(Unsolved::TooMany { minutes }),
            false => Ok(()),
        }
    }
}

impl Challenge {
    /// Whether one of the answers is right. Either one is enough: who cannot see a picture has the question.
    fn is_solved_by(&self, answered: Answered<'_>) -> bool {
        let read = |text: &String| {
            answered
                .text
                .is_some_and(|given| picture::reads(text, given))
        };
        let said = |question: &CaptchaQuestion| {
            answered
                .answer
                .is_some_and(|given| question.is_answered_by(given))
        };
        self.text.as_ref().is_some_and(read) || self.question.as_ref().is_some_and(said)
    }
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::entropy::Seeded;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn options() -> CaptchaOptions {
        CaptchaOptions {
            kinds: vec![CaptchaKind::Image, CaptchaKind::Question],
            questions: vec![CaptchaQuestion {
                question: "2 + 3?".to_owned(),
                answers: vec!["5".to_owned(), "five".to_owned()],
            }],
            ..CaptchaOptions::default()
        }
    }

    struct World {
        challenges: Challenges,
        options: CaptchaOptions,
        entropy: Seeded,
        now: Timestamp,
    }

    impl World {
        fn new() -> Self {
            Self {
                challenges: Challenges::default(),
                options: options(),
                entropy: Seeded::new(3),
                now: NOW,
            }
        }

        fn ask_from(&mut self, serial: u64, address: [u8; 4]) -> Result<Asked, Unsolved> {
            let (options, entropy) = (&self.options, &mut self.entropy);
            self.challenges.ask(
                stream(serial),
                IpAddr::from(address),
                options,
                self.now,
                entropy,
            )
        }

        fn ask(&mut self, serial: u64) -> Asked {
            self.ask_from(serial, [192, 0, 2, 1]).expect("asked")
        }

        fn say(&mut self, serial: u64, id: &str, answer: &str) -> Result<Solved, Unsolved> {
            let answered = Answered {
                id: Some(id),
                answer: Some(answer),
                text: None,
            };
            let address = IpAddr::from([192, 0, 2, 1]);
            self.challenges
                .answer(stream(serial), address, answered, &self.options, self.now)
        }
    }

    fn stream(serial: u64) -> SessionId {
        SessionId { node: 1, serial }
    }

    #[test]
    fn the_picture_or_the_question_is_enough() {
        let mut world = World::new();
        let asked = world.ask(1);
        assert_eq!(asked.question.as_deref(), Some("2 + 3?"));
        assert!(world.say(1, &asked.id, "Five").is_ok());
        let asked = world.ask(2);
        let text = asked.text.expect("a picture").to_lowercase();
        let answered = Answered {
            id: Some(&asked.id),
            text: Some(&text),
            answer: None,
        };
        let address = IpAddr::from([192, 0, 2, 1]);
        let solved = world
            .challenges
            .answer(stream(2), address, answered, &world.options, NOW);
        assert!(solved.is_ok());
    }

    #[test]
    fn a_right_answer_makes_one_account_and_counts_again_if_it_made_none() {
        let mut world = World::new();
        let asked = world.ask(1);
        let solved = world.say(1, &asked.id, "5").expect("right");
        let while_in_use = world.say(1, &asked.id, "5");
        assert_eq!(while_in_use, Err(Unsolved::Unknown), "two at once");
        world.challenges.not_used(&solved);
        let solved = world.say(1, &asked.id, "5").expect("right again");
        world.challenges.used(&solved);
        assert_eq!(world.say(1, &asked.id, "5"), Err(Unsolved::Unknown));
        assert!(world.challenges.all.is_empty() && world.challenges.of_stream.is_empty());
    }

    #[test]
    fn an_answer_counts_on_the_stream_that_was_asked_and_for_the_last_form_only() {
        let mut world = World::new();
        let (first, other) = (world.ask(1), world.ask(2));
        assert_eq!(world.say(2, &first.id, "5"), Err(Unsolved::Unknown));
        assert_eq!(world.say(3, &first.id, "5"), Err(Unsolved::Unknown));
        let second = world.ask(1);
        assert_eq!(world.say(1, &first.id, "5"), Err(Unsolved::Unknown));
        assert!(world.say(1, &second.id, "5").is_ok());
        assert!(world.say(2, &other.id, "5").is_ok());
    }

    #[test]
    fn a_challenge_is_over_after_its_time() {
        let mut world = World::new();
        let asked = world.ask(1);
        world.now = NOW.plus(Duration::from_millis(179_999));
        let solved = world.say(1, &asked.id, "5").expect("in time");
        world.challenges.not_used(&solved);
        world.now = NOW.plus(Duration::from_secs(180));
        assert_eq!(world.say(1, &asked.id, "5"), Err(Unsolved::Unknown));
        world.ask(2);
        assert_eq!(world.challenges.all.len(), 1, "what is over makes room");
    }

    #[test]
    fn after_three_wrong_answers_the_right_one_is_too_late() {
        let mut world = World::new();
        let asked = world.ask(1);
        for _ in 0..WRONG_MAX {
            assert_eq!(world.say(1, &asked.id, "6"), Err(Unsolved::Wrong));
        }
        assert_eq!(world.say(1, &asked.id, "5"), Err(Unsolved::Unknown));
    }

    #[test]
    fn who_answers_nothing_is_asked_again_and_loses_no_try() {
        let mut world = World::new();
        let asked = world.ask(1);
        for _ in 0..10 {
            assert_eq!(world.say(1, &asked.id, " "), Err(Unsolved::Missing));
        }
        let nothing = Answered::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        let answer = world
            .challenges
            .answer(stream(1), address, nothing, &world.options, NOW);
        assert_eq!(answer, Err(Unsolved::Missing));
        assert!(world.say(1, &asked.id, "5").is_ok());
    }

    #[test]
    fn a_network_is_asked_and_wrong_so_often_in_an_hour() {
        let mut world = World::new();
        world.options.asked_per_hour_max = 5;
        for serial in 0..5 {
            assert!(world.ask_from(serial, [192, 0, 2, serial as u8]).is_ok());
        }
        let minutes = 60;
        let refused = Err(Unsolved::TooMany { minutes });
        assert_eq!(world.ask_from(9, [192, 0, 2, 200]), refused);
        assert!(
            world.ask_from(9, [198, 51, 100, 1]).is_ok(),
            "another network"
        );
        world.now = NOW.plus(HOUR);
        assert!(world.ask_from(9, [192, 0, 2, 200]).is_ok(), "an hour later");

        let mut world = World::new();
        world.options.wrong_per_hour_max = 4;
        for serial in 0..4 {
            let asked = world.ask(serial);
            assert_eq!(world.say(serial, &asked.id, "6"), Err(Unsolved::Wrong));
        }
        assert_eq!(
            world.ask_from(9, [192, 0, 2, 7]),
            Err(Unsolved::TooMany { minutes })
        );
    }

    #[test]
    fn who_was_asked_on_many_streams_is_not_wrong_more_often_for_it() {
        let mut world = World::new();
        (
            world.options.asked_per_hour_max,
            world.options.wrong_per_hour_max,
        ) = (6, 4);
        let asked: Vec<_> = (0..6).map(|serial| world.ask(serial)).collect();
        for serial in 0..4 {
            let answer = world.say(serial, &asked[serial as usize].id, "6");
            assert_eq!(
                answer,
                Err(Unsolved::Wrong),
                "also where nothing more is asked"
            );
        }
        let minutes = 60;
        for answer in ["6", "5"] {
            let told = world.say(5, &asked[5].id, answer);
            assert_eq!(told, Err(Unsolved::TooMany { minutes }), "{answer}");
        }
    }

    #[test]
    fn a_flood_of_questions_fills_no_memory_and_the_newest_are_kept() {
        let mut world = World::new();
        world.options.kinds = vec![CaptchaKind::Question];
        for serial in 0..(PENDING_MAX as u64 + 100) {
            let [high, low] = ((serial % 5_000) as u16).to_be_bytes();
            world.ask_from(serial, [10, high, low, 1]).expect("asked");
        }
        assert_eq!(world.challenges.all.len(), PENDING_MAX);
        assert_eq!(world.challenges.of_stream.len(), PENDING_MAX);
        assert!(world.challenges.networks.len() <= NETWORKS_MAX);
        assert_eq!(
            world.challenges.networks.len(),
            world.challenges.counted.len()
        );
        assert!(
            world
                .challenges
                .of_stream
                .contains_key(&stream(PENDING_MAX as u64 + 99))
        );
        assert!(!world.challenges.of_stream.contains_key(&stream(0)));
    }

    #[test]
    fn letters_that_were_never_shown_are_no_answer() {
        let mut world = World::new();
        let asked = world.ask(1);
        world.challenges.without_picture(stream(1));
        let answered = Answered {
            id: Some(&asked.id),
            text: asked.text.as_deref(),
            answer: None,
        };
        let address = IpAddr::from([192, 0, 2, 1]);
        let answer = world
            .challenges
            .answer(stream(1), address, answered, &world.options, NOW);
        assert_eq!(answer, Err(Unsolved::Wrong));
        assert!(world.say(1, &asked.id, "five").is_ok());
    }
}
