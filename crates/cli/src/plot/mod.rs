//! Curves as an SVG picture, on a light ground.
//!
//! Written by hand: a plotting library would bring its own features of crates that burn uses, and compile burn once more.

mod axis;

use crate::exit::usage;
use crate::output::check_writable;
use anyhow::Context;
use axis::Axis;
use firebrand_durable as durable;
use std::fmt::Write;
use std::path::Path;

/// One picture of curves over the same axes.
pub(crate) struct Chart {
    pub(crate) title: String,
    /// What the axes show, with units.
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    pub(crate) scale: Scale,
    pub(crate) curves: Vec<Curve>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0.
    Linear,
    /// A factor is as long anywhere; what is not above 0 is left out.
    Logarithmic,
}

/// Points `(x, y)` that belong together.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) colour: &'static str,
    pub(crate) drawn: Drawn,
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// What is predicted.
    Line,
    /// What was measured.
    Dots,
}

/// Colours that differ for the colour-blind too.
pub(crate) const BLUE: &str = "#005aa0";
pub(crate) const ORANGE: &str = "#cd5500";
pub(crate) const GREEN: &str = "#008264";

/// Of a chart, in pixels.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 420.0;
/// Where its curves are, between title, labels and edge.
const LEFT: f64 = 78.0;
const RIGHT: f64 = WIDTH - 18.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = HEIGHT - 56.0;
/// Of a line of the legend.
const LEGEND_LINE: f64 = 17.0;
/// More dots of a curve would be a line.
const MOST_DOTS: usize = 48;

/// Whether a picture can be written to the file that `option` names, before anything is computed for it.
pub(crate) fn check(option: &str, path: &Path) -> anyhow::Result<()> {
    if !path.is_dir() && !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        return Err(usage(format!(
            "{option} {}: is drawn as SVG; name a file that ends in .svg",
            path.display()
        )));
    }
    check_writable(option, path, "cost.svg")
}

/// Writes charts, two in a row.
pub(crate) fn write(path: &Path, charts: &[Chart]) -> anyhow::Result<()> {
    durable::write(path, svg(charts).as_bytes()).with_context(|| path.display().to_string())
}

/// All charts, two in a row.
fn svg(charts: &[Chart]) -> String {
    let columns = charts.len().clamp(1, 2);
    let (width, height) = (WIDTH * columns as f64, HEIGHT * charts.len().div_ceil(columns) as f64);
    let parts: String = charts
        .iter()
        .enumerate()
        .map(|(at, chart)| {
            let (x, y) = (WIDTH * (at % columns) as f64, HEIGHT * (at / columns) as f64);
            format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", chart.svg())
        })
        .collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{parts}</svg>\n"
    )
}

impl Chart {
    fn svg(&self) -> String {
        let x = Axis::over(self.scale, 2.0, self.values(|point| point.0), 0.0);
        // Curves may be level: the legend, at the top, is to hide none of them where there is room above.
        let legend = (self.curves.len() as f64 * LEGEND_LINE + 16.0) / (BOTTOM - TOP);
        let above = if self.scale == Scale::Logarithmic { legend } else { 0.0 };
        let y = Axis::over(self.scale, 10.0, self.values(|point| point.1), above);
        let at_x = |value| LEFT + x.part(value) * (RIGHT - LEFT);
        let at_y = |value| BOTTOM - y.part(value) * (BOTTOM - TOP);

        let mut svg = text((LEFT + RIGHT) / 2.0, 24.0, "middle", &self.title, " font-size=\"15\"");
        for tick in x.ticks() {
            let at = at_x(tick);
            svg += &line((at, TOP), (at, BOTTOM), "#e2e2e2");
            svg += &text(at, BOTTOM + 18.0, "middle", &number(tick), "");
        }
        for tick in y.ticks() {
            let at = at_y(tick);
            svg += &line((LEFT, at), (RIGHT, at), "#e2e2e2");
            svg += &text(LEFT - 8.0, at + 4.0, "end", &number(tick), "");
        }
        svg += &line((LEFT, BOTTOM), (RIGHT, BOTTOM), "#222");
        svg += &line((LEFT, TOP), (LEFT, BOTTOM), "#222");
        svg += &text((LEFT + RIGHT) / 2.0, HEIGHT - 16.0, "middle", self.x, "");
        let (turned_x, turned_y) = (20.0, (TOP + BOTTOM) / 2.0);
        let turn = format!(" transform=\"rotate(-90 {turned_x} {turned_y})\"");
        svg += &text(turned_x, turned_y, "middle", self.y, &turn);
        for curve in &self.curves {
            let points: Vec<(f64, f64)> = curve
                .points
                .iter()
                .filter(|&&point| self.shows(point))
                .map(|&(x, y)| (at_x(x), at_y(y)))
                .collect();
            svg += &curve.svg(&points);
        }
        svg + &self.legend()
    }

    fn legend(&self) -> String {
        const SYMBOL: f64 = 20.0;
        let longest = self.curves.iter().map(|curve| curve.name.chars().count()).max().unwrap_or(0);
        let (left, top) = (LEFT + 8.0, TOP + 6.0);
        let (width, height) =
            (SYMBOL + 22.0 + 6.6 * longest as f64, LEGEND_LINE * self.curves.len() as f64 + 6.0);
        let mut svg = format!(
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width:.0}\" height=\"{height:.0}\" fill=\"white\" fill-opacity=\"0.85\" \
             stroke=\"#e2e2e2\"/>\n"
        );
        for (curve, row) in self.curves.iter().zip(0_u32..) {
            let middle = top + 3.0 + LEGEND_LINE * (f64::from(row) + 0.5);
            let symbol = match curve.drawn {
                Drawn::Line => vec![(left + 6.0, middle), (left + 6.0 + SYMBOL, middle)],
                Drawn::Dots => vec![(left + 6.0 + SYMBOL / 2.0, middle)],
            };
            svg += &curve.svg(&symbol);
            svg += &text(left + SYMBOL + 14.0, middle + 4.0, "start", curve.name, "");
        }
        svg
    }

    fn shows(&self, point: (f64, f64)) -> bool {
        let shows = |value: f64| value.is_finite() && (self.scale == Scale::Linear || value > 0.0);
        shows(point.0) && shows(point.1)
    }

    fn values(&self, of: fn(&(f64, f64)) -> f64) -> impl Iterator<Item = f64> {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        points.filter(|point| self.shows(**point)).map(of)
    }
}

impl Curve {
    /// Through or at points in pixels.
    fn svg(&self, points: &[(f64, f64)]) -> String {
        let (colour, mut svg) = (self.colour, String::new());
        // Writing to a string cannot fail.
        match self.drawn {
            Drawn::Line => {
                let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                let points = points.join(" ");
                writeln!(
                    svg,
                    "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
                )
                .ok();
            }
            Drawn::Dots => {
                for (x, y) in points.iter().step_by(points.len().div_ceil(MOST_DOTS).max(1)) {
                    writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>").ok();
                }
            }
        }
        svg
    }
}

fn line(from: (f64, f64), to: (f64, f64), colour: &str) -> String {
    let ((x1, y1), (x2, y2)) = (from, to);
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>\n")
}

fn text(x: f64, y: f64, anchor: &str, text: &str, more: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{text}</text>\n")
}

/// A number on an axis, with the digits that it needs.
fn number(value: f64) -> String {
    let text = match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 1.0 => format!("{value:.2}"),
        small if small >= 0.01 || small == 0.0 => format!("{value:.4}"),
        _ => return format!("{value:e}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale, points: &[(f64, f64)]) -> Chart {
        let curve = |name, drawn| Curve { name, colour: BLUE, drawn, points: points.to_vec() };
        Chart {
            title: "a < b".into(),
            x: "tokens",
            y: "seconds",
            scale,
            curves: vec![curve("predicted", Drawn::Line), curve("measured", Drawn::Dots)],
        }
    }

    #[test]
    fn a_picture_has_its_words_its_lines_and_its_dots() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let svg = svg(&[chart(scale, &[(1.0, 0.5), (2.0, 1.0), (4.0, 7.5)])]);
            for part in ["<svg", "a &lt; b", "tokens", "seconds", "predicted", "measured", "</svg>"] {
                assert!(svg.contains(part), "{part} in {svg}");
            }
            // And one in the legend.
            assert_eq!(svg.matches("<circle").count(), 3 + 1);
            assert_eq!(svg.matches("<polyline").count(), 1 + 1);
            assert!(svg.contains("height=\"100%\" fill=\"white\""), "a light ground");
        }
    }

    #[test]
    fn charts_stand_beside_each_other() {
        let charts = || chart(Scale::Linear, &[(1.0, 1.0)]);
        let size = |svg: &str| svg.lines().next().unwrap_or_default().to_owned();
        let four = svg(&[charts(), charts(), charts(), charts()]);
        assert!(size(&four).contains("width=\"1280\" height=\"840\""), "{}", size(&four));
        assert!(size(&svg(&[charts()])).contains("width=\"640\" height=\"420\""));
    }

    #[test]
    fn what_cannot_be_shown_is_left_out() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for points in [&[][..], &[(f64::NAN, 1.0)], &[(0.0, 0.0)], &[(3.0, f64::INFINITY), (3.0, 2.0)]] {
                let svg = svg(&[chart(scale, points)]);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
        let zero = svg(&[chart(Scale::Logarithmic, &[(0.0, 1.0), (1.0, 1.0)])]);
        assert_eq!(zero.matches("<circle").count(), 1 + 1);
    }

    #[test]
    fn axes_are_labelled_with_short_numbers() {
        let shown = [0.0, 0.025, 0.5, 1.0, 2.5, 40.0, 32_768.0, 0.001].map(number);
        assert_eq!(shown, ["0", "0.025", "0.5", "1", "2.5", "40", "32768", "1e-3"]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused_before() {
        let dir = tempfile::tempdir().expect("a folder");
        let refused = |path: &Path, part: &str| {
            let error = check("--cost-plot", path).expect_err("refused").to_string();
            assert!(error.contains("--cost-plot") && error.contains(part), "{error}");
        };
        refused(dir.path(), "is a folder");
        refused(&dir.path().join("cost.png"), ".svg");
        refused(&dir.path().join("nowhere/cost.svg"), "there is no folder");
        check("--cost-plot", &dir.path().join("cost.svg")).expect("it can be written");
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
    }
}
