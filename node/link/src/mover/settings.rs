//! What both ends of a connection must be set to.

use std::time::Duration;

use tonic::transport::{Endpoint, Server};

use crate::LinkOptions;

/// What a peer may send before it is read, on one stream: it stands in this process's memory.
const STREAM_WINDOW: u32 = 1_048_576;

/// The same for a whole connection.
const CONNECTION_WINDOW: u32 = 2_097_152;

/// What a peer may send in one frame of HTTP/2: each costs a system call, and a parcel is no larger.
const FRAME_SIZE: u32 = 262_144;

/// Sets windows, keep-alive, and no delay.
pub fn client_settings(endpoint: Endpoint, options: &LinkOptions) -> Endpoint {
    endpoint
        .tcp_nodelay(true)
        .connect_timeout(options.connect_max())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_SIZE)
        .http2_keep_alive_interval(Duration::from_millis(options.keep_alive_ms))
        .keep_alive_timeout(Duration::from_millis(options.keep_alive_timeout_ms))
        .keep_alive_while_idle(true)
}

/// Calls of one connection at once: more than nodes make, and few enough for what strangers may claim
/// in each before they are refused.
const STREAMS_MAX: u32 = 1_024;

/// Sets windows and keep-alive. Whoever serves over a listener of its own sets nodelay on each
/// connection.
pub fn server_settings(server: Server, options: &LinkOptions) -> Server {
    server
        .tcp_nodelay(true)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(Some(FRAME_SIZE))
        .http2_keepalive_interval(Some(Duration::from_millis(options.keep_alive_ms)))
        .http2_keepalive_timeout(Some(Duration::from_millis(options.keep_alive_timeout_ms)))
}
