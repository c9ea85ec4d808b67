//! `why`.

use wakeful_core::time::Timestamp;

use super::{now, out};
use crate::{
    admin::model::{
        CensusInfo, FunctionStateWord, QueueReport, TriggerQueue, Trouble, Wait, WaitKind,
    },
    cli::{
        args::WhyArgs,
        client::{Query, encode},
        error::CliError,
        out::{Format, Out, Tone},
        reach, words,
    },
};

pub(super) fn run(args: &WhyArgs) -> Result<(), CliError> {
    let client = reach::server(args.ask.data.as_deref())?;
    let path = format!("/v1/functions/{}/why", encode(args.function.as_str()));
    let report: QueueReport = client.get(&path, Query::default())?;
    let mut out = out(args.ask.json);
    match out.format {
        Format::Json => out.json(&report),
        Format::Text => show(&mut out, &report, now()),
    }
}

fn show(out: &mut Out, report: &QueueReport, now: Timestamp) -> Result<(), CliError> {
    head(out, report)?;
    if let Some(failure) = &report.failure {
        super::run_text::failure(out, failure, "  ")?;
    }
    for run in &report.running {
        let since = words::relative(run.accepted_at.0, now);
        let text = format!("  {} is under way, accepted {since}", run.run);
        out.line(&out.paint(Tone::Busy, &text))?;
    }
    for queue in &report.triggers {
        trigger(out, queue, now)?;
    }
    out.line("")?;
    let tone = match report.advice.trouble {
        Trouble::None => Tone::Good,
        Trouble::Passing => Tone::Warn,
        Trouble::Standing => Tone::Bad,
    };
    let text = words::one_line(&report.advice.text);
    out.line(&out.paint(tone, &text))?;
    match &report.advice.command {
        Some(command) => out.line(&format!("  {}", words::one_line(command))),
        None => Ok(()),
    }
}

fn head(out: &mut Out, report: &QueueReport) -> Result<(), CliError> {
    let tone = match report.state {
        FunctionStateWord::Live => Tone::Good,
        FunctionStateWord::Loading => Tone::Busy,
        FunctionStateWord::Outdated | FunctionStateWord::Broken => Tone::Bad,
    };
    let name = out.paint(Tone::Bold, report.function.as_str());
    let state = out.paint(tone, report.state.as_str());
    let workers = words::count(report.workers as u64, "worker", "workers");
    out.line(&format!(
        "{name}  {state} · {} of {} running · {workers}",
        report.in_flight, report.concurrency
    ))
}

fn trigger(out: &mut Out, queue: &TriggerQueue, now: Timestamp) -> Result<(), CliError> {
    out.line("")?;
    let id = out.paint(Tone::Bold, &queue.trigger.to_string());
    out.line(&format!("{id}  {}", words::one_line(&queue.wakes)))?;
    out.line(&format!("  {}", census(&queue.census)))?;
    for wait in &queue.waits {
        let line = one_wait(wait, now);
        out.line(&format!("  {}", out.paint(Tone::Warn, &line)))?;
    }
    Ok(())
}

/// Where its deliveries stand, in one line: what is zero is left out.
fn census(census: &CensusInfo) -> String {
    let parts = [
        (census.running, "running"),
        (census.queued, "queued"),
        (census.for_version, "held for a new version"),
        (census.for_order, "held for their order"),
        (census.for_concurrency, "held for a place of their key"),
        (census.paused, "held by a pause of their key"),
        (census.by_breaker, "held by the breaker of their key"),
        (census.dead, "dead"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match parts.is_empty() {
        true => "nothing waits".to_owned(),
        false => parts.join(" · "),
    }
}

fn one_wait(wait: &Wait, now: Timestamp) -> String {
    let count = wait.count.filter(|count| *count > 0);
    let mut text = match count {
        Some(count) => format!("{count} waiting: {}", wait.text),
        None => wait.text.clone(),
    };
    if let Some(since) = wait.since {
        text.push_str(&format!(", since {}", words::date_time(since.0)));
    }
    let until = wait.until.map(|until| words::relative(until.0, now));
    match (wait.kind, until) {
        (WaitKind::Time, Some(until)) => text.push_str(&format!(", the next one {until}")),
        (_, Some(until)) => text.push_str(&format!(" ({until})")),
        (_, None) => {}
    }
    words::one_line(&text)
}
