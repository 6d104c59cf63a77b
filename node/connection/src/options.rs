//! What an operator may set for the connection role.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

rookery_xmpp::options! {
    /// Where clients connect, and what their connections may cost.
    pub struct ConnectionOptions {
        /// Addresses for streams that begin in clear and must start TLS (RFC 6120 5).
        pub starttls: Vec<SocketAddr> =
            vec![(Ipv4Addr::UNSPECIFIED, 5222).into(), (Ipv6Addr::UNSPECIFIED, 5222).into()], "";
        /// Addresses for streams that begin with TLS (XEP-0368).
        pub direct_tls: Vec<SocketAddr> =
            vec![(Ipv4Addr::UNSPECIFIED, 5223).into(), (Ipv6Addr::UNSPECIFIED, 5223).into()], "";
        /// Load balancers that put a PROXY header (version 1 or 2) in front of each connection, as
        /// addresses with a prefix length: `["192.0.2.10/32"]`. The client's address in it is the one
        /// that counts. Connections from them without a header are closed, and so are headers from
        /// anybody else.
        pub proxy_trusted: Vec<IpNet> = Vec::new(), "";
        /// How long a load balancer may take to send its header; it has it ready.
        pub proxy_header_ms: u64 = 5_000, "ms";
        /// Connections at once; more are closed as they come. Each needs a file descriptor and some
        /// 10 kB.
        pub connections_max: usize = 50_000, "connections";
        /// Connections of one address at once (IPv6: of one /64); more are closed as they come. A
        /// household or a small office fits; a carrier's NAT may need more.
        pub connections_per_address_max: u32 = 100, "connections";
        /// Connections of one IPv4 /24 or IPv6 /48 at once; more are closed as they come. An attacker often has a whole
        /// prefix, and so does a carrier's NAT.
        pub connections_per_prefix_max: u32 = 2_000, "connections";
        /// Connections at once that are not yet authenticated, so that those who only knock never take the places of
        /// users. More are closed as they come; but who comes from a network without any gets the place of the oldest
        /// of the network that has the most.
        pub handshakes_max: usize = 4_000, "connections";
        /// Those of them that one IPv4 /24 or IPv6 /48 may have. Whoever registers may take minutes for the form:
        /// without this a network or two could hold all these places, and nobody would log in. When more than half are
        /// taken, a network may have a quarter of those that are free at most, so that many networks could not either.
        pub handshakes_per_prefix_max: u32 = 500, "connections";
        /// Connections that may wait in the kernel to be accepted.
        pub backlog: u32 = 1_024, "connections";
        /// Stanzas that may wait for one slow client; then they are left to its log.
        pub outbound_stanzas_max: u32 = 500, "stanzas";
        /// Bytes that may wait for one slow client, for the same reason.
        pub outbound_bytes_max: u32 = 1_048_576, "bytes";
        /// Sessions whose clients are lost and may come back to resume their streams; of more, the streams end with
        /// their connections. Each holds what waits for its client, up to `router.resume_bytes_max`, where mostly it
        /// is a few hundred bytes.
        pub sessions_waiting_max: usize = 20_000, "sessions";
        /// How long a client may take nothing of what is written to it before its connection is
        /// cut: it is gone.
        pub write_stall_ms: u64 = 30_000, "ms";
        /// How long a stop waits for clients to end their streams; those that are left are cut.
        pub drain_ms_max: u64 = 5_000, "ms";
        /// Passwords of PLAIN that are verified at once; more wait. Each occupies a core for some
        /// milliseconds.
        pub verifications_max: u32 = 2, "threads";
    }
}
