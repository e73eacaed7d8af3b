//! A line that shows how a run goes, and Ctrl-C.
//! Invariant: nothing is drawn where standard error is no terminal.

use crate::cli::signals::Stop;
use crate::load::{Phase, Progress, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, stderr};

const STEPS: u64 = 1000;

/// Draws the line, and knows of Ctrl-C.
pub(super) struct Onlooker {
    stop: Stop,
    bar: Option<ProgressBar>,
}

impl Onlooker {
    pub(super) fn start(command: &'static str) -> anyhow::Result<Self> {
        let stop = Stop::on_signals()?;
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix} {bar:30} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(command);
            bar
        });
        Ok(Self { stop, bar })
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Onlooker {
    fn is_stopped(&self) -> bool {
        self.stop.is_asked_for()
    }

    fn on_progress(&mut self, progress: &Progress) {
        let Some(bar) = &self.bar else {
            return;
        };
        let Progress { phase, part, connections, per_second, errors } = *progress;
        let mut text = match phase {
            Phase::Opening => format!("opening: {connections} connections"),
            Phase::WarmUp => "warming up".to_owned(),
            Phase::Measuring => format!("{per_second:.0}/s, {connections} connections"),
            Phase::Draining => "waiting for what is on its way".to_owned(),
        };
        if errors > 0 {
            text.push_str(&format!(", {errors} errors"));
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "from 0 to 1000"
        )]
        bar.set_position((part.clamp(0.0, 1.0) * STEPS as f64) as u64);
        bar.set_message(text);
    }
}
