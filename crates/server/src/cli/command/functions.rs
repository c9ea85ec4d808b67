//! `functions`.

use super::out;
use crate::{
    admin::model::{FunctionInfo, FunctionList, FunctionStateWord},
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
            "FUNCTION", "STATE", "STYLE", "WORKERS", "RUNNING", "WAITING", "WAKES ON",
        ],
        rows,
    )?;
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
        (tone, function.state.as_str().to_owned()),
        (Tone::Plain, style.unwrap_or_else(|| "-".to_owned())),
        (Tone::Plain, function.workers.to_string()),
        (Tone::Plain, function.in_flight.to_string()),
        (Tone::Plain, function.queued.to_string()),
        (Tone::Plain, wakes.join("\n")),
    ]
}
