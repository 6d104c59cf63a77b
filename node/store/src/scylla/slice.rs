//! Slices: what would be one partition for everybody is spread over a fixed number of them.

/// How many slices there are. Part of the schema.
pub(super) const SLICES: i16 = 16;

/// The slice of a text: FNV-1a, which never changes.
pub(super) fn slice_of(text: &str) -> i16 {
    (hash(text) % SLICES.unsigned_abs() as u64) as i16
}

/// A hash that is the same on all machines and in all versions.
pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_slice() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(slice_of("a"), 12);
    }
}
