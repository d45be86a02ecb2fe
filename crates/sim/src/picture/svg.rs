//! The few shapes that the pictures consist of.

use std::fmt::Write;

/// Where a text's position is.
#[derive(Clone, Copy)]
pub(super) enum Align {
    Start,
    Middle,
    End,
}

/// A place in pixels, from the left and from the top.
pub(super) type Place = (f64, f64);

/// How a line is drawn: colour, width in pixels, and the lengths of dashes and gaps (empty: solid).
#[derive(Clone, Copy)]
pub(super) struct Stroke(
    pub(super) &'static str,
    pub(super) f64,
    pub(super) &'static str,
);

/// Length of what stands for a single place, in pixels.
const DASH: f64 = 6.0;

/// A document being written. Numbers have one digit after the point: a tenth of a pixel.
pub(super) struct Svg(String);

impl Svg {
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut text = String::new();
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\">\n\
             <title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>",
            escaped(title)
        );
        Svg(text)
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    /// `size` in pixels; 15 and more is bold. Texts have a light edge, so that lines beneath do not cross them.
    pub(super) fn text(&mut self, at: Place, align: Align, size: u32, fill: &str, text: &str) {
        self.text_with(at, align, size, fill, text, "");
    }

    /// A text that reads upwards, its middle at this place.
    pub(super) fn text_upwards(&mut self, at: Place, size: u32, fill: &str, text: &str) {
        let turn = format!(" transform=\"rotate(-90 {:.1} {:.1})\"", at.0, at.1);
        self.text_with(at, Align::Middle, size, fill, text, &turn);
    }

    fn text_with(
        &mut self,
        (x, y): Place,
        align: Align,
        size: u32,
        fill: &str,
        text: &str,
        more: &str,
    ) {
        let anchor = match align {
            Align::Start => "",
            Align::Middle => " text-anchor=\"middle\"",
            Align::End => " text-anchor=\"end\"",
        };
        let weight = if size >= 15 {
            " font-weight=\"600\""
        } else {
            ""
        };
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\"{weight}{anchor} fill=\"{fill}\" stroke=\"#ffffff\" \
             stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\"{more}>{}</text>",
            escaped(text)
        );
    }

    pub(super) fn line(&mut self, (x1, y1): Place, (x2, y2): Place, stroke: Stroke) {
        let _ = writeln!(
            self.0,
            "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"{}/>",
            stroke_of(stroke)
        );
    }

    /// Lines through the places of each run; a run of one place is a short dash, or it would not be seen.
    pub(super) fn runs(&mut self, runs: &[Vec<Place>], stroke: Stroke) {
        let mut path = String::new();
        for run in runs {
            match run[..] {
                [(x, y)] => {
                    let _ = write!(path, "M{:.1} {y:.1}h{DASH}", x - DASH / 2.0);
                }
                _ => path.push_str(&path_through(run)),
            }
        }
        if !path.is_empty() {
            let _ = writeln!(self.0, "<path d=\"{path}\"{}/>", stroke_of(stroke));
        }
    }

    /// The area between a line and the level `base`.
    pub(super) fn area(&mut self, line: &[Place], base: f64, fill: &str) {
        let (Some(first), Some(last)) = (line.first(), line.last()) else {
            return;
        };
        let _ = writeln!(
            self.0,
            "<path d=\"{}L{:.1} {base:.1}L{:.1} {base:.1}Z\" fill=\"{fill}\" fill-opacity=\"0.45\"/>",
            path_through(line),
            last.0,
            first.0
        );
    }

    pub(super) fn dot(&mut self, (x, y): Place, fill: &str) {
        let _ = writeln!(
            self.0,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{fill}\"/>"
        );
    }
}

fn stroke_of(Stroke(colour, width, dashes): Stroke) -> String {
    let dashes = if dashes.is_empty() {
        String::new()
    } else {
        format!(" stroke-dasharray=\"{dashes}\"")
    };
    format!(
        " fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes} stroke-linejoin=\"round\" stroke-linecap=\"round\""
    )
}

fn path_through(places: &[Place]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in places.iter().enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    path
}

/// Text as XML has it; characters that XML forbids become spaces.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => safe.push(' '),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
