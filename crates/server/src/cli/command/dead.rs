//! `dead`.

use wakeful_core::{limits, name::FunctionName, time::Timestamp};

use super::{agreed, now, out, run_text, runs};
use crate::{
    admin::model::{Affected, DeadLetter, DeadList, Selection},
    cli::{
        args::{AskArgs, DeadCommand, SelectArgs},
        client::{Client, Query},
        error::CliError,
        out::{Format, Tone},
        reach, words,
    },
};

pub(super) fn run(command: DeadCommand) -> Result<(), CliError> {
    match command {
        DeadCommand::List {
            function,
            limit,
            ask,
        } => list(function.as_ref(), limit as usize, &ask),
        DeadCommand::Show(args) => runs::show(&args),
        DeadCommand::Redrive(select) => act(&select, "redrive", "queued again"),
        DeadCommand::Discard { select, yes } => {
            if !yes && select.runs.is_empty() {
                let which = match &select.function {
                    Some(function) => format!("all dead letters of {function}"),
                    None => "all dead letters".to_owned(),
                };
                if !agreed(&format!("Drop {which} for good?"), "--yes")? {
                    return Err(CliError::Declined);
                }
            }
            act(&select, "discard", "dropped")
        }
    }
}

fn list(function: Option<&FunctionName>, limit: usize, ask: &AskArgs) -> Result<(), CliError> {
    let client = reach::server(ask.data.as_deref())?;
    let all = collect(&client, function, limit)?;
    let mut out = out(ask.json);
    if out.format == Format::Json {
        return out.json(&all);
    }
    if all.dead.is_empty() {
        return out.line("No dead letters.");
    }
    let now = now();
    let rows = all.dead.iter().map(|dead| row(dead, now)).collect();
    let head = ["RUN", "FUNCTION", "DIED", "REASON", "ATTEMPTS", "ERROR"];
    out.table(&head, rows)?;
    if all.next.is_some() {
        out.line(&out.paint(Tone::Dim, "There are more: see them with --limit."))?;
    }
    Ok(())
}

/// As many dead letters as were asked for, page by page.
fn collect(
    client: &Client,
    function: Option<&FunctionName>,
    limit: usize,
) -> Result<DeadList, CliError> {
    let mut all = DeadList {
        dead: Vec::new(),
        next: None,
    };
    loop {
        let room = limit - all.dead.len();
        let query = Query::default()
            .with("function", function)
            .with("before", all.next)
            .with("limit", Some(room.min(limits::MAX_ADMIN_PAGE)));
        let page: DeadList = client.get("/v1/dead", query)?;
        all.dead.extend(page.dead);
        all.next = page.next;
        if all.next.is_none() || all.dead.len() >= limit {
            return Ok(all);
        }
    }
}

fn row(dead: &DeadLetter, now: Timestamp) -> Vec<(Tone, String)> {
    let reason = serde_json::to_value(dead.reason).unwrap_or_default();
    let reason = reason.as_str().unwrap_or_default().replace('_', " ");
    let failure = dead.failure.as_ref();
    let why = failure.map(|failure| run_text::failure_line(failure, 80));
    vec![
        (Tone::Plain, dead.run.to_string()),
        (Tone::Bold, dead.function.to_string()),
        (Tone::Dim, words::relative(dead.died_at.0, now)),
        (Tone::Warn, reason),
        (Tone::Plain, dead.attempts.to_string()),
        (Tone::Bad, why.unwrap_or_default()),
    ]
}

fn act(select: &SelectArgs, verb: &str, done: &str) -> Result<(), CliError> {
    let client = reach::server(select.ask.data.as_deref())?;
    let selection = Selection {
        runs: (!select.runs.is_empty()).then(|| select.runs.clone()),
        function: select.function.clone(),
        all: select.all.then_some(true),
    };
    let affected: Affected = client.post_json(&format!("/v1/dead/{verb}"), &selection)?;
    let mut out = out(select.ask.json);
    match out.format {
        Format::Json => out.json(&affected)?,
        Format::Text => {
            let count = words::count(affected.count, "dead letter", "dead letters");
            out.line(&format!("{count} {done}."))?;
        }
    }
    let missing: Vec<_> = select
        .runs
        .iter()
        .filter(|run| !affected.runs.contains(run))
        .collect();
    match missing.as_slice() {
        [] => Ok(()),
        [run] => Err(CliError::input(format!("{run} is no dead letter"))),
        [run, rest @ ..] => Err(CliError::input(format!(
            "{run} and {} others are no dead letters",
            rest.len()
        ))),
    }
}
