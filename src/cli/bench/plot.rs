//! Latencies as a picture: one line a run, over percentiles whose nines are equally far apart.
//! Invariant: the same runs give the same bytes, on every machine: no system font is measured.

use crate::load::Report;
use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use plotters::coord::Shift;
use plotters::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const SIZE: (u32, u32) = (960, 540);
const FONT: (&str, u32) = ("sans-serif", 14);
/// Easy to tell apart, also for those who see fewer colours.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(150, 150, 150),
];

#[derive(Debug, Args)]
pub(super) struct PlotArguments {
    /// The picture to write
    #[arg(value_name = "OUT.svg")]
    out: PathBuf,

    /// Runs that were saved with --json
    #[arg(value_name = "RUN.json", required = true)]
    runs: Vec<PathBuf>,

    /// Which latencies to draw, such as round_trip, delivery, first, last [default: what each run
    /// is about]
    #[arg(long, value_name = "NAME")]
    series: Option<String>,
}

/// As much of a saved run as it takes to draw it.
#[derive(Debug, Deserialize)]
struct SavedRun {
    label: String,
    main_latency: String,
    latencies: BTreeMap<String, SavedSeries>,
}

#[derive(Debug, Deserialize)]
struct SavedSeries {
    /// Percentile and microseconds.
    curve: Vec<(f64, f64)>,
}

/// One line of a picture.
#[derive(Clone, Debug)]
pub(super) struct Line {
    label: String,
    /// Percentile and microseconds.
    points: Vec<(f64, f64)>,
}

impl Line {
    /// All latencies of a run.
    pub(super) fn of_report(label: &str, report: &Report) -> Vec<Self> {
        let line = |series: &crate::load::Series| Self {
            label: format!("{label}: {}", series.title),
            points: series.latencies.curve.clone(),
        };
        report.latencies.iter().map(line).collect()
    }

    /// The latencies of one kind of a saved run.
    fn of_saved(path: &Path, series: Option<&str>) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let run: SavedRun = serde_json::from_str(&text)
            .map_err(|error| anyhow!("{shown} is no run that was saved with --json: {error}"))?;
        let name = series.unwrap_or(&run.main_latency);
        let Some(found) = run.latencies.get(name) else {
            let names: Vec<&str> = run.latencies.keys().map(String::as_str).collect();
            return Err(anyhow!("{shown} has no latencies '{name}'; it has {}", names.join(", ")));
        };
        Ok(Self { label: run.label, points: found.curve.clone() })
    }
}

impl PlotArguments {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let saved = |path: &PathBuf| Line::of_saved(path, self.series.as_deref());
        let lines: Vec<Line> = self.runs.iter().map(saved).collect::<anyhow::Result<_>>()?;
        draw(&self.out, &lines)
    }
}

/// Draws the lines.
pub(super) fn draw(path: &Path, lines: &[Line]) -> anyhow::Result<()> {
    ensure!(
        lines.iter().any(|line| !line.points.is_empty()),
        "there is nothing to draw: no latency was measured"
    );
    let mut picture = String::new();
    {
        let area = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        chart(&area, lines).map_err(|error| anyhow!("cannot draw: {error}"))?;
    }
    fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = lines.iter().flat_map(|line| &line.points);
    let (mut nines_max, mut low, mut high) = (1.0f64, f64::MAX, 0.0f64);
    for (percentile, us) in points {
        nines_max = nines_max.max(nines(*percentile));
        low = low.min(us.max(0.1));
        high = high.max(*us);
    }
    area.fill(&WHITE)?;
    let mut chart =
        ChartBuilder::on(area)
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..nines_max, (low * 0.8..high.max(low) * 1.25).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("percentile")
        .y_desc("latency, µs")
        .x_labels(8)
        .x_label_formatter(&|nines| percentile_name(*nines))
        .y_label_formatter(&|us| latency_name(*us))
        .label_style(FONT)
        .light_line_style(RGBColor(235, 235, 235))
        .bold_line_style(RGBColor(210, 210, 210))
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points = line.points.iter().map(|(percentile, us)| (nines(*percentile), us.max(0.1)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(&line.label)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .label_font(FONT)
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(210, 210, 210))
        .draw()?;
    area.present()?;
    Ok(())
}

/// How many nines a percentile has: 0 is 0, 90 is 1, 99 is 2.
fn nines(percentile: f64) -> f64 {
    -((1.0 - percentile / 100.0).max(1e-12)).log10()
}

/// 1 is 90%, 2 is 99%, 3 is 99.9%.
fn percentile_name(nines: f64) -> String {
    let percentile = (1.0 - 10f64.powf(-nines)) * 100.0;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a handful of nines"
    )]
    let digits = (nines.ceil() as usize).saturating_sub(2);
    format!("{percentile:.digits$}%")
}

/// One, two and five of each power of ten have names: more would run into one another.
fn latency_name(us: f64) -> String {
    let digit = us / 10f64.powf(us.log10().floor());
    let named = [1.0, 2.0, 5.0].iter().any(|round| (digit / round - 1.0).abs() < 1e-6);
    if named { us.to_string() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_latencies_have_names() {
        let names = [0.5, 1.0, 3.0, 20.0, 40.0, 5000.0].map(latency_name);
        assert_eq!(names, ["0.5", "1", "", "20", "", "5000"]);
    }

    /// The axis: each further nine is one step.
    #[test]
    fn nines_are_equally_far_apart() {
        for (percentile, expected) in [(0.0, 0.0), (90.0, 1.0), (99.0, 2.0), (99.9, 3.0)] {
            assert!((nines(percentile) - expected).abs() < 1e-9, "{percentile}");
        }
        let names = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(percentile_name);
        assert_eq!(names, ["0%", "90%", "99%", "99.9%", "99.99%", "99.999%"]);
    }
}
