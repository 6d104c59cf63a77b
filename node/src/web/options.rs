//! The section `web`.

use std::net::SocketAddr;

use ipnet::IpNet;
use rookery_control::WindowSetting;

rookery_xmpp::options! {
    /// The public pages: about invitations, and `/.well-known/security.txt`. They are for everybody, unlike the HTTP
    /// port for monitoring, and off unless there are addresses.
    pub struct WebOptions {
        /// Addresses, such as `["0.0.0.0:443", "[::]:443"]`, the second of which stands for IPv6 alone; an empty list
        /// switches the pages off.
        pub listen: Vec<SocketAddr> = Vec::new(), "";
        /// Whether it is HTTPS with the certificates of `[tls]`. Switch it off only behind a proxy that does TLS: a
        /// token that travels in the clear is everybody's.
        pub tls: bool = true, "";
        /// Where people reach the pages, as in `https://example.org`: links to them begin with it.
        pub base_url: String = String::new(), "";
        /// Proxies whose `X-Forwarded-For` says who the client is, as addresses with a prefix length:
        /// `["127.0.0.1/32"]`. From anybody else that header is passed over.
        pub proxy_trusted: Vec<IpNet> = Vec::new(), "";
        /// Requests from one address (IPv6: from one /64), so many at once and as many again in each such time, and
        /// eight times as many from one IPv4 /24 or IPv6 /48. Each page about an invitation asks the control group, and
        /// nobody reads that many.
        pub requests_per_address: WindowSetting = WindowSetting::fixed(60, 60), "";
        /// Connections at once. Each takes an open file, and a minute at most.
        pub connections_max: u32 = 512, "connections";
        /// Connections at once from one address (IPv6: from one /64), and eight times as many from one IPv4 /24 or IPv6
        /// /48; trusted proxies may have all.
        pub connections_per_address_max: u32 = 16, "connections";
    }
}
