//! One run from its arguments to what is printed.

use super::args::RunArguments;
use super::{Load, add, plot, progress, table};
use crate::cli::descriptors;
use crate::cli::run::announce;
use crate::http::Url;
use crate::load::Report;
use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

/// What is to be run, for people.
pub(super) struct Run {
    pub(super) command: &'static str,
    pub(super) what: String,
}

/// A report, and all that it takes to know what it is of.
#[derive(Serialize)]
pub(super) struct Saved<'a> {
    command: &'a str,
    label: &'a str,
    version: &'a str,
    url: String,
    arguments: Value,
    #[serde(flatten)]
    report: &'a Report,
}

impl Run {
    /// Makes the run and prints what came of it. Errors of the server's are printed, and are an
    /// error in the end.
    pub(super) fn execute(
        &self,
        arguments: &RunArguments,
        connections: usize,
        settings: Value,
        load: impl Load,
    ) -> anyhow::Result<()> {
        descriptors::require(connections)?;
        let plan = arguments.plan();
        let mut onlooker = progress::Onlooker::start(self.command)?;
        let report = load(&plan, &mut onlooker);
        onlooker.finish();
        let report = report?;
        let label = arguments.label.as_deref().unwrap_or(self.command);
        let url = told(&arguments.url);
        if arguments.json {
            let mut settings = arguments.beside(settings);
            add(&mut settings, "what", self.what.as_str());
            let saved = Saved {
                command: self.command,
                label,
                version: env!("CARGO_PKG_VERSION"),
                url,
                arguments: settings,
                report: &report,
            };
            let json = serde_json::to_string(&saved).context("cannot write JSON")?;
            announce(&format!("{json}\n"));
        } else {
            announce(&table::render(self, &url, &report));
        }
        if let Some(path) = &arguments.plot {
            plot::draw(path, &plot::Line::of_report(label, &report))?;
        }
        match &report.errors.first {
            Some(first) => bail!("{} errors; the first: {first}", report.errors.total),
            None => Ok(()),
        }
    }
}

/// A URL as it was written, near enough.
pub(super) fn told(url: &Url) -> String {
    let host = url.host();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("ws://{host}:{}{}", url.port(), url.target())
}
