//! Draws letters so that a person reads them and a program finds it hard: pure, the same picture for the same text and
//! seed.
//!
//! ```text
//! letter ─► strokes, turned, sheared and scaled, each differently ─► bent by two waves ─┐
//! two lines through all of it, bent too ───────────────────────────────────────────────┼─► distance to ink ─► grey ─►
//! PNG short scratches and specks ────────────────────────────────────────────────────────────┘
//! ```
//!
//! Letters nearly touch and are crossed by lines, so that they are not cut apart by columns; and no two pictures have
//! the same waves. That does not stop a trained model, nor people who solve captchas for money: it makes each account
//! cost something.

use png::{BitDepth, ColorType, Encoder};

use super::glyphs::{GLYPHS, strokes};

/// Pixels from left to right.
pub const WIDTH: u32 = 260;

/// Pixels from top to bottom.
pub const HEIGHT: u32 = 90;

/// Letters in a picture: 16⁶ are 16,777,216 texts.
pub const LETTERS: usize = 6;

/// The encoder failed: it has no reason to when it writes to memory.
#[derive(Debug, thiserror::Error)]
#[error("a picture cannot be encoded: {0}")]
pub struct NotEncoded(#[from] png::EncodingError);

/// A text for a picture, from random numbers below the bound that is asked for.
pub fn text(mut below: impl FnMut(u64) -> u64) -> String {
    let mut letter = || GLYPHS[below(GLYPHS.len() as u64) as usize].letter;
    (0..LETTERS).map(|_| letter()).collect()
}

/// Whether somebody has read this text: case and spaces do not matter.
pub fn reads(text: &str, given: &str) -> bool {
    let given = given.chars().filter(|c| !c.is_whitespace());
    given
        .take(LETTERS + 1)
        .map(|c| c.to_ascii_uppercase())
        .eq(text.chars())
}

/// The picture of a text as a PNG, a few kilobytes.
///
/// # Errors
/// [`NotEncoded`], which does not happen.
pub fn draw(text: &str, seed: u64) -> Result<Vec<u8>, NotEncoded> {
    let mut file = Vec::with_capacity(8 * 1024);
    let mut encoder = Encoder::new(&mut file, WIDTH, HEIGHT);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels(text, seed))?;
    writer.finish()?;
    Ok(file)
}

/// The grey of each pixel, row by row.
fn pixels(text: &str, seed: u64) -> Vec<u8> {
    let mut chance = Chance(seed);
    let waves = [Wave::draw(&mut chance, 0.5), Wave::draw(&mut chance, 1.0)];
    let mut ink = Vec::new();
    letters(text, &mut chance, &mut ink);
    let thick = |line: &Line| segments(line, &waves, THICKNESS);
    let mut bent: Vec<Segment> = ink.iter().flat_map(thick).collect();
    for _ in 0..CROSSINGS {
        bent.extend(segments(&crossing(&mut chance), &waves, THIN));
    }
    bent.extend((0..SCRATCHES).map(|_| scratch(&mut chance)));
    bent.extend((0..SPECKS).map(|_| speck(&mut chance)));
    let mut grey = vec![PAPER; (WIDTH * HEIGHT) as usize];
    bent.iter().for_each(|segment| segment.paint(&mut grey));
    grey
}

/// A line through points, in pixels.
type Line = Vec<(f32, f32)>;

/// The strokes of all letters, each letter in its place.
fn letters(text: &str, chance: &mut Chance, ink: &mut Vec<Line>) {
    let pitch = (WIDTH as f32 - 2.0 * MARGIN) / LETTERS as f32;
    for (at, letter) in text.chars().enumerate() {
        let scale = chance.within(6.8, 8.0);
        let (turn, shear) = (chance.within(-0.3, 0.3), chance.within(-0.2, 0.2));
        let middle = (
            MARGIN + pitch * (at as f32 + 0.5) + chance.within(-3.0, 3.0),
            HEIGHT as f32 / 2.0 + chance.within(-6.0, 6.0),
        );
        for stroke in strokes(letter) {
            let place = |&(x, y): &(f32, f32)| {
                let (x, y) = ((x - 2.0 + (3.0 - y) * shear) * scale, (y - 3.0) * scale);
                let (sin, cos) = turn.sin_cos();
                (middle.0 + x * cos - y * sin, middle.1 + x * sin + y * cos)
            };
            ink.push(stroke.iter().map(place).collect());
        }
    }
}

/// A line across the picture, through the letters.
fn crossing(chance: &mut Chance) -> Line {
    let mut height = || chance.within(0.2, 0.8) * HEIGHT as f32;
    let (left, right) = (height(), height());
    vec![(MARGIN / 2.0, left), (WIDTH as f32 - MARGIN / 2.0, right)]
}

/// A short mark somewhere.
fn scratch(chance: &mut Chance) -> Segment {
    let from = (
        chance.within(0.0, WIDTH as f32),
        chance.within(0.0, HEIGHT as f32),
    );
    let (angle, length) = (
        chance.within(0.0, std::f32::consts::TAU),
        chance.within(4.0, 11.0),
    );
    let to = (from.0 + angle.cos() * length, from.1 + angle.sin() * length);
    Segment {
        from,
        to,
        thickness: 1.0,
    }
}

/// A dot somewhere.
fn speck(chance: &mut Chance) -> Segment {
    let at = (
        chance.within(0.0, WIDTH as f32),
        chance.within(0.0, HEIGHT as f32),
    );
    Segment {
        from: at,
        to: at,
        thickness: chance.within(0.6, 1.8),
    }
}

/// A line in pieces of a few pixels, each bent by the waves.
fn segments(line: &Line, waves: &[Wave; 2], thickness: f32) -> Vec<Segment> {
    let bend = |(x, y): (f32, f32)| (x + waves[0].at(y), y + waves[1].at(x));
    let mut pieces = Vec::new();
    for pair in line.windows(2) {
        let [from, to] = [pair[0], pair[1]];
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let count = (length / PIECE).ceil().max(1.0);
        let along = |part: f32| {
            let part = part / count;
            bend((
                from.0 + (to.0 - from.0) * part,
                from.1 + (to.1 - from.1) * part,
            ))
        };
        pieces.extend((0..count as u32).map(|piece| Segment {
            from: along(piece as f32),
            to: along(piece as f32 + 1.0),
            thickness,
        }));
    }
    pieces
}

/// How far points are pushed, by where they are along the other axis.
struct Wave {
    height: f32,
    length: f32,
    phase: f32,
}

impl Wave {
    fn draw(chance: &mut Chance, share: f32) -> Self {
        Self {
            height: chance.within(2.5, 4.5) * share,
            length: chance.within(40.0, 70.0),
            phase: chance.within(0.0, std::f32::consts::TAU),
        }
    }

    fn at(&self, along: f32) -> f32 {
        self.height * (along / self.length * std::f32::consts::TAU + self.phase).sin()
    }
}

/// A straight piece of ink with round ends.
struct Segment {
    from: (f32, f32),
    to: (f32, f32),
    thickness: f32,
}

impl Segment {
    /// Darkens the pixels near it, with soft edges.
    fn paint(&self, grey: &mut [u8]) {
        let reach = self.thickness / 2.0 + 1.0;
        let span = |a: f32, b: f32, max: u32| {
            let low = (a.min(b) - reach).floor().clamp(0.0, max as f32) as u32;
            let high = (a.max(b) + reach).ceil().clamp(0.0, max as f32) as u32;
            low..high
        };
        for y in span(self.from.1, self.to.1, HEIGHT) {
            for x in span(self.from.0, self.to.0, WIDTH) {
                let distance = self.distance(x as f32 + 0.5, y as f32 + 0.5);
                let cover = (self.thickness / 2.0 + 0.5 - distance).clamp(0.0, 1.0);
                let shade = f32::from(PAPER) + (f32::from(INK) - f32::from(PAPER)) * cover;
                let pixel = &mut grey[(y * WIDTH + x) as usize];
                *pixel = (*pixel).min(shade as u8);
            }
        }
    }

    fn distance(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        let length = dx * dx + dy * dy;
        let along = match length > 0.0 {
            true => ((x - self.from.0) * dx + (y - self.from.1) * dy) / length,
            false => 0.0,
        };
        let along = along.clamp(0.0, 1.0);
        (x - self.from.0 - along * dx).hypot(y - self.from.1 - along * dy)
    }
}

/// Numbers from a seed (SplitMix64). Who sees a picture may work the seed out: only the text is a secret, and it has a
/// source of its own.
struct Chance(u64);

impl Chance {
    fn within(&mut self, low: f32, high: f32) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u32 << 24) as f32;
        low + (high - low) * unit
    }
}

/// Grey of paper and ink.
const PAPER: u8 = 235;
const INK: u8 = 40;

/// Pixels of free border, thickness of letters and of lines across, and length of the pieces that are bent.
const MARGIN: f32 = 12.0;
const THICKNESS: f32 = 3.6;
const THIN: f32 = 1.8;
const PIECE: f32 = 3.0;

/// Lines across, short marks and dots in a picture.
const CROSSINGS: usize = 2;
const SCRATCHES: usize = 20;
const SPECKS: usize = 120;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("one picture");
        assert_eq!(info.color_type, ColorType::Grayscale);
        (info.width, info.height, pixels)
    }

    #[test]
    fn what_is_decoded_is_what_was_drawn() {
        let file = draw("KAX37W", 7).expect("encoded");
        assert!(file.len() < 10_000, "{} bytes", file.len());
        let (width, height, seen) = decoded(&file);
        assert_eq!((width, height), (WIDTH, HEIGHT));
        assert_eq!(seen, pixels("KAX37W", 7));
        assert_eq!(file, draw("KAX37W", 7).expect("encoded"), "the same again");
    }

    #[test]
    fn each_letter_leaves_its_own_ink_where_it_stands() {
        // Without noise two pictures of one seed differ only where their letters do.
        let third = |letter: char| pixels(&format!("AA{letter}AAA"), 11);
        let pitch = (WIDTH as f32 - 2.0 * MARGIN) / LETTERS as f32;
        let left = (MARGIN + 1.2 * pitch) as u32;
        let right = (MARGIN + 3.8 * pitch) as u32;
        for pair in GLYPHS.windows(2) {
            let (one, other) = (third(pair[0].letter), third(pair[1].letter));
            let differs: Vec<u32> = (0..WIDTH * HEIGHT)
                .filter(|&at| one[at as usize].abs_diff(other[at as usize]) > 40)
                .collect();
            assert!(
                differs.len() > 40,
                "{} and {}",
                pair[0].letter,
                pair[1].letter
            );
            assert!(
                differs
                    .iter()
                    .all(|at| (left..right).contains(&(at % WIDTH)))
            );
        }
    }

    #[test]
    fn there_is_enough_ink_and_enough_paper_to_read() {
        for seed in 0..50 {
            let seen = pixels("MWXHKR", seed);
            let dark = seen.iter().filter(|&&grey| grey < 100).count();
            let share = dark as f32 / seen.len() as f32;
            assert!((0.08..0.3).contains(&share), "seed {seed}: {share}");
        }
    }

    #[test]
    fn nothing_of_a_letter_is_cut_off() {
        // The outermost pixels have scratches and specks, but no run of ink as thick as a letter's.
        for seed in 0..50 {
            let seen = pixels("WWWWWW", seed);
            let edge = |at: u32| !(WIDTH..WIDTH * (HEIGHT - 1)).contains(&at);
            let dark = (0..WIDTH * HEIGHT).filter(|&at| edge(at) && seen[at as usize] < 100);
            assert!(dark.count() < 20, "seed {seed}");
        }
    }

    #[test]
    fn a_text_is_read_without_regard_to_case_and_spaces() {
        assert!(reads("KAX37W", "kax37w") && reads("KAX37W", " KAX 37w\n"));
        for given in ["", "KAX37", "KAX37WW", "KAX37V", &"K".repeat(4_000)] {
            assert!(!reads("KAX37W", given), "{given}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn texts_have_letters_that_can_be_drawn(seed in any::<u64>()) {
            let mut state = seed;
            let text = text(|bound| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % bound
            });
            prop_assert_eq!(text.chars().count(), LETTERS);
            prop_assert!(text.chars().all(|letter| !strokes(letter).is_empty()));
            prop_assert!(draw(&text, seed).is_ok());
        }
    }
}
