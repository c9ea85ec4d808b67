//! `runs` and `show`.

use wakeful_core::{
    id::{EventId, RunId},
    limits,
    name::FunctionName,
    time::Timestamp,
};

use super::{now, out, run_text};
use crate::{
    admin::model::{
        DeadList, EventDetail, FunctionInfo, LogList, RunDetails, RunInfo, RunList, Time,
    },
    cli::{
        args::{RunOrEvent, RunsArgs, ShowArgs},
        client::{Client, Query, encode},
        error::CliError,
        out::{Format, Out, Tone},
        reach, words,
    },
};

pub(super) fn list(args: &RunsArgs) -> Result<(), CliError> {
    let client = reach::server(args.ask.data.as_deref())?;
    let list = collect(&client, args)?;
    if let (Some(function), []) = (&args.function, list.runs.as_slice()) {
        refuse_unknown(&client, function)?;
    }
    let mut out = out(args.ask.json);
    if out.format == Format::Json {
        return out.json(&list);
    }
    if list.runs.is_empty() {
        return out.line("No runs.");
    }
    table(&mut out, &list.runs)?;
    if list.next.is_some() {
        let more = "There are more: see them with --limit, or narrow them down.";
        out.line(&out.paint(Tone::Dim, more))?;
    }
    Ok(())
}

/// Nothing was found, because there is no such function: neither in the project nor among what is
/// known of earlier ones.
pub(super) fn refuse_unknown(client: &Client, function: &FunctionName) -> Result<(), CliError> {
    let path = format!("/v1/functions/{}", encode(function.as_str()));
    let Err(refusal) = client.get::<FunctionInfo>(&path, Query::default()) else {
        return Ok(());
    };
    let any = || {
        let query = Query::default().with("function", Some(function));
        query.with("limit", Some(1))
    };
    let runs: RunList = client.get("/v1/runs", any())?;
    let dead: DeadList = client.get("/v1/dead", any())?;
    let logs: LogList = client.get("/v1/logs", any())?;
    if runs.runs.is_empty() && dead.dead.is_empty() && logs.lines.is_empty() {
        return Err(refusal);
    }
    Ok(())
}

fn table(out: &mut Out, runs: &[RunInfo]) -> Result<(), CliError> {
    let now = now();
    let rows = runs.iter().map(|run| row(run, now)).collect();
    let head = ["RUN", "STATE", "FUNCTION", "ACCEPTED", "TOOK", "ABOUT"];
    out.table(&head, rows)
}

fn row(run: &RunInfo, now: Timestamp) -> Vec<(Tone, String)> {
    let took = run_text::took(run).map(words::duration).unwrap_or_default();
    let state = match run.attempts {
        0 | 1 => run.state.as_str().to_owned(),
        attempts => format!("{} ({attempts} attempts)", run.state.as_str()),
    };
    let mut about = words::brief_line(&run.about, 100);
    if let Some(failure) = &run.failure {
        about = format!("{about}\n✗ {}", run_text::failure_line(failure, 100));
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
    let client = reach::server(args.ask.data.as_deref())?;
    let mut out = out(args.ask.json);
    match args.what {
        RunOrEvent::Run(run) => show_run(&client, &mut out, run),
        RunOrEvent::Event(event) => show_event(&client, &mut out, event),
    }
}

fn show_run(client: &Client, out: &mut Out, run: RunId) -> Result<(), CliError> {
    let details: RunDetails = client.get(&format!("/v1/runs/{run}"), Query::default())?;
    match out.format {
        Format::Json => out.json(&details),
        Format::Text => run_text::details(out, &details, now()),
    }
}

/// An event's only run; of several, or none, the event and a list.
fn show_event(client: &Client, out: &mut Out, event: EventId) -> Result<(), CliError> {
    let details: EventDetail = client.get(&format!("/v1/events/{event}"), Query::default())?;
    if out.format == Format::Json {
        return out.json(&details);
    }
    match details.runs.as_slice() {
        [run] => show_run(client, out, run.id),
        runs => {
            run_text::event(out, details.event.get())?;
            out.line("")?;
            match runs {
                [] => out.line("No runs: nothing waited for it, or they are long past."),
                runs => table(out, runs),
            }
        }
    }
}
