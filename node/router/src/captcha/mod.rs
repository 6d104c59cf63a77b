//! Challenges that tell people from programs (XEP-0158): what is configured, and the image.
//!
//! ```text
//! [captcha] ─► modules/registration/challenges.rs: asks, remembers, judges     (machine, in the host's shard)
//!                 └─ text and seed ─► picture::draw ─► PNG                     (pure; a mover runs it off the shard)
//! ```

mod glyphs;
pub mod picture;

use rookery_xmpp::units::Span;
use serde::{Deserialize, Serialize};

pub use picture::draw;

rookery_xmpp::options! {
    /// What who registers must solve, so that programs register less easily. It needs a client with data forms
    /// (XEP-0004); one without cannot register then. An operator's question that fits the server's people is read by
    /// all clients and by the blind, and costs a spammer a person's look; the image takes more, and is not read by the
    /// blind: offer both.
    pub struct CaptchaOptions {
        /// What is offered: `image`, letters to be read from a picture that this server draws, and `question`, one of
        /// the questions below. With both a person chooses which one to answer. Empty asks nothing.
        pub kinds: Vec<CaptchaKind> = Vec::new(), "";
        /// Questions and the answers that are right, as in
        /// `questions = [{ question = "What colour is the sky by day?", answers = ["blue", "sky blue"] }]`. Case and
        /// spaces do not matter. Take some that people answer and that are not found on other servers.
        pub questions: Vec<CaptchaQuestion> = Vec::new(), "";
        /// How long a challenge can be answered. No longer than `session.registration_timeout_ms`, after which the
        /// stream of a stranger ends.
        pub lifetime: Span = Span::from_ms(180_000), "";
        /// Challenges that one network (IPv4 /24, IPv6 /48) gets in an hour, from its first on; then it is told to
        /// wait. A program that looks for easy images is slowed by it.
        pub asked_per_hour_max: u32 = 100, "challenges";
        /// Wrong answers of one network in the same hour, before it is told to wait.
        pub wrong_per_hour_max: u32 = 30, "answers";
        /// Images that a node draws in a second; who asks for more waits, and is told to come back if too many wait.
        /// Each costs a core some milliseconds.
        pub images_per_second_max: u32 = 20, "images/s";
    }
}

/// What a person can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaptchaKind {
    /// To read letters from a picture.
    Image,
    /// To answer one of the operator's questions.
    Question,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptchaQuestion {
    /// What is asked.
    pub question: String,
    /// What is right.
    pub answers: Vec<String>,
}

/// What is wrong with the section; for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptchaFlaw {
    /// Questions are wanted, and there is none.
    #[error("`question` is among `captcha.kinds`, and `captcha.questions` has none")]
    NoQuestion,
    /// There are too many.
    #[error("{0} questions are too many: at most {QUESTIONS_MAX}")]
    Questions(usize),
    /// A question that nobody could answer, or that is too long for a form.
    #[error(
        "the question `{0}` needs a text of at most {TEXT_MAX} characters, and 1 to {ANSWERS_MAX} answers of as many"
    )]
    Question(String),
}

/// Questions of the section.
pub const QUESTIONS_MAX: usize = 1_000;

/// Answers of one question.
pub const ANSWERS_MAX: usize = 20;

/// Characters of a question or an answer.
pub const TEXT_MAX: usize = 300;

impl CaptchaOptions {
    /// Whether anything is asked.
    pub fn is_on(&self) -> bool {
        !self.kinds.is_empty()
    }

    /// Whether this is among what is asked.
    pub fn asks(&self, kind: CaptchaKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// What is wrong with the section, if anything is.
    ///
    /// # Errors
    /// The first flaw.
    pub fn check(&self) -> Result<(), CaptchaFlaw> {
        if self.asks(CaptchaKind::Question) && self.questions.is_empty() {
            return Err(CaptchaFlaw::NoQuestion);
        }
        if self.questions.len() > QUESTIONS_MAX {
            return Err(CaptchaFlaw::Questions(self.questions.len()));
        }
        let wrong = self.questions.iter().find(|question| !question.is_usable());
        wrong.map_or(Ok(()), |wrong| {
            let shown = wrong.question.chars().take(40).collect();
            Err(CaptchaFlaw::Question(shown))
        })
    }
}

impl CaptchaQuestion {
    fn is_usable(&self) -> bool {
        let short = |text: &String| text.chars().count() <= TEXT_MAX;
        let can_be_given = |answer: &String| !plain(answer).is_empty() && short(answer);
        !self.question.trim().is_empty()
            && short(&self.question)
            && (1..=ANSWERS_MAX).contains(&self.answers.len())
            && self.answers.iter().all(can_be_given)
    }

    /// Whether this answer is right.
    pub fn is_answered_by(&self, given: &str) -> bool {
        let given = plain(given);
        self.answers.iter().any(|answer| plain(answer) == given)
    }
}

/// An answer without what people write differently: case, spaces, a full stop at the end.
fn plain(answer: &str) -> String {
    let words: Vec<_> = answer.split_whitespace().collect();
    let words = words.join(" ").to_lowercase();
    words.trim_end_matches(['.', '!']).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::options::Section;

    use super::*;

    fn question(question: &str, answers: &[&str]) -> CaptchaQuestion {
        CaptchaQuestion {
            question: question.to_owned(),
            answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
        }
    }

    fn asking(questions: Vec<CaptchaQuestion>) -> CaptchaOptions {
        CaptchaOptions {
            kinds: vec![CaptchaKind::Question],
            questions,
            ..CaptchaOptions::default()
        }
    }

    #[test]
    fn people_write_an_answer_as_they_like() {
        let sky = question("What colour is the sky?", &["Sky blue", "blue"]);
        for given in ["blue", " BLUE ", "Blue.", "sky   blue", "sky\tblue!"] {
            assert!(sky.is_answered_by(given), "{given}");
        }
        for given in ["", " ", ".", "green", "skyblue", "blue or green"] {
            assert!(!sky.is_answered_by(given), "{given}");
        }
    }

    #[test]
    fn questions_that_nobody_can_answer_are_refused() {
        assert_eq!(asking(Vec::new()).check(), Err(CaptchaFlaw::NoQuestion));
        let long = "x".repeat(TEXT_MAX + 1);
        for (text, answers) in [
            ("", vec!["a"]),
            ("a?", vec![]),
            ("a?", vec![" "]),
            (&long, vec!["a"]),
        ] {
            let flaw = asking(vec![question(text, &answers)]).check();
            assert!(matches!(flaw, Err(CaptchaFlaw::Question(_))), "{text}");
        }
        assert_eq!(
            asking(vec![question("2 + 3?", &["5", "five"])]).check(),
            Ok(())
        );
        assert_eq!(CaptchaOptions::default().check(), Ok(()));
    }

    #[test]
    fn every_option_has_a_reason() {
        let reasons = CaptchaOptions::OPTIONS.iter();
        reasons.for_each(|info| assert!(info.reason.len() > 40, "{}", info.name));
    }
}
