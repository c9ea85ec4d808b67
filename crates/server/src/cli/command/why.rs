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
        (WaitKind::Breaker, _) => text.push_str(&next_try(wait, now)),
        (WaitKind::Time, Some(until)) => text.push_str(&format!(", the next one {until}")),
        (_, Some(until)) => text.push_str(&format!(" ({until})")),
        (_, None) => {}
    }
    words::one_line(&text)
}

/// When an open breaker lets one delivery through, behind what else is said of it.
pub(super) fn next_try(breaker: &Wait, now: Timestamp) -> String {
    match (breaker.runs.first(), breaker.until) {
        (Some(run), _) => format!("; one delivery is being tried now ({run})"),
        (None, Some(until)) if until.0 > now => format!(
            "; the next delivery is tried at {} ({})",
            words::date_time(until.0),
            words::relative(until.0, now)
        ),
        (None, Some(_)) => "; the next delivery is tried as soon as there is one".to_owned(),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_breaker_says_when_the_next_one_is_tried() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let after = |ms| Timestamp::from_millis(now.as_millis() + ms);
        let mut wait = Wait::new(WaitKind::Breaker, "the breaker of its trigger is open");
        wait.since = Some(after(-60_000).into());
        wait.until = Some(after(30_000).into());
        let since = words::date_time(after(-60_000));
        let begins = format!("the breaker of its trigger is open, since {since}; ");
        let next = words::date_time(after(30_000));
        assert_eq!(
            one_wait(&wait, now),
            format!("{begins}the next delivery is tried at {next} (in 30 s)")
        );
        wait.until = Some(after(-1).into());
        assert_eq!(
            one_wait(&wait, now),
            format!("{begins}the next delivery is tried as soon as there is one")
        );
        let run = "run_0000000000001".parse().unwrap();
        (wait.until, wait.runs) = (None, vec![run]);
        assert_eq!(
            one_wait(&wait, now),
            format!("{begins}one delivery is being tried now (run_0000000000001)")
        );
    }

    #[test]
    fn what_has_its_time_says_when() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let mut wait = Wait::new(WaitKind::Time, "they wait for their time");
        wait.count = Some(3);
        wait.until = Some(Timestamp::from_millis(now.as_millis() + 90_000).into());
        assert_eq!(
            one_wait(&wait, now),
            "3 waiting: they wait for their time, the next one in 1 m"
        );
    }
}
