//! A low-latency WebSocket server written from RFC 6455 up.

#[cfg(feature = "market")]
pub mod feed;
pub mod http;
#[cfg(feature = "market")]
pub mod market;
pub mod proto;
