//! The opening handshake, and the little HTTP that a WebSocket server on one port meets.
//!
//! RFC 6455 §3 and §4, over the HTTP/1.1 of RFC 9110 and RFC 9112. Bytes in, values and bytes out:
//! no sockets, no clock (a date is passed in), and nothing is allocated by a length that a peer
//! merely announces. One request is read per connection: its answer is either a switch to
//! WebSocket, or a [`Response`] that says `Connection: close`.
//!
//! Invariant: what is made of some bytes does not depend on how they were cut into reads.
//!
//! ```
//! use tickwire::http::{HeadLimits, HeadParser, Intent, Response, Switching, classify};
//!
//! let limits = HeadLimits::default();
//! let received = b"GET /ws?streams=btcusdt@trade HTTP/1.1\r\n\
//!     Host: localhost:9001\r\n\
//!     Upgrade: websocket\r\n\
//!     Connection: Upgrade\r\n\
//!     Sec-WebSocket-Version: 13\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
//! let mut answer = Vec::new();
//! match HeadParser::new().try_parse(received, &limits) {
//!     Ok(None) => { /* read more, then call again with all bytes so far */ }
//!     Ok(Some(request)) => match classify(&request) {
//!         Ok(Intent::WebSocket(handshake)) => Switching::new(&handshake).encode(&mut answer),
//!         Ok(Intent::Plain) => { /* answer `request.path()` with a `Response` */ }
//!         Err(rejection) => {
//!             Response::from(rejection).encode(request.method(), None, &mut answer);
//!         }
//!     },
//!     Err(rejection) => Response::from(rejection).encode("GET", None, &mut answer),
//! }
//! assert!(answer.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
//! ```

mod authority;
mod client;
mod deflate;
mod error;
mod extensions;
mod fields;
mod get;
mod head;
mod key;
mod origin;
mod request;
mod response;
mod status;
mod token;
mod upgrade;
mod url;

#[doc(hidden)]
pub mod oracle;

pub use client::{Answer, ClientHandshake};
pub use deflate::DeflateAgreement;
pub use error::{ClientError, HandshakeFailure, HeadError, Rejection};
pub use fields::FieldError;
pub use get::{Get, GetHead};
pub use head::HeadLimits;
pub use key::accept_key;
pub use origin::{OriginError, OriginPattern, Origins};
pub use request::{HeadParser, Request, Version};
pub use response::{Response, Switching};
pub use status::Status;
pub use upgrade::{Handshake, Intent, SUBPROTOCOLS_MAX, classify};
pub use url::{Url, UrlError};
