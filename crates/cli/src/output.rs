//! Everything that is printed goes through here: results to standard output, remarks and errors to standard error.

use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// How a piece of text looks on a terminal with colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Style {
    /// The "select graphic rendition" parameter (ECMA-48).
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
        }
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where results and remarks go.
#[derive(Debug)]
pub(crate) struct Output {
    /// Results are JSON, one value a line.
    pub(crate) json: bool,
    quiet: bool,
    color: bool,
    error_color: bool,
    terminal: bool,
    /// Lines of the frame on the screen that the next frame replaces.
    frame_lines: Mutex<usize>,
    /// The first failure to write results; reported at the end.
    failed: Mutex<Option<std::io::Error>>,
}

impl Output {
    /// Looks at the streams and decides on colour.
    pub(crate) fn new(json: bool, quiet: bool, choice: ColorChoice, no_color: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let wanted = |terminal| match choice {
            ColorChoice::Auto => terminal && !no_color,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        Output {
            json,
            quiet,
            color: wanted(terminal) && !json,
            error_color: wanted(std::io::stderr().is_terminal()),
            terminal,
            frame_lines: Mutex::new(0),
            failed: Mutex::new(None),
        }
    }

    /// Whether standard error has colours.
    pub(crate) fn error_color(&self) -> bool {
        self.error_color
    }

    /// Whether results go to a person's terminal, where a table can be drawn again in place.
    pub(crate) fn is_live(&self) -> bool {
        self.terminal && !self.json
    }

    /// A result line.
    pub(crate) fn line(&self, text: impl std::fmt::Display) {
        self.write(&format!("{text}\n"));
    }

    /// A result as one line of JSON.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> anyhow::Result<()> {
        self.write(&format!("{}\n", serde_json::to_string(value)?));
        Ok(())
    }

    /// Result lines, each with its newline, in one write.
    pub(crate) fn text(&self, lines: &str) {
        self.write(lines);
    }

    /// Bytes of an object, as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        self.write_all(bytes);
    }

    /// Whether results cannot be written any more, be it that nobody reads them: then there is no point in going on.
    pub(crate) fn is_cut(&self) -> bool {
        self.failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// A remark for people; `--quiet` leaves it out.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            self.to_stderr(&format!("{text}\n"));
        }
    }

    /// A question to the person at the terminal, who answers in the same line.
    pub(crate) fn ask(&self, question: impl std::fmt::Display) {
        self.to_stderr(&format!("{question} "));
    }

    /// Replaces the last frame by this one. Only where [`Output::is_live`].
    pub(crate) fn frame(&self, text: &str) {
        let (width, height) = terminal_size();
        let mut lines: Vec<&str> = text.lines().collect();
        // What scrolls off the screen cannot be replaced.
        lines.truncate(height.saturating_sub(1).max(1));
        let mut last = self
            .frame_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut drawing = match *last {
            0 => String::new(),
            // Up, then erase to the end of the screen (ECMA-48: CPL, ED).
            lines => format!("\x1b[{lines}F\x1b[J"),
        };
        for line in &lines {
            drawing.push_str(&fit(line, width));
            drawing.push('\n');
        }
        *last = lines.len();
        self.write(&drawing);
    }

    /// Keeps the last frame on the screen: what follows is written below it.
    pub(crate) fn end_frame(&self) {
        *self
            .frame_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = 0;
    }

    /// Text in a style, where results have colours.
    pub(crate) fn paint(&self, style: Style, text: impl std::fmt::Display) -> String {
        paint(self.color, style, text)
    }

    /// An error with its causes, then what to do next.
    pub(crate) fn error(&self, error: &anyhow::Error, hints: &[String]) {
        let mut text = String::new();
        let mut said: Vec<String> = Vec::new();
        for cause in error.chain() {
            let cause = printable(&cause.to_string(), true);
            // Layers repeat the message of the layer below; once is enough.
            if said.iter().any(|earlier| earlier.contains(&cause)) {
                continue;
            }
            said.push(cause);
        }
        text.push_str(&paint(self.error_color, Style::Red, "error:"));
        text.push_str(&format!(" {}\n", said.join("\n  caused by: ")));
        for hint in hints {
            text.push_str(&paint(self.error_color, Style::Yellow, "hint:"));
            text.push_str(&format!(" {hint}\n"));
        }
        self.to_stderr(&text);
    }

    /// The first failure to write results, but for a reader that went away, as `| head` does.
    pub(crate) fn write_failure(&self) -> Option<std::io::Error> {
        let failure = self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        failure.filter(|error| error.kind() != std::io::ErrorKind::BrokenPipe)
    }

    fn write(&self, text: &str) {
        self.write_all(text.as_bytes());
    }

    fn write_all(&self, bytes: &[u8]) {
        let mut stdout = std::io::stdout().lock();
        if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            self.failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
    }

    fn to_stderr(&self, text: &str) {
        // Where even the error cannot be told there is nobody left to tell.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

fn paint(color: bool, style: Style, text: impl std::fmt::Display) -> String {
    if !color || style == Style::Plain {
        return text.to_string();
    }
    format!("\x1b[{}m{text}\x1b[0m", style.code())
}

/// Columns and lines of the terminal.
fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// The line cut to a width; escape sequences take none.
fn fit(line: &str, width: usize) -> String {
    let (mut fitted, mut used, mut in_escape) = (String::new(), 0, false);
    for character in line.chars() {
        in_escape = in_escape || character == '\x1b';
        if !in_escape {
            used += 1;
            if used > width {
                continue;
            }
        }
        fitted.push(character);
        in_escape = in_escape && !character.is_ascii_alphabetic();
    }
    fitted
}

/// Text from outside (keys, messages of servers) without control characters, which could steer the terminal.
pub(crate) fn printable(text: &str, keep_newlines: bool) -> String {
    let steers = |c: char| c.is_control() && !(keep_newlines && c == '\n');
    if !text.chars().any(steers) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            if steers(c) {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// A table whose columns line up.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<(Style, String)>>,
}

impl Table {
    /// A table with these column names.
    pub(crate) fn new(names: &[&str]) -> Self {
        Table {
            rows: vec![
                names
                    .iter()
                    .map(|name| (Style::Dim, (*name).to_owned()))
                    .collect(),
            ],
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<(Style, String)>) {
        let clean = |(style, text): (Style, String)| (style, printable(&text, false));
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// The lines, each ending in a newline, indented by so many spaces.
    pub(crate) fn render(&self, output: &Output, indent: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|(_, text)| text.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (index, (style, cell)) in row.iter().enumerate() {
                line.push_str(&output.paint(*style, cell));
                if index + 1 < row.len() {
                    line.push_str(&" ".repeat(widths[index] - cell.chars().count() + 2));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_colours() {
        let mut output = Output::new(false, false, ColorChoice::Never, false);
        let mut table = Table::new(&["NAME", "N"]);
        table.row(vec![
            (Style::Green, "ünïcode".into()),
            (Style::Plain, "1".into()),
        ]);
        table.row(vec![
            (Style::Plain, "a\x1b[2J".into()),
            (Style::Plain, "22".into()),
        ]);
        assert_eq!(
            table.render(&output, 1),
            " NAME        N\n ünïcode     1\n a\\u{1b}[2J  22\n"
        );
        output.color = true;
        assert!(
            table
                .render(&output, 1)
                .contains("\x1b[32münïcode\x1b[0m     1")
        );
    }

    #[test]
    fn a_frame_line_fits_the_terminal_and_keeps_its_escapes() {
        assert_eq!(fit("abcdef", 3), "abc");
        assert_eq!(fit("\x1b[31mabcdef\x1b[0m", 3), "\x1b[31mabc\x1b[0m");
    }
}
