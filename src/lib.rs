//! A low-latency WebSocket server written from RFC 6455 up.

pub mod http;
#[cfg(feature = "market")]
pub mod feed;
#[cfg(feature = "market")]
pub mod market;
pub mod proto;
