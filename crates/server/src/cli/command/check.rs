//! `check` and `schema`: the manifest, without a server.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use miette::Severity;
use serde::Serialize;
use wakeful_core::{
    manifest::{self, Loaded, Problem, Source},
    name::EnvironmentName,
};

use super::out;
use crate::{
    cli::{
        args::CheckArgs,
        error::CliError,
        out::{Format, Out, Tone},
        problems::{ProblemInfo, render_list},
        words,
    },
    deploy::{self, ManifestError},
    options::{MANIFEST, Mode},
    undeclared::{self, Undeclared},
};

pub(super) fn run(args: CheckArgs) -> Result<(), CliError> {
    let mut out = out(args.json);
    let environment = match args.env {
        Some(name) => name,
        None => environment(Mode::Dev.environment())?,
    };
    let path = args.dir.join(MANIFEST);
    let mut answer = Answer::default();
    if args.fix {
        let data = super::data_folder(args.data, &args.dir);
        let added = fix(&path, &data)?;
        if out.format == Format::Text {
            show_added(&mut out, &path, &added)?;
        }
        answer.added = added.iter().map(ToString::to_string).collect();
    }
    let (severity, source, problems, good) = match deploy::read(&args.dir, &environment) {
        Ok(loaded) => {
            let line = summary(&path, &loaded);
            ("warning", read_source(&path)?, loaded.warnings, Some(line))
        }
        Err(ManifestError::Mistakes(problems)) => {
            let list = problems.iter().cloned().collect();
            ("error", problems.source().clone(), list, None)
        }
        Err(error @ ManifestError::Unreadable { .. }) => return Err(error.into()),
    };
    match out.format {
        Format::Json => {
            let list = problems.iter();
            let list = list.map(|problem| ProblemInfo::of(&source, problem, severity));
            answer.problems = list.collect();
            out.json(&answer)?;
        }
        Format::Text => show(&mut out, &source, &problems, good.as_deref())?,
    }
    good.map(drop).ok_or(CliError::Manifest)
}

/// What `check --json` prints.
#[derive(Default, Serialize)]
struct Answer {
    problems: Vec<ProblemInfo>,
    /// What `--fix` wrote down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<String>,
}

/// The problems, or the warnings and that all else is good.
fn show(
    out: &mut Out,
    source: &Source,
    problems: &[Problem],
    good: Option<&str>,
) -> Result<(), CliError> {
    let severity = if good.is_some() {
        Severity::Warning
    } else {
        Severity::Error
    };
    let text = render_list(source, problems, severity, out.colours());
    out.raw(&text)?;
    match good {
        Some(line) => out.line(&out.paint(Tone::Good, line)),
        None => {
            let count = words::count(problems.len() as u64, "mistake", "mistakes");
            out.line(&out.paint(Tone::Bad, &format!("{count} in {}", source.name)))
        }
    }
}

fn summary(path: &Path, loaded: &Loaded) -> String {
    let project = &loaded.project;
    let functions = project.functions.len() as u64;
    let triggers = project.triggers().count() as u64;
    format!(
        "{} is fine: project {}, {}, {}",
        path.display(),
        project.name,
        words::count(functions, "function", "functions"),
        words::count(triggers, "trigger", "triggers"),
    )
}

/// Writes down the access that functions used although the manifest does not declare it; what
/// was written.
fn fix(path: &Path, data: &Path) -> Result<Vec<Undeclared>, CliError> {
    let reading = format!("read the access that was used, in {}", data.display());
    let found = undeclared::read(data).map_err(CliError::file(reading))?;
    let source = read_source(path)?;
    let mut text = source.text.clone();
    let mut written = Vec::new();
    for access in found {
        let Undeclared {
            function,
            resource,
            level,
        } = &access;
        match manifest::add_access(&text, function, resource, *level) {
            Ok(changed) if changed == text => {}
            Ok(changed) => {
                text = changed;
                written.push(access);
            }
            // It was removed since.
            Err(manifest::CannotEdit::NoFunction(_)) => {}
            Err(error) => return Err(CliError::input(format!("{}: {error}", path.display()))),
        }
    }
    if text != source.text {
        replace(path, &text).map_err(CliError::file(format!("write {}", path.display())))?;
    }
    Ok(written)
}

fn show_added(out: &mut Out, path: &Path, added: &[Undeclared]) -> Result<(), CliError> {
    if added.is_empty() {
        return out.line(
            "There is no access to add: none was used in `wakeful dev` that is not declared.",
        );
    }
    for access in added {
        out.line(&format!("added to {}: {access}", path.display()))?;
    }
    Ok(())
}

/// Writes the manifest whole, with the permissions it had.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let mut file = tempfile::Builder::new()
        .prefix(".wakeful-")
        .tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    fs::set_permissions(file.path(), fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

fn read_source(path: &Path) -> Result<Source, CliError> {
    let text = fs::read_to_string(path).map_err(|cause| ManifestError::Unreadable {
        path: path.to_owned(),
        cause,
    })?;
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

pub(super) fn environment(name: &str) -> Result<EnvironmentName, CliError> {
    name.parse()
        .map_err(|error: wakeful_core::name::InvalidName| CliError::input(error.to_string()))
}

/// Prints the JSON Schema of the manifest.
pub(super) fn schema() -> Result<(), CliError> {
    out(true).json(&manifest::schema())
}
