//! What a command prints: tables and text for people, JSON for programs.

use std::io::{self, IsTerminal, Stderr, Stdout, Write};

use comfy_table::{
    Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use super::{error::CliError, problems::ProblemInfo, words};

/// How a text should stand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Went well.
    Good,
    /// Went wrong.
    Bad,
    /// Deserves attention.
    Warn,
    /// Under way.
    Busy,
    /// Matters less.
    Dim,
    /// Matters more.
    Bold,
    /// Like the rest.
    Plain,
}

/// For whom a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

impl Format {
    pub(super) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Standard output of one command.
pub(super) struct Out {
    pub(super) format: Format,
    colours: bool,
    width: Option<u16>,
    stdout: Stdout,
}

impl Out {
    pub(super) fn new(format: Format) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self {
            format,
            colours: terminal && colours_wanted(),
            width: tcgetwinsize(&stdout)
                .ok()
                .and_then(|size| usable(size.ws_col)),
            stdout,
        }
    }

    pub(super) fn colours(&self) -> bool {
        self.colours
    }

    /// A line for people.
    pub(super) fn line(&mut self, text: &str) -> Result<(), CliError> {
        self.raw(text)?;
        self.raw("\n")
    }

    /// Text as it is.
    pub(super) fn raw(&mut self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())
    }

    /// Bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// Sends what was written on its way.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        Ok(self.stdout.flush()?)
    }

    /// A value for programs.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.line(&text)
    }

    /// A value for programs, on one line.
    pub(super) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(&text)?;
        self.flush()
    }

    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colours, tone, text)
    }

    /// A table without lines; cells of more than one line are kept.
    pub(super) fn table(
        &mut self,
        head: &[&str],
        rows: Vec<Vec<(Tone, String)>>,
    ) -> Result<(), CliError> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        if self.colours {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(head.iter().map(|title| self.cell(Tone::Dim, title)));
        for row in rows {
            let cells = row.iter().map(|(tone, text)| self.cell(*tone, text));
            table.add_row(cells.collect::<Vec<_>>());
        }
        // Only the last column is folded: what is copied out of the others stays whole.
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
            column.set_constraint(if column.index + 1 == head.len() {
                ColumnConstraint::LowerBoundary(Width::Fixed(LEAST_FOLDED))
            } else {
                ColumnConstraint::ContentWidth
            });
        }
        let text = table.trim_fmt();
        self.line(&text)
    }

    fn cell(&self, tone: Tone, text: &str) -> Cell {
        let cell = Cell::new(words::harmless(text));
        match tone {
            Tone::Good => cell.fg(Color::Green),
            Tone::Bad => cell.fg(Color::Red),
            Tone::Warn => cell.fg(Color::Yellow),
            Tone::Busy => cell.fg(Color::Cyan),
            Tone::Dim => cell.add_attribute(Attribute::Dim),
            Tone::Bold => cell.add_attribute(Attribute::Bold),
            Tone::Plain => cell,
        }
    }
}

/// A last column is not folded into less than this, characters.
const LEAST_FOLDED: u16 = 24;

/// The columns of a terminal that tables are fitted into. One that says 0 does not know, and in
/// a very narrow one long lines read better than columns of single letters.
fn usable(columns: u16) -> Option<u16> {
    (columns >= 60).then_some(columns)
}

/// Something for people beside the answer, such as a warning. That it cannot be written changes
/// nothing.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints why a command failed.
pub(super) fn failure(format: Format, error: &CliError) {
    let mut stderr = io::stderr();
    if matches!(error, CliError::NobodyReads) {
        return;
    }
    let _ = match format {
        Format::Json => json_failure(&mut stderr, error),
        Format::Text => text_failure(&mut stderr, error),
    };
}

fn text_failure(stderr: &mut Stderr, error: &CliError) -> io::Result<()> {
    let colours = stderr.is_terminal() && colours_wanted();
    match error {
        // The failure itself was printed already.
        CliError::FunctionFailed
        | CliError::NoMatch
        | CliError::Manifest
        | CliError::Unsound(_) => return Ok(()),
        CliError::Mistakes(problems) | CliError::Filter(problems) => {
            let text = super::render_problems(problems, colours);
            return stderr.write_all(text.as_bytes());
        }
        _ => {}
    }
    let label = paint(colours, Tone::Bad, "error");
    writeln!(stderr, "{label}: {}", words::harmless(&chain(error)))?;
    if let Some(help) = error.help() {
        let label = paint(colours, Tone::Busy, "help");
        writeln!(stderr, "{label}: {}", words::harmless(help))?;
    }
    Ok(())
}

fn json_failure(stderr: &mut Stderr, error: &CliError) -> io::Result<()> {
    if matches!(
        error,
        CliError::FunctionFailed | CliError::NoMatch | CliError::Manifest | CliError::Unsound(_)
    ) {
        return Ok(());
    }
    let mut body = serde_json::json!({
        "error": { "code": error.word(), "message": chain(error), "help": error.help() }
    });
    if let CliError::Filter(problems) = error {
        let source = problems.source();
        let list = problems
            .iter()
            .map(|problem| ProblemInfo::of(source, problem, "error"));
        body["error"]["problems"] = serde_json::json!(list.collect::<Vec<_>>());
    }
    writeln!(stderr, "{body}")
}

/// The message with everything that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Whether nobody asked for a life without colours (no-color.org).
pub(super) fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

pub(super) fn paint(colours: bool, tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Warn => "33",
        Tone::Busy => "36",
        Tone::Dim => "2",
        Tone::Bold => "1",
        Tone::Plain => return text.to_owned(),
    };
    if colours && !text.is_empty() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
