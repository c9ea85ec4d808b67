//! `replay`.

use std::time::Duration;

use super::{filter, now, out};
use crate::{
    admin::model::{LeftOut, ReplayOrder, ReplayReport, Time},
    cli::{
        args::ReplayArgs,
        error::CliError,
        out::{Format, Out, Tone},
        reach, words,
    },
};

/// Events of a dry run, or of a replay, that are listed for people.
const LISTED: usize = 10;

pub(super) fn run(args: &ReplayArgs) -> Result<(), CliError> {
    let filter = args.filter.as_deref().map(filter::pattern).transpose()?;
    let filter = filter.map(|pattern| {
        serde_json::from_str(pattern.text()).map_err(|error| CliError::input(error.to_string()))
    });
    let now = now();
    let order = ReplayOrder {
        since: Time(args.since.at(now)),
        until: args.until.map(|until| Time(until.at(now))),
        source: args.source.clone(),
        kind: args.kind.clone(),
        filter: filter.transpose()?,
        function: args.function.clone(),
        trigger: args.trigger.clone(),
        again: args.again,
        limit: args.limit,
        rate: args.rate.map(|rate| rate.to_string()),
        dry_run: args.dry_run,
    };
    let client = reach::server(args.ask.data.as_deref())?;
    let report: ReplayReport = client.post_json("/v1/replays", &order)?;
    let mut out = out(args.ask.json);
    match out.format {
        Format::Json => out.json(&report)?,
        Format::Text => show(&mut out, &report)?,
    }
    match report.stopped {
        None => Ok(()),
        Some(why) => Err(CliError::Unfinished(why)),
    }
}

fn show(out: &mut Out, report: &ReplayReport) -> Result<(), CliError> {
    let events = words::count(report.replayed, "event", "events");
    let verb = match (report.dry_run, report.replayed) {
        (true, _) => "would be replayed",
        (false, 1) => "is replayed",
        (false, _) => "are replayed",
    };
    let tone = if report.replayed == 0 {
        Tone::Warn
    } else {
        Tone::Good
    };
    let line = format!("{events} of {} {verb}", report.looked_at);
    out.line(&out.paint(tone, &line))?;
    for one in &report.triggers {
        out.line(&format!("  {:>8} for {}", one.count, one.trigger))?;
    }
    if let Some(last) = report
        .last_at
        .filter(|last| last.0 > now().plus(Duration::from_secs(1)))
    {
        let at = words::relative(last.0, now());
        out.line(&format!("  the last one may start {at}"))?;
    }
    left_out(out, &report.left_out)?;
    for id in report.damaged.iter().take(LISTED) {
        let text = format!("  {id} is damaged on disk: it cannot be replayed");
        out.line(&out.paint(Tone::Bad, &text))?;
    }
    if !report.events.is_empty() {
        out.line("")?;
    }
    for one in report.events.iter().take(LISTED) {
        out.line(&match one.event {
            Some(new) => format!("  {} → {new}", one.of),
            None => format!("  {}", one.of),
        })?;
    }
    match report.replayed.saturating_sub(LISTED as u64) {
        0 => Ok(()),
        more => out.line(&out.paint(Tone::Dim, &format!("  … and {more} more"))),
    }
}

fn left_out(out: &mut Out, left: &LeftOut) -> Result<(), CliError> {
    let lines = [
        (left.other, "of another source, type or content"),
        (left.unwanted, "that no trigger in question wants now"),
        (
            left.replays,
            "that are replays themselves (--again replays them too)",
        ),
        (
            left.caused,
            "that functions published: what caused them brings them forth again",
        ),
        (
            left.repetitions,
            "that were left out as repetitions when they came (--again replays them too)",
        ),
        (left.damaged, "damaged on disk"),
    ];
    for (count, what) in lines {
        if count > 0 {
            let text = format!("  {count:>8} left out {what}");
            out.line(&out.paint(Tone::Dim, &text))?;
        }
    }
    Ok(())
}
