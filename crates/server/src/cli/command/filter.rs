//! `filter`.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    path::Path,
};

use serde_json::{Value, json};
use wakeful_core::{
    filter::{EventView, Explanation, Pattern},
    limits,
    manifest::{self, Source},
};

use super::{is_dash, out};
use crate::cli::{
    args::FilterArgs,
    error::CliError,
    out::{Format, Out, Tone},
    words,
};

pub(super) fn run(args: &FilterArgs) -> Result<(), CliError> {
    if [&args.pattern, &args.event]
        .iter()
        .all(|it| is_dash(Path::new(it)))
    {
        return Err(CliError::input(
            "only one of pattern and event can come from standard input",
        ));
    }
    let pattern = pattern(&args.pattern)?;
    let event = read(&args.event, "event", |text| {
        text.starts_with(['{', '[', '"'])
    })?;
    let explanation = pattern.explain(&EventView::of_json(parse_event(&event)?));
    let mut out = out(args.json);
    match out.format {
        Format::Json => out.json(&explanation)?,
        Format::Text => show(&mut out, &explanation)?,
    }
    if explanation.matches {
        Ok(())
    } else {
        Err(CliError::NoMatch)
    }
}

/// The pattern that an argument names or is.
pub(super) fn pattern(argument: &OsStr) -> Result<Pattern, CliError> {
    let source = read(argument, "pattern", |text| {
        text.starts_with('{') || text.contains('=')
    })?;
    manifest::parse_filter(&source).map_err(|problems| CliError::Filter(Box::new(problems)))
}

/// A text from where an argument says: standard input, itself, or the file that it names. What
/// could be both is a file if there is one.
fn read(
    argument: &OsStr,
    what: &str,
    is_inline: impl Fn(&str) -> bool,
) -> Result<Source, CliError> {
    let path = Path::new(argument);
    let (name, bytes) = if is_dash(path) {
        let mut bytes = Vec::new();
        let mut stdin = io::stdin().lock().take(limits::MAX_BODY + 1);
        stdin
            .read_to_end(&mut bytes)
            .map_err(CliError::file("read standard input"))?;
        ("standard input".to_owned(), bytes)
    } else if let Some(text) = argument.to_str()
        && is_inline(text.trim_start())
        && !path.exists()
    {
        (format!("the {what}"), text.as_bytes().to_vec())
    } else {
        let shown = path.display().to_string();
        let bytes = fs::read(path).map_err(|cause| {
            CliError::input(format!("the {what} cannot be read from {shown}: {cause}"))
        })?;
        (shown, bytes)
    };
    if bytes.len() as u64 > limits::MAX_BODY {
        let most = words::bytes(limits::MAX_BODY);
        return Err(CliError::input(format!(
            "the {what} from {name} is larger than {most}"
        )));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| CliError::input(format!("the {what} from {name} is no UTF-8 text")))?;
    Ok(Source { name, text })
}

/// An event: whole, or its data.
fn parse_event(source: &Source) -> Result<Value, CliError> {
    let event: Value = serde_json::from_str(&source.text).map_err(|error| {
        CliError::input(format!(
            "the event from {} is no JSON: {error}",
            source.name
        ))
    })?;
    Ok(match event.get("specversion") {
        Some(_) => event,
        None => json!({ "data": event }),
    })
}

fn show(out: &mut Out, explanation: &Explanation) -> Result<(), CliError> {
    if explanation.matches {
        out.line(&out.paint(Tone::Good, "yes: the filter wants this event"))?;
    } else {
        out.line(&out.paint(Tone::Bad, "no: the filter does not want this event"))?;
    }
    out.line("")?;
    let rows = (explanation.conditions.iter()).map(|why| {
        let held = match why.holds {
            true => (Tone::Good, "yes".to_owned()),
            false => (Tone::Bad, "no".to_owned()),
        };
        let found = match &why.found {
            Some(found) => (Tone::Plain, found.clone()),
            None => (Tone::Dim, "nothing".to_owned()),
        };
        vec![
            held,
            (Tone::Bold, why.path.clone()),
            (Tone::Plain, why.wanted.clone()),
            found,
        ]
    });
    out.table(&["MET", "CONDITION", "WANTED", "FOUND"], rows.collect())?;
    match explanation.note {
        Some(note) => out.line(&format!("\n{note}")),
        None => Ok(()),
    }
}
