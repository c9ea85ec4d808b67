//! What a server shows in its terminal: what it does at the start, and then each run and line.
//!
//! Everything here is for people; scripts read the address file and the admin API.

mod live;
mod paint;
mod progress;
mod start;
mod writer;

use wakeful_core::{
    delivery::Failure,
    manifest::{Problem, Problems},
    project::Style,
};
use wakeful_databases::{Observer, Report as CaptureReport};

use crate::{
    cli::{FailureText, render_problems},
    deploy::{ManifestError, Report},
    undeclared::Undeclared,
};
pub use live::Follow;
use paint::Paint;
pub(crate) use paint::colours_for;
pub use start::Started;
use writer::Writer;

/// A terminal, or a file in place of one. Cheap to clone; writes whole lines, and never waits.
#[derive(Clone)]
pub struct Terminal {
    paint: Paint,
    writer: Writer,
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Terminal {
    /// Standard output; with colours when it is a terminal and NO_COLOR is not set.
    pub fn new() -> Self {
        Self {
            paint: Paint::for_stdout(),
            writer: Writer::new(),
        }
    }

    /// Writes lines.
    pub fn say(&self, text: &str) {
        self.writer.write(text.to_owned());
    }

    /// Waits, for a while, until all of it is written: before the program ends.
    pub fn flush(&self) {
        self.writer.flush();
    }

    /// Something that should be known, but stops nothing.
    pub fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", self.paint.yellow("warning:")));
    }

    /// Something that failed.
    pub fn error(&self, text: &str) {
        self.say(&format!("{} {text}", self.paint.red("error:")));
    }

    /// The mistakes of a manifest, with their places.
    pub fn problems(&self, problems: &Problems) {
        self.say(&render_problems(problems, self.paint.colours()));
    }

    /// Warnings about the manifest.
    pub fn warnings(&self, warnings: &[Problem]) {
        for warning in warnings {
            let help = warning
                .help
                .as_ref()
                .map(|help| format!(" ({help})"))
                .unwrap_or_default();
            self.warn(&format!("wakeful.toml: {}{help}", warning.message));
        }
    }

    /// Undeclared access that `dev` let pass.
    pub fn undeclared(&self, undeclared: &Undeclared) {
        self.warn(&crate::host::advice(undeclared));
    }

    /// What a deployment has to say.
    pub fn report(&self, report: &Report) {
        match report {
            Report::Manifest(ManifestError::Mistakes(problems)) => {
                self.problems(problems);
                self.say("What was live stays live.");
            }
            Report::Manifest(error) => self.error(&error.to_string()),
            Report::Warnings(warnings) => self.warnings(warnings),
            Report::Build(error) => self.error(&format!("{error}. What was live stays live.")),
            Report::Packages(report) => {
                if let Some(note) = report.note() {
                    self.say(&self.paint.dim(&note));
                }
            }
            Report::PackagesFailed(error) => self.error(&error.to_string()),
            Report::Live {
                function,
                style,
                took,
            } => {
                let took = paint::duration(*took);
                let line = format!("{function} loaded ({}) in {took}", style_word(*style));
                self.say(&self.paint.dim(&line));
            }
            Report::Broken {
                function,
                failure,
                older_serves,
            } => {
                let after = match older_serves {
                    true => "the version before it serves on",
                    false => "what it is owed waits for a version that loads",
                };
                self.error(&format!("{function} cannot be loaded; {after}"));
                self.say(&self.failure(failure));
            }
            Report::Removed(function) => self.say(&self.paint.dim(&format!("{function} removed"))),
        }
    }

    /// A failure with its place or stack, indented.
    fn failure(&self, failure: &Failure) -> String {
        let stack = failure.stack.as_deref();
        let text = FailureText::of(failure.kind, &failure.name, &failure.message, stack);
        let lines = text
            .head
            .lines()
            .chain(text.stack.iter().map(String::as_str));
        let lines = lines.map(|line| format!("    {}", paint::one_line(line)));
        self.paint.dim(&lines.collect::<Vec<_>>().join("\n"))
    }
}

impl Observer for Terminal {
    fn report(&self, database: &wakeful_core::name::DatabaseName, report: CaptureReport) {
        match report {
            CaptureReport::Started => {}
            CaptureReport::Created { .. }
            | CaptureReport::TableAppeared { .. }
            | CaptureReport::Recovered => {
                self.say(&self.paint.dim(&format!("database {database}: {report}")));
            }
            _ => self.warn(&format!("database {database}: {report}")),
        }
    }
}

const fn style_word(style: Style) -> &'static str {
    match style {
        Style::Lambda => "lambda style",
        Style::Web => "web style",
        Style::Native => "native style",
        Style::Spica => "spica style",
        Style::Cloudevents => "cloudevents style",
    }
}
