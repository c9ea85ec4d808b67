//! `explain`.

use wakeful_core::{id::EventId, run::RunState, time::Timestamp};

use super::{now, out, run_text};
use crate::{
    admin::model::{
        AttemptInfo, Child, EventStory, Fate, Judged, Received, RunBrief, RunDetails, Wait,
        WaitKind,
    },
    cli::{
        args::{ExplainArgs, RunOrEvent},
        client::{Client, Query},
        error::CliError,
        out::{Format, Out, Tone},
        reach, words,
    },
};

/// Conditions of a filter that are shown.
const MOST_CONDITIONS: usize = 20;

pub(super) fn run(args: &ExplainArgs) -> Result<(), CliError> {
    let client = reach::server(args.ask.data.as_deref())?;
    let event = event_of(&client, args.what)?;
    let story: EventStory = client.get(&format!("/v1/events/{event}/story"), Query::default())?;
    let mut out = out(args.ask.json);
    match out.format {
        Format::Json => out.json(&story),
        Format::Text => show(&mut out, &story, now()),
    }
}

fn event_of(client: &Client, what: RunOrEvent) -> Result<EventId, CliError> {
    let run = match what {
        RunOrEvent::Event(event) => return Ok(event),
        RunOrEvent::Run(run) => run,
    };
    let details: RunDetails = client.get(&format!("/v1/runs/{run}"), Query::default())?;
    details.run.event.ok_or_else(|| CliError::Input {
        message: format!("{run} was owed for no event: its caller waited"),
        help: Some(format!("wakeful show {run}")),
    })
}

fn show(out: &mut Out, story: &EventStory, now: Timestamp) -> Result<(), CliError> {
    received(out, story, now)?;
    judged(out, story)?;
    fates(out, story, now)?;
    if !story.children.is_empty() {
        title(out, "what it led to")?;
        tree(out, &story.children, "  ")?;
        if story.cut {
            out.line(&out.paint(Tone::Dim, "  … there is more: explain one of these"))?;
        }
    }
    Ok(())
}

fn title(out: &mut Out, text: &str) -> Result<(), CliError> {
    out.line("")?;
    out.line(&out.paint(Tone::Bold, text))
}

fn received(out: &mut Out, story: &EventStory, now: Timestamp) -> Result<(), CliError> {
    let id = out.paint(Tone::Bold, &story.id.to_string());
    let Some(event) = &story.received else {
        out.line(&id)?;
        let text = match story.damaged {
            true => "It is damaged on disk: its payload does not fit its checksum.",
            false => "The store no longer keeps it; the history still has its runs.",
        };
        return out.line(&out.paint(Tone::Warn, text));
    };
    let about = words::brief_line(&event.about, 100);
    out.line(&format!("{id}  {about}"))?;
    for (name, value) in facts(story, event, now) {
        let name = out.paint(Tone::Dim, &format!("{name:<10}"));
        out.line(&format!("{name}{}", words::one_line(&value)))?;
    }
    Ok(())
}

fn facts(story: &EventStory, event: &Received, now: Timestamp) -> Vec<(&'static str, String)> {
    let accepted = story.accepted_at.0;
    let mut facts = vec![
        (
            "accepted",
            format!(
                "{} ({})",
                words::date_time(accepted),
                words::relative(accepted, now)
            ),
        ),
        ("origin", event.origin.clone()),
        ("type", event.kind.clone()),
        ("source", event.source.clone()),
    ];
    if event.id != story.id.to_string() {
        facts.push(("id", event.id.clone()));
    }
    let size = words::bytes(event.payload.size);
    let payload = format!("{size} of {}", event.payload.content_type);
    facts.push(("payload", payload));
    let lineage = &event.lineage;
    if let (Some(run), parent) = (lineage.run, lineage.parent) {
        let of = parent
            .map(|event| format!(" for {event}"))
            .unwrap_or_default();
        facts.push((
            "caused by",
            format!("{run}{of}, number {} of its chain", lineage.depth),
        ));
    }
    if let Some(of) = lineage.replay_of {
        facts.push(("repeats", of.to_string()));
    }
    facts
}

fn judged(out: &mut Out, story: &EventStory) -> Result<(), CliError> {
    if story.received.is_none() {
        return Ok(());
    }
    title(out, "who wants it, by the manifest as it is now")?;
    if story.judged.is_empty() {
        return out.line(&out.paint(Tone::Dim, "  no trigger listens to its origin"));
    }
    let wide = story
        .judged
        .iter()
        .map(|one| one.trigger.as_str().chars().count());
    let wide = wide.max().unwrap_or_default();
    for one in &story.judged {
        let mark = match one.wants {
            true => out.paint(Tone::Good, "✓"),
            false => out.paint(Tone::Dim, "✗"),
        };
        let why = words::one_line(&one.why);
        out.line(&format!("  {mark} {:<wide$}  {why}", one.trigger))?;
        conditions(out, one)?;
    }
    Ok(())
}

/// The conditions that were not met; of a filter that wants the event none need be shown.
fn conditions(out: &mut Out, judged: &Judged) -> Result<(), CliError> {
    if judged.wants {
        return Ok(());
    }
    let unmet = judged
        .conditions
        .iter()
        .filter(|condition| !condition.holds);
    for condition in unmet.take(MOST_CONDITIONS) {
        let found = condition.found.as_deref().unwrap_or("nothing");
        let text = format!(
            "      {} wanted {}, found {found}",
            condition.path, condition.wanted
        );
        out.line(&out.paint(Tone::Dim, &words::one_line(&text)))?;
    }
    Ok(())
}

fn fates(out: &mut Out, story: &EventStory, now: Timestamp) -> Result<(), CliError> {
    title(out, "what became of it")?;
    if story.fates.is_empty() {
        let text = "  nothing was owed for it, or it is long past";
        return out.line(&out.paint(Tone::Dim, text));
    }
    for fate in &story.fates {
        let state = out.paint(run_text::tone_of(fate.state), fate.state.as_str());
        let trigger = fate.trigger.as_ref().map(ToString::to_string);
        let owner = trigger.unwrap_or_else(|| fate.function.to_string());
        let end = ending(fate, now);
        out.line(&format!("  {}  {owner}  {state}{end}", fate.run))?;
        for attempt in &fate.attempts {
            let line = attempt_line(out, attempt);
            out.line(&format!("      {line}"))?;
        }
        for wait in &fate.waits {
            let line = wait_line(wait, now);
            out.line(&format!("      {}", out.paint(Tone::Warn, &line)))?;
        }
        if fate.state == RunState::Queued && fate.waits.is_empty() {
            let text = "      nothing holds it: it is started when its turn comes";
            out.line(&out.paint(Tone::Dim, text))?;
        }
        if let (true, Some(failure)) = (fate.attempts.is_empty(), &fate.failure) {
            let line = run_text::failure_line(failure, 120);
            out.line(&format!(
                "      {}",
                out.paint(Tone::Bad, &format!("✗ {line}"))
            ))?;
        }
    }
    Ok(())
}

fn ending(fate: &Fate, now: Timestamp) -> String {
    let other = fate.other.map(|run| run.to_string()).unwrap_or_default();
    let when = fate
        .ended_at
        .map(|at| format!(" {}", words::relative(at.0, now)));
    let when = when.unwrap_or_default();
    match (fate.state, &fate.dead, fate.said.as_deref()) {
        (RunState::Skipped, ..) if !other.is_empty() => format!(": it repeats {other}"),
        (RunState::Superseded, ..) if !other.is_empty() => {
            format!(": {other} runs in its place")
        }
        (RunState::Discarded, _, Some(said)) if !said.is_empty() => {
            format!("{when}: {}", words::brief_line(said, 100))
        }
        (_, Some(dead), _) => format!("{when}: {}", words::dead_reason(dead.reason)),
        _ => when,
    }
}

fn attempt_line(out: &Out, attempt: &AttemptInfo) -> String {
    let micros = |us| words::duration(std::time::Duration::from_micros(us));
    let end = match &attempt.failure {
        None => out.paint(Tone::Good, "✓"),
        Some(failure) => {
            let line = run_text::failure_line(failure, 100);
            out.paint(Tone::Bad, &format!("✗ {line}"))
        }
    };
    format!(
        "{} · attempt {} · waited {} · took {} · {end}",
        words::clock_time(attempt.started_at.0),
        attempt.number,
        micros(attempt.waited_us),
        micros(attempt.took_us),
    )
}

/// What something waits for, on one line.
pub(super) fn wait_line(wait: &Wait, now: Timestamp) -> String {
    let mut text = format!("waits: {}", wait.text);
    if wait.kind == WaitKind::Breaker {
        text.push_str(&super::why::next_try(wait, now));
    } else if let Some(until) = wait.until {
        text.push_str(&format!(" ({})", words::relative(until.0, now)));
    } else if let Some(since) = wait.since {
        text.push_str(&format!(" (since {})", words::relative(since.0, now)));
    }
    words::one_line(&text)
}

fn tree(out: &mut Out, children: &[Child], indent: &str) -> Result<(), CliError> {
    for (place, child) in children.iter().enumerate() {
        let last = place + 1 == children.len();
        let (branch, below) = if last {
            ("└─", "   ")
        } else {
            ("├─", "│  ")
        };
        let how = match (child.repeats, child.run) {
            (true, _) => "a repetition".to_owned(),
            (false, Some(run)) => format!("by {run}"),
            (false, None) => String::new(),
        };
        let origin = child.origin.as_deref().unwrap_or("not readable");
        let text = words::one_line(&format!(
            "{origin}  {}",
            words::brief_line(&child.about, 60)
        ));
        let how = out.paint(Tone::Dim, &how);
        out.line(&format!("{indent}{branch} {}  {text}  {how}", child.event))?;
        let deeper = format!("{indent}{below}");
        for run in &child.runs {
            brief(out, run, &deeper)?;
        }
        tree(out, &child.children, &deeper)?;
    }
    Ok(())
}

fn brief(out: &mut Out, run: &RunBrief, indent: &str) -> Result<(), CliError> {
    let state = out.paint(run_text::tone_of(run.state), run.state.as_str());
    out.line(&format!(
        "{indent}   {}  {}  {state}",
        run.run, run.function
    ))
}
