//! `check` and `schema`: the manifest, without a server.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

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
        problems::{ProblemInfo, render_problems, render_warnings},
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
    if args.fix {
        let data = super::data_folder(args.data, &args.dir);
        fix(&mut out, &path, &data)?;
    }
    match deploy::read(&args.dir, &environment) {
        Ok(loaded) => good(&mut out, &path, &loaded),
        Err(ManifestError::Mistakes(problems)) => {
            match out.format {
                Format::Json => {
                    let source = problems.source();
                    let list = problems.iter();
                    let list = list.map(|problem| ProblemInfo::of(source, problem, "error"));
                    out.json(&serde_json::json!({ "problems": list.collect::<Vec<_>>() }))?;
                }
                Format::Text => {
                    let text = render_problems(&problems, out.colours());
                    out.raw(&text)?;
                    let count = words::count(problems.iter().len() as u64, "mistake", "mistakes");
                    out.line(&out.paint(Tone::Bad, &format!("{count} in {}", path.display())))?;
                }
            }
            Err(CliError::Manifest)
        }
        Err(error @ ManifestError::Unreadable { .. }) => Err(CliError::input(error.to_string())),
    }
}

fn good(out: &mut Out, path: &Path, loaded: &Loaded) -> Result<(), CliError> {
    let source = read_source(path)?;
    let warnings: &[Problem] = &loaded.warnings;
    if out.format == Format::Json {
        let list = warnings.iter();
        let list = list.map(|problem| ProblemInfo::of(&source, problem, "warning"));
        return out.json(&serde_json::json!({ "problems": list.collect::<Vec<_>>() }));
    }
    let text = render_warnings(&source, warnings, out.colours());
    out.raw(&text)?;
    let project = &loaded.project;
    let functions = project.functions.len() as u64;
    let triggers = project.triggers().count() as u64;
    let line = format!(
        "{} is fine: project {}, {}, {}",
        path.display(),
        project.name,
        words::count(functions, "function", "functions"),
        words::count(triggers, "trigger", "triggers"),
    );
    out.line(&out.paint(Tone::Good, &line))
}

/// Writes down the access that functions used although the manifest does not declare it.
fn fix(out: &mut Out, path: &Path, data: &Path) -> Result<(), CliError> {
    let found = undeclared::read(data).map_err(CliError::file(format!(
        "read the access that was used, in {}",
        data.display()
    )))?;
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
            Err(manifest::CannotEdit::NoFunction(_)) => {}
            Err(error) => return Err(CliError::input(format!("{}: {error}", path.display()))),
        }
    }
    if text != source.text {
        replace(path, &text).map_err(CliError::file(format!("write {}", path.display())))?;
    }
    if out.format == Format::Json {
        return Ok(());
    }
    if written.is_empty() {
        return out.line(
            "There is no access to add: none was used in `wakeful dev` that is not declared.",
        );
    }
    for access in written {
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
    let text =
        fs::read_to_string(path).map_err(CliError::file(format!("read {}", path.display())))?;
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
