//! Mistakes in a manifest as people see them: an excerpt with the place marked.

use std::{fmt, ops::Range};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, Severity, SourceCode, SourceSpan, SpanContents,
};
use serde::Serialize;
use wakeful_core::manifest::{Problem, Problems, Source};

/// All mistakes of a manifest, with or without colours. Ends with a line break.
pub fn render_problems(problems: &Problems, colours: bool) -> String {
    let reports = problems
        .iter()
        .map(|problem| render_problem(problems.source(), problem, Severity::Error, colours));
    reports.collect()
}

/// Some mistakes or warnings, likewise.
pub(super) fn render_list(
    source: &Source,
    problems: &[Problem],
    severity: Severity,
    colours: bool,
) -> String {
    let reports = problems.iter();
    reports
        .map(|problem| render_problem(source, problem, severity, colours))
        .collect()
}

fn render_problem(source: &Source, problem: &Problem, severity: Severity, colours: bool) -> String {
    let theme = if colours {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(100);
    let report = Report {
        source: Text(source),
        problem,
        severity,
    };
    let mut out = String::new();
    // Writing to a String cannot fail; a place outside the text would, so the message is kept.
    if handler.render_report(&mut out, &report).is_err() {
        out = format!("{}: {}\n", source.name, problem.message);
    }
    format!("{}\n\n", out.trim_end())
}

/// A problem as miette understands it.
#[derive(Debug)]
struct Report<'a> {
    source: Text<'a>,
    problem: &'a Problem,
    severity: Severity,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        let help = self.problem.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.problem.at.as_ref()?;
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = |at: &Range<usize>| (at.start, at.len());
        let at = self.problem.at.as_ref()?;
        let here = LabeledSpan::new_primary_with_span(Some("here".to_owned()), span(at));
        let also = self.problem.also.iter();
        let also =
            also.map(move |(at, label)| LabeledSpan::new_with_span(Some(label.clone()), span(at)));
        Some(Box::new(std::iter::once(here).chain(also)))
    }
}

/// A manifest as miette reads it. Places far apart are shown each with the lines around it: a
/// plain text tells miette more lines than it hands over, and then everything between is shown.
#[derive(Debug)]
struct Text<'a>(&'a Source);

impl SourceCode for Text<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let read = self.0.text.read_span(span, before, after)?;
        let lines = read.data().split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty()).count();
        Ok(Box::new(MietteSpanContents::new_named(
            self.0.name.clone(),
            read.data(),
            *read.span(),
            read.line(),
            read.column(),
            lines,
        )))
    }
}

/// A problem as programs read it.
#[derive(Debug, Serialize)]
pub(super) struct ProblemInfo {
    /// `error` or `warning`.
    severity: &'static str,
    /// The manifest.
    file: String,
    /// From 1; none for the whole text.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// In characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// What is wrong.
    message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl ProblemInfo {
    pub(super) fn of(source: &Source, problem: &Problem, severity: &'static str) -> Self {
        let place = problem.at.as_ref().map(|at| place(&source.text, at.start));
        Self {
            severity,
            file: source.name.clone(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            message: problem.message.clone(),
            help: problem.help.clone(),
        }
    }
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset.min(text.len()))];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use wakeful_core::manifest::{self, Files, Found};

    use super::*;

    struct AnyFile;

    impl Files for AnyFile {
        fn look(&self, _: &Path) -> Found {
            Found::File
        }
    }

    /// Two routes that collide, with so many lines between them.
    fn collision(lines: usize) -> String {
        let between = "# between\n".repeat(lines);
        let text = format!(
            "name = \"p\"\n\n[function.a]\ncode = \"a.js\"\n[function.a.routes]\n\
             \"GET /a/{{b}}\" = \"one\"\n{between}\n[function.c]\ncode = \"c.js\"\n\
             [function.c.routes]\n\"GET /a/{{d}}\" = \"two\"\n"
        );
        let name = "wakeful.toml".to_owned();
        let read = manifest::load(&Source { name, text }, &"dev".parse().unwrap(), &AnyFile);
        render_problems(&read.err().unwrap(), false)
    }

    #[test]
    fn places_far_apart_are_shown_without_what_is_between() {
        let text = collision(40);
        assert!(text.matches("# between").count() <= 1, "{text}");
        for shown in ["GET /a/{b}", "GET /a/{d}", "of function `a`", "here"] {
            assert!(text.contains(shown), "{text}");
        }
        assert_eq!(text.matches("╭─[wakeful.toml:").count(), 2, "{text}");
    }
}
