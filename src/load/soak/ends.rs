//! How connections ended, counted: by us in which way, by the server with which code, or by TCP.
//! Invariant: each connection that was open, and each that could not be opened, is counted once.

use super::place::Way;
use crate::load::error::End;
use crate::load::report::Report;

/// Codes that are told by themselves, with their keys in JSON and in words.
const CODES: [(u16, &str, &str); 8] = [
    (1000, "closed_1000", "closed by the server: 1000"),
    (1001, "closed_1001", "closed by the server: 1001"),
    (1002, "closed_1002", "closed by the server: 1002"),
    (1008, "closed_1008", "closed by the server: 1008"),
    (1009, "closed_1009", "closed by the server: 1009"),
    (1011, "closed_1011", "closed by the server: 1011"),
    (1012, "closed_1012", "closed by the server: 1012"),
    (1013, "closed_1013", "closed by the server: 1013"),
];

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    by_code: [u64; CODES.len()],
    other_codes: u64,
    vanished: u64,
    failed: u64,
    cut: u64,
    ours: [u64; Way::ALL.len()],
    /// Stalled clients that left by themselves.
    given_up: u64,
    not_opened: u64,
    unfinished: u64,
    pub(super) shutdowns_told: u64,
}

impl Ends {
    /// An open connection has ended, and we did not mean it to.
    pub(super) fn by_server(&mut self, end: &End) {
        match end {
            End::Closed(code) | End::Cut { code, .. } => {
                let place = CODES.iter().position(|(known, ..)| known == code);
                let counter = place.and_then(|place| self.by_code.get_mut(place));
                *counter.unwrap_or(&mut self.other_codes) += 1;
                self.cut += u64::from(matches!(end, End::Cut { .. }));
            }
            End::Vanished | End::ByUs => self.vanished += 1,
            _ => self.failed += 1,
        }
    }

    /// We have ended a connection.
    pub(super) fn by_us(&mut self, way: Way) {
        if let Some(counter) = self.ours.get_mut(way.index()) {
            *counter += 1;
        }
    }

    pub(super) fn given_up(&mut self) {
        self.given_up += 1;
    }

    pub(super) fn not_opened(&mut self) {
        self.not_opened += 1;
    }

    /// The server has ended a handshake that would never have been finished.
    pub(super) fn unfinished(&mut self) {
        self.unfinished += 1;
    }

    /// Adds what there was to a report.
    pub(super) fn tell(&self, report: &mut Report) {
        let ours = Way::ALL.iter().zip(self.ours);
        let ours = ours.map(|(way, count)| (way.key(), way.title(), count));
        let codes = CODES.iter().zip(self.by_code);
        let codes = codes.map(|(&(_, key, title), count)| (key, title, count));
        let others = [
            ("closed_other", "closed by the server: others", self.other_codes),
            ("reset_after_close", "of all those, TCP failed then", self.cut),
            ("vanished", "TCP ended without a close frame", self.vanished),
            ("failed", "TCP failed, or the protocol", self.failed),
            ("given_up", "stalled clients that left", self.given_up),
            ("not_opened", "attempts that failed", self.not_opened),
            ("unfinished_ended", "unfinished handshakes ended", self.unfinished),
            ("shutdown_events", "told of the server's shutdown", self.shutdowns_told),
        ];
        for (key, title, count) in ours.chain(codes).chain(others) {
            if count > 0 {
                report.count(key, title, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, ErrorKind};

    /// Each end is told under its own name, and what did not happen is left out.
    #[test]
    fn each_end_has_its_name() {
        let mut ends = Ends::default();
        let reset = || Error::from(ErrorKind::ConnectionReset);
        for end in [
            End::Closed(1001),
            End::Cut { code: 1008, error: reset() },
            End::Closed(4000),
            End::Vanished,
            End::Io(reset()),
        ] {
            ends.by_server(&end);
        }
        ends.by_us(Way::Reset);
        let mut report = Report::default();
        ends.tell(&mut report);
        let told: Vec<_> = report.figures.iter().map(|figure| figure.key).collect();
        let expected = [
            "left_reset",
            "closed_1001",
            "closed_1008",
            "closed_other",
            "reset_after_close",
            "vanished",
            "failed",
        ];
        assert_eq!(told, expected);
        assert!(report.figures.iter().all(|figure| figure.value.to_bits() == 1f64.to_bits()));
    }
}
