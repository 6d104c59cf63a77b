//! What ties a login to its TLS connection, so that it cannot be relayed (RFC 5056).

use crate::event::TlsFacts;

/// A channel binding of this connection. `tls-unique` is not among them: TLS 1.3 has none, and in TLS 1.2 it is broken
/// (RFC 9266 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelBinding {
    /// The registered name.
    pub(crate) name: &'static str,
    /// What both ends of the TLS connection know.
    pub(crate) data: Vec<u8>,
}

/// The bindings that a TLS connection has, the strongest first.
pub(super) fn of(tls: &TlsFacts) -> Vec<ChannelBinding> {
    let exporter = tls.exporter.filter(|_| tls.tls13).map(|data| data.to_vec());
    let bindings = [
        ("tls-exporter", exporter),
        ("tls-server-end-point", tls.server_end_point.clone()),
    ];
    bindings
        .into_iter()
        .filter_map(|(name, data)| data.map(|data| ChannelBinding { name, data }))
        .filter(|binding| !binding.data.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_exporter_is_for_tls_1_3_only() {
        let mut tls = TlsFacts {
            tls13: false,
            exporter: Some([7; 32]),
            server_end_point: Some(vec![9; 32]),
            server_name: None,
        };
        let names = |tls: &TlsFacts| of(tls).iter().map(|b| b.name).collect::<Vec<_>>();
        assert_eq!(names(&tls), ["tls-server-end-point"]);
        tls.tls13 = true;
        assert_eq!(names(&tls), ["tls-exporter", "tls-server-end-point"]);
        assert_eq!(names(&TlsFacts::default()), Vec::<&str>::new());
    }
}
