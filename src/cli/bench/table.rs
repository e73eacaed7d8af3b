//! A report as a table for people.

use super::output::Run;
use crate::load::{Report, Unit};
use std::fmt::Write as _;

/// The width of the first column.
const TITLE: usize = 34;
const COLUMN: usize = 11;

/// The table, with a line's end.
pub(super) fn render(run: &Run, url: &str, report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_table(&mut out, run, url, report);
    out
}

fn write_table(
    out: &mut String,
    run: &Run,
    url: &str,
    report: &Report,
) -> Result<(), std::fmt::Error> {
    let early = if report.interrupted { ", ended early" } else { "" };
    writeln!(out, "tickwire bench {}: {url}", run.command)?;
    writeln!(out, "{}; {:.1} s{early}\n", run.what, report.seconds)?;
    for figure in &report.figures {
        let value = number(figure.value, figure.unit);
        writeln!(out, "  {:TITLE$}{value:>16}", figure.title)?;
    }
    if let Some(first) = report.latencies.first() {
        write!(out, "\n  {:TITLE$}", "latency in µs")?;
        for percentile in first.latencies.percentiles {
            write!(out, "{:>COLUMN$}", percentile.name)?;
        }
        writeln!(out)?;
    }
    for series in &report.latencies {
        write!(out, "  {:TITLE$}", series.title)?;
        for percentile in series.latencies.percentiles {
            let told =
                if series.latencies.count == 0 { "-".to_owned() } else { short(percentile.us) };
            write!(out, "{told:>COLUMN$}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "\n  {:TITLE$}{:>16}", "errors", grouped(report.errors.total))?;
    for (kind, count) in report.errors.kinds() {
        writeln!(out, "    {kind:32}{:>16}", grouped(count))?;
    }
    for note in &report.notes {
        writeln!(out, "  note: {note}")?;
    }
    Ok(())
}

fn number(value: f64, unit: Unit) -> String {
    const KIB: f64 = 1024.0;
    match unit {
        Unit::Count | Unit::PerSecond => whole(value),
        Unit::BytesEach => format!("{} B", short(value)),
        Unit::Bytes if value >= KIB * KIB => format!("{:.1} MiB", value / KIB / KIB),
        Unit::Bytes => format!("{:.0} KiB", value / KIB),
        Unit::BytesPerMinute => format!("{} KiB/min", whole(value / KIB)),
        Unit::Times => format!("{value:.2} x"),
        Unit::Micros => format!("{} µs", short(value)),
        Unit::Percent => format!("{value:.1} %"),
    }
}

/// Three digits or more.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => whole(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn whole(value: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts and sizes are far below 2^64"
    )]
    let digits = grouped(value.abs().round() as u64);
    if value < 0.0 { format!("-{digits}") } else { digits }
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_or_are_whole() {
        let told = [0.1234, 1.234, 12.34, 123.4, 1234.4, -50.0, 1_234_567.0].map(short);
        assert_eq!(told, ["0.123", "1.23", "12.3", "123", "1,234", "-50.0", "1,234,567"]);
        assert_eq!(number(1536.0, Unit::Bytes), "2 KiB");
        assert_eq!(number(3.5 * 1024.0 * 1024.0, Unit::Bytes), "3.5 MiB");
        assert_eq!(number(-1500.0, Unit::BytesEach), "-1,500 B");
        assert_eq!(number(99.94, Unit::Percent), "99.9 %");
        assert_eq!(number(-2048.0, Unit::BytesPerMinute), "-2 KiB/min");
        assert_eq!(number(1.2, Unit::Times), "1.20 x");
    }
}
