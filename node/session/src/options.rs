//! What an operator may set for sessions of clients.

rookery_xmpp::options! {
    /// Streams of clients: how long each step may take, how often it may be tried, and how a client may log in.
    pub struct SessionOptions {
        /// From the accepted socket to a bound session. Who takes longer holds a socket without being anybody.
        pub login_timeout_ms: u64 = 30_000, "ms";
        /// Granted once, instead of what is left of the login time, to a stranger who asked for the registration
        /// form: a person has to fill it in.
        pub registration_timeout_ms: u64 = 180_000, "ms";
        /// How long a stranger waits for the answer to a registration before being told to come again later: a router
        /// that has lost the control group in the middle of one says nothing before it has found it again.
        pub registration_answer_ms: u64 = 20_000, "ms";
        /// From our end of a stream to the client's; then the socket is closed without it (RFC 6120 4.4).
        pub close_timeout_ms: u64 = 5_000, "ms";
        /// Silence of a bound client before it is pinged, so that dead sockets are found (RFC 6120 4.6). Shorter
        /// times wake sleeping phones for nothing.
        pub idle_ms: u64 = 300_000, "ms";
        /// How long a pinged client may stay silent before its stream ends.
        pub ping_timeout_ms: u64 = 60_000, "ms";
        /// Stanzas that are held back from a client that says that nobody looks at it (XEP-0352); the next one has all
        /// of them written. 0 holds nothing back.
        pub held_stanzas_max: u32 = 256, "stanzas";
        /// Bytes of them: sleeping clients are many, and each may hold so much memory.
        pub held_bytes_max: u32 = 65_536, "bytes";
        /// Failed logins on one stream; the last of them ends it (RFC 6120 6.4.5 asks for 2 to 5).
        pub login_attempts_max: u32 = 3, "attempts";
        /// Refused attempts to bind a resource on one stream; the last of them ends it.
        pub bind_attempts_max: u32 = 5, "attempts";
        /// Stanzas that a client with stream management (XEP-0198) was sent and has not acknowledged. Past it nothing
        /// more is written, and the log takes over.
        pub unacked_stanzas_max: u32 = 500, "stanzas";
        /// Bytes of what such a client has not acknowledged, held in memory; past them, too, the log takes over.
        pub unacked_bytes_max: u32 = 1_048_576, "bytes";
        /// Stanzas of one client that may be under way: not yet in all logs where they belong, nor answered. Past it
        /// the client is not read until some have been dealt with, so that it sends no faster than the store takes.
        pub under_way_stanzas_max: u32 = 128, "stanzas";
        /// Bytes of them, for the same reason. Some clients that write to one account must not fill what may be under
        /// way to its shard, past which messages are refused; one stanza of any size is taken.
        pub under_way_bytes_max: u32 = 65_536, "bytes";
        /// Where clients shall reconnect first to resume a stream (XEP-0198 5, `location`): the address of this very
        /// node as clients reach it, as in `node1.example.org:5222`. Their sessions are here; but every node can go on
        /// with them. Empty tells none, which is right behind a load balancer.
        pub resume_location: String = String::new(), "";
        /// How long a client may take to acknowledge what it is asked for before its stream ends. A phone under a
        /// bridge comes back within a minute.
        pub ack_timeout_ms: u64 = 120_000, "ms";
        /// Registration requests on one stream before login: a form, some names that are taken, one that is free.
        pub registration_requests_max: u32 = 10, "requests";
        /// Decoded size of one SASL message. SCRAM with the longest names needs about 3,200 bytes.
        pub sasl_message_bytes_max: u32 = 4_096, "bytes";
        /// Whether PLAIN is offered, always under TLS only. It shows the password to the server, and costs the server
        /// a key derivation a login; but some clients know nothing else.
        pub plain: bool = true, "";
        /// Whether SCRAM-SHA-1 and its -PLUS form are offered (RFC 5802).
        pub scram_sha_1: bool = true, "";
        /// Whether SCRAM-SHA-256 and its -PLUS form are offered (RFC 7677).
        pub scram_sha_256: bool = true, "";
        /// Whether SCRAM-SHA-512 and its -PLUS form are offered.
        pub scram_sha_512: bool = true, "";
        /// Whether the -PLUS forms and the channel-binding types of XEP-0440 are offered. Turn it off only where
        /// something else ends the clients' TLS.
        pub channel_binding: bool = true, "";
        /// Whether SCRAM signs the list of mechanisms that was offered (XEP-0474), so that nobody in between can
        /// shorten it.
        pub downgrade_protection: bool = true, "";
        /// Iteration counts of stored keys beside `router.scram_iterations`, as imported accounts and those from before
        /// a change of it have them. Each name without an account pretends to have one of all these, for ever the
        /// same; a stranger can tell names with a count that is not listed from unknown ones.
        pub decoy_iterations: Vec<u32> = Vec::new(), "iterations";
    }
}
