//! `runs` and `show`.

use std::path::Path;

use wakeful_core::{id::RunId, limits, time::Timestamp};

use super::{now, out, run_text};
use crate::{
    admin::model::{RunDetails, RunInfo, RunList, Time},
    cli::{
        args::{RunsArgs, ShowArgs},
        client::{Client, Query},
        error::CliError,
        out::{Format, Tone},
        reach, words,
    },
};

pub(super) fn list(args: &RunsArgs) -> Result<(), CliError> {
    let client = reach::server(args.ask.data.as_deref())?;
    let list = collect(&client, args)?;
    let mut out = out(args.ask.json);
    if out.format == Format::Json {
        return out.json(&list);
    }
    if list.runs.is_empty() {
        return out.line("No runs.");
    }
    let now = now();
    let rows = list.runs.iter().map(|run| row(run, now)).collect();
    let head = ["RUN", "STATE", "FUNCTION", "ACCEPTED", "TOOK", "ABOUT"];
    out.table(&head, rows)?;
    if list.next.is_some() {
        let more = "There are more: see them with --limit, or narrow them down.";
        out.line(&out.paint(Tone::Dim, more))?;
    }
    Ok(())
}

fn row(run: &RunInfo, now: Timestamp) -> Vec<(Tone, String)> {
    let took = run_text::took(run).map(words::duration).unwrap_or_default();
    let state = match run.attempts {
        0 | 1 => run.state.as_str().to_owned(),
        attempts => format!("{} ({attempts} attempts)", run.state.as_str()),
    };
    let mut about = words::brief(&run.about, 100);
    if let Some(failure) = &run.failure {
        let why = format!("{}: {}", failure.name, failure.message);
        about = format!("{about}\n✗ {}", words::brief(&why, 100));
    }
    vec![
        (Tone::Plain, run.id.to_string()),
        (run_text::tone_of(run.state), state),
        (Tone::Bold, run.function.to_string()),
        (Tone::Dim, words::relative(run.accepted_at.0, now)),
        (Tone::Plain, took),
        (Tone::Plain, about.trim_start().to_owned()),
    ]
}

/// As many runs as were asked for, page by page.
fn collect(client: &Client, args: &RunsArgs) -> Result<RunList, CliError> {
    let since = args.since.map(|since| Time(since.at(now())));
    let mut all = RunList {
        runs: Vec::new(),
        next: None,
    };
    loop {
        let room = args.limit as usize - all.runs.len();
        let query = Query::default()
            .with("function", args.function.as_ref())
            .with("state", args.state.map(|state| state.as_str()))
            .with("since", since)
            .with("before", all.next)
            .with("limit", Some(room.min(limits::MAX_ADMIN_PAGE)));
        let page: RunList = client.get("/v1/runs", query)?;
        all.runs.extend(page.runs);
        all.next = page.next;
        if all.next.is_none() || all.runs.len() >= args.limit as usize {
            return Ok(all);
        }
    }
}

pub(super) fn show(args: &ShowArgs) -> Result<(), CliError> {
    show_run(args.run, args.ask.data.as_deref(), args.ask.json)
}

/// Shows one run.
pub(super) fn show_run(run: RunId, data: Option<&Path>, json: bool) -> Result<(), CliError> {
    let client = reach::server(data)?;
    let details: RunDetails = client.get(&format!("/v1/runs/{run}"), Query::default())?;
    let mut out = out(json);
    match out.format {
        Format::Json => out.json(&details),
        Format::Text => run_text::details(&mut out, &details, now()),
    }
}
