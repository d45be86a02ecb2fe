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

    /// A filled outline.
    pub(super) fn shape(&mut self, places: &[Place], fill: &str) {
        let _ = writeln!(
            self.0,
            "<path d=\"{}Z\" fill=\"{fill}\"/>",
            path_through(places)
        );
    }

    /// A curve that leaves its straight line by `bend` pixels in the middle, to the left of where it leads, and an arrowhead on
    /// it. `width` in pixels.
    pub(super) fn arrow(&mut self, from: Place, to: Place, bend: f64, colour: &str, width: f64) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = libm::hypot(dx, dy).max(1.0);
        let (nx, ny) = (dy / length, -dx / length);
        let control = (
            (from.0 + to.0) / 2.0 + nx * bend * 2.0,
            (from.1 + to.1) / 2.0 + ny * bend * 2.0,
        );
        let _ = writeln!(
            self.0,
            "<path d=\"M{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width:.1}\" \
             stroke-linecap=\"round\" stroke-opacity=\"0.9\"/>",
            from.0, from.1, control.0, control.1, to.0, to.1
        );
        // The curve at 0.6 of its way, and where it heads there.
        let at = |t: f64| {
            let (a, b, c) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
            (
                a * from.0 + b * control.0 + c * to.0,
                a * from.1 + b * control.1 + c * to.1,
            )
        };
        let (tip, tail) = (at(0.62), at(0.58));
        let (hx, hy) = (tip.0 - tail.0, tip.1 - tail.1);
        let head = libm::hypot(hx, hy).max(1e-6);
        let (ux, uy) = (hx / head, hy / head);
        let size = 5.0 + 1.4 * width;
        let base = (tip.0 - ux * size, tip.1 - uy * size);
        let half = size * 0.5;
        let corners = [
            tip,
            (base.0 - uy * half, base.1 + ux * half),
            (base.0 + uy * half, base.1 - ux * half),
        ];
        self.shape(&corners, colour);
    }

    /// A disc with an edge.
    pub(super) fn disc(&mut self, (x, y): Place, radius: f64, fill: &str, edge: &str) {
        let _ = writeln!(
            self.0,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{edge}\" stroke-width=\"1.5\"/>"
        );
    }

    /// A circle that is not filled.
    pub(super) fn ring(&mut self, (x, y): Place, radius: f64, colour: &str, width: f64) {
        let _ = writeln!(
            self.0,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
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
