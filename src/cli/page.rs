//! The page at `/`: the files of `web/`, which are part of the program.
//!
//! Invariant: every file that the page names is here, so it needs no other server.

use crate::market::StaticFile;
use std::sync::Arc;

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of `web/` under the address that it has there.
macro_rules! file {
    ($media_type:expr, $name:literal) => {
        StaticFile::new(
            concat!("/web/", $name),
            $media_type,
            include_bytes!(concat!("../../web/", $name)),
        )
    };
}

/// All of them, `index.html` at `/`.
pub(super) fn files() -> Arc<[StaticFile]> {
    Arc::new([
        StaticFile::new("/", HTML, include_bytes!("../../web/index.html")),
        file!(SVG, "icon.svg"),
        file!(CSS, "style.css"),
        file!(JAVASCRIPT, "candles.js"),
        file!(JAVASCRIPT, "chart.js"),
        file!(JAVASCRIPT, "clock.js"),
        file!(JAVASCRIPT, "connection.js"),
        file!(JAVASCRIPT, "delays.js"),
        file!(JAVASCRIPT, "format.js"),
        file!(JAVASCRIPT, "ladder.js"),
        file!(JAVASCRIPT, "latency.js"),
        file!(JAVASCRIPT, "lists.js"),
        file!(JAVASCRIPT, "main.js"),
        file!(JAVASCRIPT, "market.js"),
        file!(JAVASCRIPT, "plot.js"),
        file!(JAVASCRIPT, "streams.js"),
        file!(JAVASCRIPT, "vendor/uplot/uPlot.iife.min.js"),
        file!(CSS, "vendor/uplot/uPlot.min.css"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// What stands between `before` and the next quote, in all of a text.
    fn named<'t>(text: &'t str, before: &str) -> Vec<&'t str> {
        let after = text.split(before).skip(1);
        after.map(|rest| rest.split(['"', '\'']).next().unwrap()).collect()
    }

    /// A file that is named and not served would be missed in the browser alone.
    #[test]
    fn every_file_that_the_page_names_is_served() {
        let files = files();
        let is_served = |path: &str| files.iter().any(|file| file.path() == path);
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let page = fs::read_to_string(web.join("index.html")).unwrap();
        let (hrefs, scripts) = (named(&page, "href=\""), named(&page, "src=\""));
        assert_eq!((hrefs.len(), scripts.len()), (3, 2), "{hrefs:?} {scripts:?}");
        for path in hrefs.iter().chain(&scripts) {
            assert!(is_served(path), "index.html names {path}");
        }
        let mut imports = 0;
        for entry in fs::read_dir(&web).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "js") {
                let name = path.file_name().unwrap().to_str().unwrap();
                assert!(is_served(&format!("/web/{name}")), "{name} is not in the list");
                let text = fs::read_to_string(&path).unwrap();
                for import in named(&text, " from './") {
                    assert!(is_served(&format!("/web/{import}")), "{name} imports {import}");
                    imports += 1;
                }
            }
        }
        assert!(imports > 10, "only {imports} imports were found");
    }
}
