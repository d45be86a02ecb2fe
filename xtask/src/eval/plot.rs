//! A panel with two axes, drawn as SVG text: marks, lines, guides, and a legend.
//!
//! The colours are those of Okabe and Ito (<https://jfly.uni-koeln.de/color/>), told apart by the colour-blind as well.

use std::fmt::Write as _;

pub(crate) const BLUE: &str = "#0072B2";
pub(crate) const VERMILION: &str = "#D55E00";
const INK: &str = "#222222";
const QUIET: &str = "#555555";
const GRID: &str = "#e3e3e3";

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 600.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 790.0;
const TOP: f64 = 112.0;
const BOTTOM: f64 = 530.0;

/// One axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) logarithmic: bool,
    /// Values with a label.
    pub(crate) ticks: Vec<f64>,
}

impl Axis {
    /// 0 to 1 along the axis; what is beyond an end is drawn at it.
    fn share(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }
}

/// How a mark looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Circle,
    Square,
    Triangle,
}

/// What is drawn under one name in the legend.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) colour: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
    /// A mark at each point, filled or only an edge; `None`: a line through all.
    pub(crate) mark: Option<(Mark, bool)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    pub(crate) guides: Vec<Guide>,
}

/// A line from point to point, for the eye, and what it says at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guide {
    pub(crate) from: (f64, f64),
    pub(crate) to: (f64, f64),
    pub(crate) says: &'static str,
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// No digits that say nothing.
fn number(value: f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

impl Plot {
    /// The document.
    pub(crate) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\">\n<title>{}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n",
            escaped(&self.title)
        );
        text(&mut svg, (24.0, 34.0), "start", 18, INK, &self.title);
        text(&mut svg, (24.0, 55.0), "start", 13, QUIET, &self.subtitle);
        self.grid(&mut svg);
        for guide in &self.guides {
            let (from, to) = (self.at(guide.from), self.at(guide.to));
            path(&mut svg, &[from, to], QUIET, " stroke-dasharray=\"5 4\"");
            text(
                &mut svg,
                (to.0 - 6.0, to.1 - 6.0),
                "end",
                12,
                QUIET,
                guide.says,
            );
        }
        for series in &self.series {
            let places: Vec<_> = series.points.iter().map(|point| self.at(*point)).collect();
            match series.mark {
                None => path(&mut svg, &places, series.colour, ""),
                Some((mark, filled)) => places
                    .iter()
                    .for_each(|place| draw(&mut svg, *place, mark, filled, series.colour)),
            }
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            LEFT + (RIGHT - LEFT) * self.x.share(x),
            BOTTOM - (BOTTOM - TOP) * self.y.share(y),
        )
    }

    fn grid(&self, svg: &mut String) {
        for tick in &self.x.ticks {
            let (x, _) = self.at((*tick, self.y.low));
            path(svg, &[(x, TOP), (x, BOTTOM)], GRID, "");
            text(svg, (x, BOTTOM + 18.0), "middle", 12, QUIET, &number(*tick));
        }
        for tick in &self.y.ticks {
            let (_, y) = self.at((self.x.low, *tick));
            path(svg, &[(LEFT, y), (RIGHT, y)], GRID, "");
            text(svg, (LEFT - 8.0, y + 4.0), "end", 12, QUIET, &number(*tick));
        }
        let edges = [(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)];
        path(svg, &edges, QUIET, "");
        let middle = f64::midpoint(LEFT, RIGHT);
        text(
            svg,
            (middle, BOTTOM + 42.0),
            "middle",
            13,
            INK,
            self.x.label,
        );
        let (x, y) = (24.0, f64::midpoint(TOP, BOTTOM));
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"13\" text-anchor=\"middle\" fill=\"{INK}\" transform=\"rotate(-90 {x} {y})\">{}</text>",
            escaped(self.y.label)
        );
    }

    /// Above the panel, in as many rows as it takes; the last of them just above it.
    fn legend(&self, svg: &mut String) {
        // 6.4 pixels a letter of this size, on average.
        let width = |series: &Series| 46.0 + 6.4 * series.name.chars().count() as f64;
        let all: f64 = self.series.iter().map(width).sum();
        let rows = (all / (RIGHT - LEFT)).ceil().max(1.0) as usize;
        let a_row = self.series.len().div_ceil(rows).max(1);
        for (row, shown) in self.series.chunks(a_row).enumerate() {
            let y = TOP - 14.0 - 18.0 * (rows - 1 - row) as f64;
            let mut x = LEFT;
            for series in shown {
                match series.mark {
                    None => path(svg, &[(x, y), (x + 22.0, y)], series.colour, ""),
                    Some((mark, filled)) => draw(svg, (x + 11.0, y), mark, filled, series.colour),
                }
                text(svg, (x + 28.0, y + 4.0), "start", 12, INK, &series.name);
                x += width(series);
            }
        }
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, size: u32, fill: &str, text: &str) {
    let weight = if size >= 15 {
        " font-weight=\"600\""
    } else {
        ""
    };
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\"{weight} text-anchor=\"{anchor}\" fill=\"{fill}\">{}</text>",
        escaped(text)
    );
}

fn path(svg: &mut String, places: &[(f64, f64)], colour: &str, more: &str) {
    let width = if colour == GRID { 1.0 } else { 1.8 };
    let mut through = String::new();
    for (index, (x, y)) in places.iter().enumerate() {
        let _ = write!(
            through,
            "{}{x:.1} {y:.1}",
            if index == 0 { 'M' } else { 'L' }
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"{through}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{more}/>"
    );
}

fn draw(svg: &mut String, (x, y): (f64, f64), mark: Mark, filled: bool, colour: &str) {
    let fill = if filled { colour } else { "#ffffff" };
    let style =
        format!("fill=\"{fill}\" fill-opacity=\"0.85\" stroke=\"{colour}\" stroke-width=\"1.6\"");
    let _ = match mark {
        Mark::Circle => writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" {style}/>"
        ),
        Mark::Square => writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"8.4\" height=\"8.4\" {style}/>",
            x - 4.2,
            y - 4.2
        ),
        Mark::Triangle => writeln!(
            svg,
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}L{x:.1} {:.1}Z\" {style}/>",
            x - 5.0,
            y + 4.0,
            x + 5.0,
            y + 4.0,
            y - 5.2
        ),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_an_end_is_drawn_at_it_and_names_are_escaped() {
        let axis = |logarithmic| Axis {
            label: "seconds < minutes",
            low: 1.0,
            high: 100.0,
            logarithmic,
            ticks: vec![1.0, 10.0, 100.0],
        };
        assert_eq!(axis(true).share(10.0), 0.5);
        assert_eq!((axis(true).share(0.0), axis(false).share(1e9)), (0.0, 1.0));
        let plot = Plot {
            title: "a & b".into(),
            subtitle: String::new(),
            x: axis(true),
            y: axis(false),
            series: vec![Series {
                name: "seen".into(),
                colour: BLUE,
                points: vec![(1.0, 1.0), (10.0, 50.0)],
                mark: Some((Mark::Triangle, true)),
            }],
            guides: vec![Guide {
                from: (1.0, 1.0),
                to: (100.0, 100.0),
                says: "equal",
            }],
        };
        let svg = plot.svg();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a &amp; b") && svg.contains("seconds &lt; minutes"));
        // Two points and one in the legend.
        assert_eq!(svg.matches("Z\"").count(), 3);
        assert_eq!(svg, plot.svg());
    }
}
