//! Limits on what one client may send: its request, and its messages.

use super::args::LIMITS;
use super::units::bytes;
use crate::http::HeadLimits;
use crate::proto::Limits;
use clap::{Args, value_parser};

/// The most fields that `--max-request-fields` allows.
const FIELDS_MAX: u64 = 10_000;

#[derive(Debug, Args)]
pub(super) struct MessageLimitArguments {
    /// Bytes of a client's HTTP request, of which its target may have half; longer ones are
    /// answered with 431 or 414
    #[arg(
        long, value_name = "BYTES", default_value = "16KiB",
        value_parser = bytes, help_heading = LIMITS
    )]
    max_request: u64,

    /// Field lines of a client's HTTP request; more are answered with 431
    #[arg(
        long, value_name = "N", default_value_t = 100,
        value_parser = value_parser!(u64).range(1..=FIELDS_MAX), help_heading = LIMITS
    )]
    max_request_fields: u64,

    /// Longest frame taken; a longer one closes the connection with code 1009
    /// [default: the message limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = LIMITS)]
    max_frame: Option<u64>,

    /// Frames that one message may come in; more close the connection with code 1008
    /// [default: serve 1024; echo and chat 1048576]
    #[arg(
        long, value_name = "N", value_parser = value_parser!(u32).range(1..), help_heading = LIMITS
    )]
    max_fragments: Option<u32>,
}

impl MessageLimitArguments {
    /// What an opening handshake may be.
    pub(super) fn head_limits(&self) -> HeadLimits {
        let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        HeadLimits {
            head_bytes_max: bytes(self.max_request),
            target_bytes_max: bytes(self.max_request.div_ceil(2)),
            fields_max: bytes(self.max_request_fields),
        }
    }

    /// What messages of up to `message_bytes_max` may be, in `fragments` where the user does not
    /// say.
    pub(super) fn limits(&self, message_bytes_max: u64, fragments: u32) -> Limits {
        Limits {
            frame_bytes_max: self.max_frame.unwrap_or(message_bytes_max),
            fragments_max: self.max_fragments.unwrap_or(fragments),
            ..Limits::message(message_bytes_max)
        }
    }
}
