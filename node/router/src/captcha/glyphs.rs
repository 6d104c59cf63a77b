//! The letters of an image, as strokes: each a line through points of a grid, 4 wide and 6 high, the baseline at 6.
//!
//! There is none that a person could take for another one when it is bent: no 0, O, Q and D, no 1, I, L and J, no 2 and
//! Z, no 5 and S, no 8 and B, no U and V, no G and 6 and C, no E and
//! F, no P and R.

/// One letter.
pub(super) struct Glyph {
    /// What people type, in upper case.
    pub(super) letter: char,
    /// Its strokes.
    pub(super) strokes: &'static [&'static [(f32, f32)]],
}

/// All letters.
pub(super) const GLYPHS: [Glyph; 16] = [
    glyph(
        'A',
        &[
            &[(0.0, 6.0), (2.0, 0.0), (4.0, 6.0)],
            &[(0.7, 4.0), (3.3, 4.0)],
        ],
    ),
    glyph('C', &[CURVE_C]),
    glyph(
        'E',
        &[
            &[(4.0, 0.0), (0.4, 0.0), (0.4, 6.0), (4.0, 6.0)],
            &[(0.4, 3.0), (3.2, 3.0)],
        ],
    ),
    glyph(
        'H',
        &[
            &[(0.2, 0.0), (0.2, 6.0)],
            &[(3.8, 0.0), (3.8, 6.0)],
            &[(0.2, 3.0), (3.8, 3.0)],
        ],
    ),
    glyph(
        'K',
        &[
            &[(0.4, 0.0), (0.4, 6.0)],
            &[(3.8, 0.0), (0.4, 3.6)],
            &[(1.5, 2.5), (4.0, 6.0)],
        ],
    ),
    glyph(
        'M',
        &[&[(0.0, 6.0), (0.3, 0.0), (2.0, 3.6), (3.7, 0.0), (4.0, 6.0)]],
    ),
    glyph('N', &[&[(0.2, 6.0), (0.2, 0.0), (3.8, 6.0), (3.8, 0.0)]]),
    glyph(
        'R',
        &[
            &[
                (0.4, 6.0),
                (0.4, 0.0),
                (2.6, 0.0),
                (3.7, 0.8),
                (3.7, 2.2),
                (2.6, 3.0),
                (0.4, 3.0),
            ],
            &[(2.0, 3.0), (3.9, 6.0)],
        ],
    ),
    glyph('T', &[&[(0.0, 0.0), (4.0, 0.0)], &[(2.0, 0.0), (2.0, 6.0)]]),
    glyph('V', &[&[(0.0, 0.0), (2.0, 6.0), (4.0, 0.0)]]),
    glyph(
        'W',
        &[&[(0.0, 0.0), (0.9, 6.0), (2.0, 2.2), (3.1, 6.0), (4.0, 0.0)]],
    ),
    glyph('X', &[&[(0.2, 0.0), (3.8, 6.0)], &[(3.8, 0.0), (0.2, 6.0)]]),
    glyph(
        'Y',
        &[
            &[(0.0, 0.0), (2.0, 3.0), (4.0, 0.0)],
            &[(2.0, 3.0), (2.0, 6.0)],
        ],
    ),
    glyph(
        '3',
        &[&[
            (0.3, 0.5),
            (1.4, 0.0),
            (2.8, 0.1),
            (3.6, 1.0),
            (3.3, 2.3),
            (1.7, 2.9),
            (3.4, 3.5),
            (3.8, 4.8),
            (2.8, 5.9),
            (1.3, 6.0),
            (0.2, 5.4),
        ]],
    ),
    glyph('4', &[&[(3.0, 6.0), (3.0, 0.0), (0.0, 4.2), (4.0, 4.2)]]),
    glyph(
        '7',
        &[
            &[(0.2, 0.0), (3.9, 0.0), (1.4, 6.0)],
            &[(1.2, 3.0), (3.6, 3.0)],
        ],
    ),
];

const CURVE_C: &[(f32, f32)] = &[
    (3.8, 1.1),
    (2.9, 0.1),
    (1.5, 0.1),
    (0.4, 1.2),
    (0.1, 3.0),
    (0.4, 4.8),
    (1.5, 5.9),
    (2.9, 5.9),
    (3.8, 4.9),
];

const fn glyph(letter: char, strokes: &'static [&'static [(f32, f32)]]) -> Glyph {
    Glyph { letter, strokes }
}

/// The strokes of a letter; none for what is no letter of an image.
pub(super) fn strokes(letter: char) -> &'static [&'static [(f32, f32)]] {
    let found = GLYPHS.iter().find(|glyph| glyph.letter == letter);
    found.map_or(&[], |glyph| glyph.strokes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn letters_differ_and_lie_in_the_grid() {
        let letters: BTreeSet<char> = GLYPHS.iter().map(|glyph| glyph.letter).collect();
        assert_eq!(letters.len(), GLYPHS.len());
        for glyph in &GLYPHS {
            let points = glyph.strokes.iter().copied().flatten();
            assert!(glyph.strokes.iter().all(|stroke| stroke.len() >= 2));
            for (x, y) in points {
                assert!(
                    (0.0..=4.0).contains(x) && (0.0..=6.0).contains(y),
                    "{}",
                    glyph.letter
                );
            }
        }
    }

    #[test]
    fn letters_that_people_confuse_are_not_there_together() {
        for confusable in ["0OQD", "1IL", "2Z", "5S", "8B", "UV", "G6C", "EF", "PR"] {
            let there = confusable
                .chars()
                .filter(|&c| !strokes(c).is_empty())
                .count();
            assert!(there <= 1, "{confusable}");
        }
    }
}
