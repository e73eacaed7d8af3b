//! Compressing what is sent (RFC 7692): a worker's compressors, one for each window in use.
//! Invariant: what is appended is one whole frame, compressed where that makes it smaller.

use super::options::DeflateOptions;
use crate::proto::deflate::Compressor;
use crate::proto::frame::encode_compressed;
use crate::proto::{OpCode, WindowBits};

/// A worker's compressors.
#[derive(Debug)]
pub(super) struct Compressors {
    options: DeflateOptions,
    /// By window, from 8 bits to 15.
    by_window: [Option<Box<Compressor>>; 8],
}

impl Compressors {
    pub(super) fn new(options: DeflateOptions) -> Self {
        Self { options, by_window: Default::default() }
    }

    /// Appends a compressed frame for receivers with this window. `false`: the message is better
    /// sent plain, and nothing was appended.
    pub(super) fn encode(
        &mut self,
        window: WindowBits,
        opcode: OpCode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        if payload.len() < self.options.threshold_bytes {
            return false;
        }
        let place = self.by_window.get_mut(usize::from(window.bits()).wrapping_sub(8));
        let Some(place) = place else { return false };
        let compressor = place.get_or_insert_with(|| Box::new(Compressor::new(window)));
        encode_compressed(out, opcode, payload, compressor)
    }
}
