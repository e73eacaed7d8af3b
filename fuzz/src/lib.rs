//! What the fuzz targets check: one file and one function for each target, which panics where a
//! property does not hold. `tests/corpora.rs` runs the same functions over the committed corpora,
//! without a fuzzer.
//!
//! Where a target reads what a peer or a feed sends, an input is those bytes and nothing else, so
//! that a capture is a seed and a find can be sent to a server as it is; how they are cut into
//! reads follows from them. Where it does several things in a row (`book`, `connection`, `depth`),
//! the bytes say which ([`script`]).

mod addresses;
mod book;
mod connection;
mod control;
mod decoder;
mod depth;
pub mod differential;
mod envelope;
mod extensions;
mod handshake;
mod header;
mod inflate;
mod lines;
mod pieces;
mod script;
mod simulator;

pub use self::addresses::addresses;
pub use self::book::book;
pub use self::connection::connection;
pub use self::control::control;
pub use self::decoder::{Transcript, decoder, run};
pub use self::depth::depth;
pub use self::differential::differential;
pub use self::envelope::envelope;
pub use self::extensions::extensions;
pub use self::handshake::handshake;
pub use self::header::{check_header, header};
pub use self::inflate::inflate;
pub use self::lines::lines;
pub use self::pieces::same_however_cut;
pub use self::simulator::simulator;

use tickwire::proto::header::CONTROL_PAYLOAD_BYTES_MAX;
use tickwire::proto::{Limits, Millis, Role};

const CONTROL_BYTES_MAX: u64 = CONTROL_PAYLOAD_BYTES_MAX as u64;
/// Any key will do: it only has to be one.
const CLIENT: Role = Role::Client(|| [0x37, 0xfa, 0x21, 0x3d]);
/// Where no timeout plays a part it is always the same moment.
const NOW: Millis = Millis(0);

/// Small enough for a short input to go over each of them.
const LIMITS: Limits = Limits { frame_bytes_max: 300, message_bytes_max: 400, fragments_max: 8 };
