//! Which of the numbers before the last came.

/// Which of the [`EXACT`] numbers before another came. Most senders need one word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Came {
    /// Whether the number came that is n + 1 before: bit n.
    last: u64,
    /// The words before that, if any of them is not empty.
    older: Option<Box<[u64; OLDER]>>,
}

impl Came {
    /// Whether the number came that is so many before, at least one.
    pub(super) fn has(&self, back: u64) -> bool {
        let (word, bit) = place(back);
        self.word(word) & bit != 0
    }

    /// That number came, or has not.
    pub(super) fn set(&mut self, back: u64, came: bool) {
        let (at, bit) = place(back);
        let word = match came {
            true => self.word(at) | bit,
            false => self.word(at) & !bit,
        };
        self.put(at, word);
    }

    /// The number that they stand before grows by so many.
    pub(super) fn shift(&mut self, ahead: u64) {
        if self.older.is_none() && u64::from(self.last.leading_zeros()) >= ahead {
            self.last = self.last.checked_shl(ahead as u32).unwrap_or(0);
            return;
        }
        let (by, bits) = ((ahead / 64).min(WORDS as u64) as usize, ahead % 64);
        let before = self.words();
        let shifted = |at: usize| {
            let whole = at.checked_sub(by).map_or(0, |from| before[from] << bits);
            let carried = at.checked_sub(by + 1).map_or(0, |from| before[from]);
            whole | carried.checked_shr(64 - bits as u32).unwrap_or(0)
        };
        let after: [u64; WORDS] = std::array::from_fn(shifted);
        self.older = None;
        for (at, word) in after.into_iter().enumerate() {
            self.put(at, word);
        }
    }

    /// The words, the newest first.
    pub(super) fn words(&self) -> [u64; WORDS] {
        std::array::from_fn(|at| self.word(at))
    }

    /// Puts a word there, if it is one of these.
    pub(super) fn put(&mut self, at: usize, word: u64) {
        match at {
            0 => self.last = word,
            // What is not there is empty.
            1..WORDS if word != 0 || self.older.is_some() => {
                self.older.get_or_insert_default()[at - 1] = word;
            }
            _ => {}
        }
    }

    fn word(&self, at: usize) -> u64 {
        match at {
            0 => self.last,
            _ => self.older.as_ref().map_or(0, |older| older[at - 1]),
        }
    }
}

/// The word and the bit of a number that is so many before.
fn place(back: u64) -> (usize, u64) {
    (((back - 1) / 64) as usize, 1 << ((back - 1) % 64))
}

const OLDER: usize = 7;

/// How many words there are.
pub(super) const WORDS: usize = OLDER + 1;

/// How many numbers before the last of a session are known one by one. What is sent again is what was under way when
/// an owner died, or what a client has not got that stayed away for the time in which it may resume its stream: so more
/// of one session than this would have to be between the two.
pub(super) const EXACT: u64 = 64 * WORDS as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_known_wherever_it_has_moved_to_and_forgotten_behind_the_last_word() {
        for ahead in [1, 63, 64, 65, 130, EXACT - 1] {
            let mut came = Came::default();
            came.set(1, true);
            came.shift(ahead);
            let known: Vec<_> = (1..=EXACT).filter(|back| came.has(*back)).collect();
            assert_eq!(known, [1 + ahead]);
            came.set(1 + ahead, false);
            assert!((1..=EXACT).all(|back| !came.has(back)));
        }
        for ahead in [EXACT, EXACT + 1, u64::MAX] {
            let mut came = Came::default();
            (1..=EXACT).for_each(|back| came.set(back, true));
            came.shift(ahead);
            assert_eq!(came, Came::default());
        }
    }

    #[test]
    fn step_by_step_is_as_far_as_at_once() {
        let (mut steps, mut at_once) = (Came::default(), Came::default());
        for came in [&mut steps, &mut at_once] {
            for back in [1, 3, 64, 65, 200] {
                came.set(back, true);
            }
        }
        (0..100).for_each(|_| steps.shift(1));
        at_once.shift(100);
        assert_eq!(steps, at_once);
    }
}
