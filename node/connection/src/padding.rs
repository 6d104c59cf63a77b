//! What a client sends that is not its stream: the limits of a stream count what it says, and of a record of TLS that
//! may be next to nothing.
//!
//! ```text
//! record of 16 KiB (RFC 8446 5.4):  1 byte of the stream │ 16,383 bytes of padding
//! ```
//!
//! A record adds some 22 bytes to what it carries, a handshake some thousand. So much is free. Of a client that sends
//! more for what it says, all that is beyond counts as if it had said it.

/// The bytes of one connection that were read from the socket, and for which the stream has nothing to show yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Padding(u32);

impl Padding {
    /// A read took so many bytes from the socket and gave so many of the stream. How many count besides.
    pub(crate) fn count(&mut self, read: usize, plain: usize) -> usize {
        let shown = plain.saturating_mul(2).saturating_add(RECORD_BYTES);
        let unshown = (self.0 as usize).saturating_add(read).saturating_sub(shown);
        let beyond = unshown.saturating_sub(FREE_BYTES);
        self.0 = (unshown - beyond) as u32;
        beyond
    }
}

/// What a record may add, whatever it carries.
const RECORD_BYTES: usize = 32;

/// A handshake, and a record that has not come as a whole: both are at most 16 KiB and a little.
const FREE_BYTES: usize = 40 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send_costs_what_they_say() {
        let mut padding = Padding::default();
        assert_eq!(padding.count(16 * 1024, 0), 0, "a handshake");
        for plain in [1, 60, 200, 3_000, 16_384].repeat(200) {
            // A record comes in pieces, and says what it carries with the last.
            let mut left = plain + 22;
            while left > 2_500 {
                assert_eq!(padding.count(2_500, 0), 0);
                left -= 2_500;
            }
            assert_eq!(padding.count(left, plain), 0, "{plain}");
        }
    }

    #[test]
    fn padding_counts_but_for_what_is_free() {
        let mut padding = Padding::default();
        let (record, records) = (16_384 + 22, 1_000);
        let counted: usize = (0..records).map(|_| padding.count(record, 1)).sum();
        let sent = record * records;
        assert!(
            counted < sent && sent - counted < 100_000,
            "{counted} of {sent}"
        );
        // Empty records, of which one read brings many.
        let counted: usize = (0..1_000).map(|_| padding.count(2_300, 0)).sum();
        assert_eq!(counted, 1_000 * (2_300 - RECORD_BYTES));
    }
}
