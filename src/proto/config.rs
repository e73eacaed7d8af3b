//! What a connection is told when it is made: its role, its limits (RFC 6455 §10.4), its timeouts.
//! Shared by all the connections of a server through one `Arc`.

use std::sync::Arc;
use std::time::Duration;

/// Which end of the connection this is. It decides who masks (§5.1).
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// Accepts connections; receives masked frames and sends unmasked ones.
    Server,
    /// Opens connections; sends masked frames and receives unmasked ones. The function yields the
    /// masking key of each frame sent: §5.3 wants it from a strong source of entropy.
    Client(fn() -> [u8; 4]),
}

/// What a peer may make us hold (§10.4). Going over a limit fails the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of payload in one frame. Default 64 MiB; close code 1009.
    pub frame_bytes_max: u64,
    /// Bytes of payload in one message, over all its frames. Default 64 MiB; close code 1009.
    pub message_bytes_max: u64,
    /// Frames in one message. Default 1,048,576; close code 1008.
    pub fragments_max: u32,
}

impl Limits {
    /// Limits for messages of up to `bytes`, whether in one frame or in many.
    #[must_use]
    pub fn message(bytes: u64) -> Self {
        Self { frame_bytes_max: bytes, message_bytes_max: bytes, ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        const DEFAULT_BYTES_MAX: u64 = 64 << 20;
        Self {
            frame_bytes_max: DEFAULT_BYTES_MAX,
            message_bytes_max: DEFAULT_BYTES_MAX,
            fragments_max: 1 << 20,
        }
    }
}

/// When a connection is asked whether it lives, and when it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Time between two pings that we send. Default 20 s; `None`: never.
    pub ping_interval: Option<Duration>,
    /// Silence of the peer after which the connection is closed. Default 60 s; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Time for the peer to answer our close frame. Default 5 s.
    pub close_timeout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            ping_interval: Some(Duration::from_secs(20)),
            idle_timeout: Some(Duration::from_secs(60)),
            close_timeout: Duration::from_secs(5),
        }
    }
}

/// All that a [`Connection`](super::Connection) is told when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Server or client.
    pub role: Role,
    /// What the peer may make us hold.
    pub limits: Limits,
    /// When we ask and when we give up.
    pub timeouts: Timeouts,
}

impl Config {
    /// A server with the default limits and timeouts.
    #[must_use]
    pub fn server() -> Arc<Self> {
        Arc::new(Self::new(Role::Server))
    }

    /// A client with the default limits and timeouts. `masking_key` yields a fresh, unpredictable
    /// key for each frame (§5.3).
    #[must_use]
    pub fn client(masking_key: fn() -> [u8; 4]) -> Arc<Self> {
        Arc::new(Self::new(Role::Client(masking_key)))
    }

    /// The default limits and timeouts for `role`.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self { role, limits: Limits::default(), timeouts: Timeouts::default() }
    }
}
