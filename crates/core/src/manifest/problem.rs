//! What is wrong with a manifest: the place, the mistake, the remedy; and its plain rendering.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    ops::Range,
};

use super::Source;
use crate::limits;

/// One mistake (or warning), with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The bytes it is about; `None` for the whole text.
    pub at: Option<Range<usize>>,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// What was expected, or what to do.
    pub help: Option<String>,
    /// Other places that have to do with it, each with what is there.
    pub also: Vec<(Range<usize>, String)>,
}

impl Problem {
    pub(super) fn at(span: &Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at: Some(span.clone()),
            message: message.into(),
            help: None,
            also: Vec::new(),
        }
    }

    pub(super) fn of_the_whole(message: impl Into<String>) -> Self {
        Self {
            at: None,
            message: message.into(),
            help: None,
            also: Vec::new(),
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn also(mut self, span: &Range<usize>, label: impl Into<String>) -> Self {
        self.also.push((span.clone(), label.into()));
        self
    }
}

/// Collects problems while the tree is read, up to [`limits::MAX_PROBLEMS`]. Shared by all readers
/// of one text.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Report {
    pub(super) fn problem(&self, problem: Problem) {
        push(&mut self.problems.borrow_mut(), problem);
    }

    pub(super) fn warning(&self, warning: Problem) {
        push(&mut self.warnings.borrow_mut(), warning);
    }

    /// Whether so much is wrong that searching for what was meant would take long and help nobody.
    pub(super) fn is_long(&self) -> bool {
        self.problems.borrow().len() >= limits::MAX_SUGGESTIONS
    }

    /// The problems and the warnings, each in the order of the text.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        let sorted = |list: RefCell<Vec<Problem>>| {
            let mut list = list.into_inner();
            in_order(&mut list);
            list
        };
        (sorted(self.problems), sorted(self.warnings))
    }
}

/// One more than is shown is kept, to know that there are more.
fn push(list: &mut Vec<Problem>, problem: Problem) {
    if list.len() <= limits::MAX_PROBLEMS {
        list.push(problem);
    }
}

/// Puts problems in the order of the text, each once.
pub(super) fn in_order(list: &mut Vec<Problem>) {
    list.sort_by(|a, b| {
        let place = |problem: &Problem| problem.at.as_ref().map(|at| (at.start, at.end));
        (place(a).cmp(&place(b))).then_with(|| a.message.cmp(&b.message))
    });
    list.dedup();
}

/// Everything that is wrong with one manifest; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    source: Source,
    problems: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(source: Source, mut problems: Vec<Problem>) -> Self {
        let most = limits::MAX_PROBLEMS;
        if problems.len() > most {
            problems.truncate(most);
            problems.push(Problem::of_the_whole(format!(
                "there are more than {most} mistakes; these are some of them"
            )));
        }
        Self { source, problems }
    }

    /// The problems, in the order of the text.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter()
    }

    /// The text they are about.
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{}", render(&self.source, problem))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A problem as plain text: `file:line:column: message`, an excerpt with the place marked, other
/// places, help. Ends with a line break.
pub fn render(source: &Source, problem: &Problem) -> String {
    let mut out = String::new();
    let write = |out: &mut String, text: fmt::Arguments<'_>| {
        out.write_fmt(text).expect("a String takes any text");
    };
    match &problem.at {
        None => write(
            &mut out,
            format_args!("{}: {}\n", source.name, problem.message),
        ),
        Some(at) => {
            let line = Line::at(&source.text, at.start);
            let (number, column) = (line.number, line.column());
            write(
                &mut out,
                format_args!("{}:{number}:{column}: {}\n", source.name, problem.message),
            );
            out.push_str(&line.excerpt(at, ""));
        }
    }
    for (at, label) in &problem.also {
        out.push_str(&Line::at(&source.text, at.start).excerpt(at, label));
    }
    if let Some(help) = &problem.help {
        write(&mut out, format_args!("  help: {help}\n"));
    }
    out
}

/// One line of a text, and a place in it.
struct Line<'a> {
    number: usize,
    text: &'a str,
    before: &'a str,
}

impl<'a> Line<'a> {
    fn at(text: &'a str, offset: usize) -> Self {
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[offset..]
            .find('\n')
            .map_or(text.len(), |more| offset + more);
        Self {
            number: text[..start].matches('\n').count() + 1,
            text: text[start..end].trim_end_matches('\r'),
            before: &text[start..offset],
        }
    }

    /// In characters, from 1.
    fn column(&self) -> usize {
        self.before.chars().count() + 1
    }

    fn excerpt(&self, at: &Range<usize>, label: &str) -> String {
        let rest = self.text.get(self.before.len()..).unwrap_or_default();
        let marked = rest.floor_char_boundary(at.len().min(rest.len()));
        let carets = rest[..marked].chars().count().clamp(1, MOST_MARKED);
        let (before, lead) = tail(self.before, MOST_BEFORE);
        let (rest, trail) = head(rest, MOST_BEHIND);
        // Tabs are kept, so that the marks stand below what they mark.
        let pad: String = (lead.chars().chain(before.chars()))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let number = self.number;
        let gutter = " ".repeat(number.to_string().len());
        let shown = format!("{lead}{before}{rest}{trail}");
        let marks = format!("{pad}{} {label}", "^".repeat(carets));
        let (shown, marks) = (shown.trim_end(), marks.trim_end());
        format!(" {number} | {shown}\n {gutter} | {marks}\n")
    }
}

/// Characters of a line that are shown before a place, marked, and shown from the place on.
const MOST_BEFORE: usize = 100;
const MOST_MARKED: usize = 100;
const MOST_BEHIND: usize = 160;

/// The last `most` characters of a text, and what stands for the others.
fn tail(text: &str, most: usize) -> (&str, &'static str) {
    match text.char_indices().rev().nth(most) {
        Some((cut, c)) => (&text[cut + c.len_utf8()..], "… "),
        None => (text, ""),
    }
}

/// The first `most` characters of a text, and what stands for the others.
fn head(text: &str, most: usize) -> (&str, &'static str) {
    match text.char_indices().nth(most) {
        Some((cut, _)) => (&text[..cut], " …"),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_tabs_are_kept() {
        let source = Source {
            name: "w.toml".into(),
            text: "a = 1\n\tü = \"x\" # end\r\nb".into(),
        };
        let place = source.text.find("\"x\"").unwrap();
        let problem = Problem::at(&(place..place + 3), "no `x` here")
            .help("write `y`")
            .also(&(0..1), "as here");
        assert_eq!(
            render(&source, &problem),
            "w.toml:2:6: no `x` here\n 2 | \tü = \"x\" # end\n   | \t    ^^^\n \
             1 | a = 1\n   | ^ as here\n  help: write `y`\n"
        );
    }

    #[test]
    fn a_place_at_the_end_or_over_several_lines_is_shown() {
        let source = Source {
            name: "w".into(),
            text: "a = [\n1".into(),
        };
        let end = source.text.len();
        assert!(render(&source, &Problem::at(&(end..end), "m")).starts_with("w:2:2: m\n 2 | 1\n"));
        assert!(render(&source, &Problem::at(&(4..end), "m")).contains(" 1 | a = [\n   |     ^\n"));
        assert_eq!(render(&source, &Problem::of_the_whole("m")), "w: m\n");
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let source = Source {
            name: "w".into(),
            text: format!("{}X{}", "ä".repeat(5000), "ö".repeat(5000)),
        };
        let shown = render(&source, &Problem::at(&(10_000..20_001), "m"));
        let lines: Vec<&str> = shown.lines().collect();
        let line = format!(" 1 | … {}X{} …", "ä".repeat(100), "ö".repeat(159));
        assert_eq!(lines[1], line);
        assert_eq!(
            lines[2],
            format!("   | {}{}", " ".repeat(102), "^".repeat(100))
        );
        assert!(lines[0].starts_with("w:1:5001:"));
    }
}
