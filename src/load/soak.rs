//! Soak: a crowd of market-stream subscribers, most of them honest and some of them a nuisance, for
//! as long as one likes; what it costs the server, and whether anybody honest lost anything.
//!
//! Honest clients read what comes and check it; a share of them leaves now and then, in one way or
//! another, and comes back. Slow ones read at a rate; pausing ones stop for seconds; stalled ones
//! never read; unfinished ones never complete their handshake.
//! Invariant: what a nuisance gets may end early, but is in order and without a gap as far as it
//! goes; what an honest client gets does not end unless it ends it.

mod crowd;
mod ends;
mod place;
mod rounds;
mod sampler;
mod spell;

use self::crowd::Crowd;
use super::client::Reads;
use super::clock::nanos;
use super::drive::{Drive, Phase, Plan, Watch};
use super::error::LoadError;
use super::fleet::Sources;
use super::ledger::Gaps;
use super::report::{Report, Unit};
use super::schedule::Rate;
use std::time::Duration;

/// Whether the server may be stopped and started in the meantime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restarts {
    /// No: who loses a connection has lost something.
    Faults,
    /// Yes: connections that end so are made anew, and who was told is counted.
    Allowed,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Soak {
    /// Connections in all, but for those that are never finished.
    pub(crate) connections: usize,
    /// Of them, those that read at [`Self::slow_bytes_per_s`].
    pub(crate) slow: usize,
    pub(crate) slow_bytes_per_s: usize,
    /// Of them, those that stop to read for seconds, again and again.
    pub(crate) pausing: usize,
    /// Of them, those that never read.
    pub(crate) stalled: usize,
    /// Handshakes that stop half-way, beside the connections.
    pub(crate) unfinished: usize,
    /// Honest connections that end each second and are made anew.
    pub(crate) churn: Option<Rate>,
    /// The nuisances are there and not there by turns, so long each.
    pub(crate) alternate: Option<Duration>,
    pub(crate) restarts: Restarts,
    /// For a handshake to be answered, for a connection that was closed to end, and for an event
    /// that one client has had to reach all others.
    pub(crate) patience: Duration,
    /// What the watched process may have in memory.
    pub(crate) resident_bytes_max: Option<u64>,
    pub(crate) streams: Vec<(String, Gaps)>,
    /// What the slow, the pausing and the stalled subscribe to.
    pub(crate) nuisance_streams: Vec<(String, Gaps)>,
}

impl Soak {
    /// Those that read everything at once.
    fn honest(&self) -> usize {
        self.connections.saturating_sub(self.slow + self.pausing + self.stalled)
    }

    /// Runs it.
    pub(crate) fn run(&self, plan: &Plan, watch: &mut dyn Watch) -> Result<Report, LoadError> {
        let mut crowd = Crowd::new(self, plan)?;
        let mut drive = Drive::new(plan, &mut crowd, watch)?;
        drive.scenario.set_clock(drive.fleet.clock());
        drive.fleet.set_sources(Sources::Several);
        drive.open(0..self.honest(), Reads::Everything)?;
        drive.await_ready()?;
        let measured = drive.load(plan)?;
        drive.close()?;
        drive.pass_until_rested(self.patience)?;
        crowd.note_leaks();

        let Crowd { tally, ends, sampler, spells, faults, .. } = crowd;
        let mut report = Report::new(&measured, faults);
        report.count("connections", "connections open at the end", tally.open_at_end);
        let fewest = tally.open_min.unwrap_or(tally.open_at_end);
        report.count("connections_min", "connections open at the fewest", fewest);
        report.count("opened", "opened in all", tally.opened);
        report.count("honest_reconnects", "honest clients that came back", tally.honest_reopened);
        report.rate(("events", "events"), ("events_per_s", "events/s"), tally.measured);
        report.count("received", "received in all", tally.received);
        report.count("left_out_honest", "replaced or folded: honest", tally.left_out_honest);
        report.count("left_out_behind", "replaced or folded: slow, pausing", tally.left_out_behind);
        ends.tell(&mut report);
        sampler.tell(&mut report);
        report.costs(&measured, tally.measured, "server's CPU an event");
        if self.alternate.is_some() {
            let ratio = spells.p99_ratio();
            report.figure("p99_ratio", "p99 disturbed / quiet", ratio, Unit::Times);
            report.series("quiet", "ingest to receipt, quiet", &spells.quiet);
            report.series("disturbed", "ingest to receipt, disturbed", &spells.disturbed);
        } else {
            report.series("ingest_to_receipt", "ingest to receipt", &spells.disturbed);
        }
        Ok(report)
    }
}

impl Drive<'_, Crowd> {
    /// Everybody has gone: waits until the server's descriptors are as many as before, or the time
    /// is over.
    fn pass_until_rested(&mut self, most: Duration) -> Result<(), LoadError> {
        let end = self.now().saturating_add(nanos(most));
        while !self.scenario.is_rested() && self.now() < end {
            self.pass(Phase::Draining, Duration::from_millis(100))?;
        }
        Ok(())
    }
}

/// What was counted of the crowd.
#[derive(Debug, Default)]
struct Tally {
    opened: u64,
    honest_reopened: u64,
    /// Connections that were open at the moment when they were fewest.
    open_min: Option<u64>,
    open_at_end: u64,
    received: u64,
    /// Of those received, those in the measured part.
    measured: u64,
    /// Events that a state's newer one or a folded difference stood for.
    left_out_honest: u64,
    left_out_behind: u64,
}
