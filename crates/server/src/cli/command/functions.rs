//! `functions`.

use super::out;
use crate::{
    admin::model::{FunctionInfo, FunctionList, FunctionStateWord, PauseInfo},
    cli::{
        args::AskArgs,
        client::Query,
        error::CliError,
        out::{Format, Tone},
        reach, words,
    },
};

pub(super) fn run(args: &AskArgs) -> Result<(), CliError> {
    let client = reach::server(args.data.as_deref())?;
    let list: FunctionList = client.get("/v1/functions", Query::default())?;
    let mut out = out(args.json);
    if out.format == Format::Json {
        return out.json(&list);
    }
    if list.functions.is_empty() {
        return out.line("The project has no functions.");
    }
    let rows = list.functions.iter().map(row).collect();
    out.table(
        &[
            "FUNCTION", "STATE", "STYLE", "WORKERS", "RUNNING", "WAITING", "DEAD", "WAKES ON",
        ],
        rows,
    )?;
    for pause in list.functions.iter().flat_map(|function| &function.pauses) {
        let why = match pause.why.as_str() {
            "" => String::new(),
            why => format!(": {}", words::one_line(why)),
        };
        let what = words::one_line(&super::pause::what(pause));
        out.line(&out.paint(Tone::Warn, &format!("\n{what} is paused{why}")))?;
    }
    for function in &list.functions {
        if let Some(failure) = &function.failure {
            let name = &function.name;
            let head = match function.state {
                FunctionStateWord::Outdated => {
                    format!(
                        "\nthe newest code of {name} cannot be loaded; the one before it serves on"
                    )
                }
                _ => format!("\n{name} cannot be loaded"),
            };
            out.line(&out.paint(Tone::Bad, &head))?;
            super::run_text::failure(&mut out, failure, "  ")?;
        }
    }
    Ok(())
}

/// How a function stands; whole functions that are paused say so.
fn state_of(function: &FunctionInfo) -> String {
    let whole = |pause: &PauseInfo| pause.trigger.is_none() && pause.key.is_none();
    let word = function.state.as_str();
    match function.pauses.iter().any(whole) {
        true => format!("{word}, paused"),
        false => word.to_owned(),
    }
}

/// How many wait, and how many of them are held.
fn waiting(function: &FunctionInfo) -> String {
    let all = function.queued + function.held;
    match function.held {
        0 => all.to_string(),
        held => format!("{all}, {held} held"),
    }
}

fn row(function: &FunctionInfo) -> Vec<(Tone, String)> {
    let tone = match function.state {
        FunctionStateWord::Live => Tone::Good,
        FunctionStateWord::Loading => Tone::Busy,
        FunctionStateWord::Outdated | FunctionStateWord::Broken => Tone::Bad,
    };
    let style = function
        .style
        .and_then(|style| serde_json::to_value(style).ok());
    let style = style.and_then(|word| word.as_str().map(str::to_owned));
    let wakes: Vec<_> = function
        .wakes
        .iter()
        .map(|text| words::one_line(text))
        .collect();
    vec![
        (Tone::Bold, function.name.to_string()),
        (tone, state_of(function)),
        (Tone::Plain, style.unwrap_or_else(|| "-".to_owned())),
        (Tone::Plain, function.workers.to_string()),
        (Tone::Plain, function.in_flight.to_string()),
        (Tone::Plain, waiting(function)),
        (
            if function.dead > 0 {
                Tone::Bad
            } else {
                Tone::Plain
            },
            function.dead.to_string(),
        ),
        (Tone::Plain, wakes.join("\n")),
    ]
}
