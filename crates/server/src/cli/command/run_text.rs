//! A run as people read it: like a good trace.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use wakeful_core::{
    run::{LogLevel, LogStream, RunState},
    time::Timestamp,
};

use crate::{
    admin::model::{AttemptInfo, FailureInfo, HeldInfo, LogEntry, RunDetails, RunInfo, Time},
    cli::{
        error::CliError,
        failure_text::{self, FailureText},
        out::{Out, Tone, colours_wanted, paint},
        words::{self, harmless},
    },
};

/// Where text for people goes.
pub(super) trait Lines {
    fn put(&mut self, text: &str) -> Result<(), CliError>;
    fn tint(&self, tone: Tone, text: &str) -> String;
}

impl Lines for Out {
    fn put(&mut self, text: &str) -> Result<(), CliError> {
        self.line(text)
    }

    fn tint(&self, tone: Tone, text: &str) -> String {
        self.paint(tone, text)
    }
}

/// Standard error.
pub(super) struct Stderr {
    colours: bool,
}

impl Stderr {
    pub(super) fn new() -> Self {
        Self {
            colours: std::io::stderr().is_terminal() && colours_wanted(),
        }
    }

    pub(super) fn colours(&self) -> bool {
        self.colours
    }
}

impl Lines for Stderr {
    fn put(&mut self, text: &str) -> Result<(), CliError> {
        Ok(writeln!(std::io::stderr(), "{text}")?)
    }

    fn tint(&self, tone: Tone, text: &str) -> String {
        paint(self.colours, tone, text)
    }
}

/// How a state stands out.
pub(super) fn tone_of(state: RunState) -> Tone {
    match state {
        RunState::Succeeded => Tone::Good,
        RunState::Failed | RunState::Dead => Tone::Bad,
        RunState::Retrying | RunState::Held => Tone::Warn,
        RunState::Running => Tone::Busy,
        RunState::Queued | RunState::Discarded | RunState::Skipped | RunState::Superseded => {
            Tone::Dim
        }
    }
}

/// How long a run took from acceptance to its end, if it ended.
pub(super) fn took(run: &RunInfo) -> Option<Duration> {
    let Time(ended) = run.ended_at?;
    Some(ended.since(run.accepted_at.0))
}

/// A failure with its place or stack.
pub(super) fn failure(
    out: &mut impl Lines,
    failure: &FailureInfo,
    indent: &str,
) -> Result<(), CliError> {
    let stack = failure.stack.as_deref();
    let text = FailureText::of(failure.kind, &failure.name, &failure.message, stack);
    for line in harmless(&text.head).lines() {
        out.put(&format!("{indent}{}", out.tint(Tone::Bad, line)))?;
    }
    for line in &text.stack {
        out.put(&format!("{indent}{}", out.tint(Tone::Dim, &harmless(line))))?;
    }
    Ok(())
}

/// A failure of a run: what its kind adds comes last.
pub(super) fn failure_of_run(
    out: &mut impl Lines,
    info: &FailureInfo,
    indent: &str,
) -> Result<(), CliError> {
    failure(out, info, indent)?;
    match failure_text::addition(info.kind, &info.name) {
        Some(kind) => {
            let kind = format!("({kind})");
            out.put(&format!("{indent}{}", out.tint(Tone::Dim, &kind)))
        }
        None => Ok(()),
    }
}

/// A failure on one line, cut to `most` characters.
pub(super) fn failure_line(failure: &FailureInfo, most: usize) -> String {
    let line = failure_text::headline(failure.kind, &failure.name, &failure.message);
    words::brief(&line, most)
}

/// Everything about a run.
pub(super) fn details(
    out: &mut impl Lines,
    details: &RunDetails,
    now: Timestamp,
) -> Result<(), CliError> {
    let run = &details.run;
    let state = out.tint(tone_of(run.state), run.state.as_str());
    out.put(&format!(
        "{}  {state}",
        out.tint(Tone::Bold, &run.id.to_string())
    ))?;
    let about = if run.about.is_empty() {
        String::new()
    } else {
        format!(" · {}", run.about)
    };
    out.put(&words::one_line(&format!("{}{about}", run.function)))?;
    out.put("")?;
    facts(out, details, now)?;
    if let Some(text) = &details.event {
        out.put("")?;
        event(out, text.get())?;
    }
    attempts(out, &details.attempts, &details.logs)?;
    if let Some(error) = &run.failure {
        section(out, "error")?;
        failure_of_run(out, error, "  ")?;
        if error.may_have_taken_effect {
            let text = "  It may have taken effect before it failed.";
            out.put(&out.tint(Tone::Dim, text))?;
        }
    }
    Ok(())
}

/// What people are shown of an event, in bytes.
const MOST_OF_AN_EVENT: usize = 64 << 10;

/// An event as JSON, or its beginning and how to get the rest.
pub(super) fn event(out: &mut impl Lines, text: &str) -> Result<(), CliError> {
    out.put(&out.tint(Tone::Bold, "event"))?;
    let (shown, cut) = words::pretty_json_start(text, MOST_OF_AN_EVENT);
    for line in shown.lines() {
        out.put(&format!("  {}", harmless(line)))?;
    }
    if cut {
        let size = words::bytes(text.len() as u64);
        let text = format!("  … this is its beginning: see all {size} with `--json`");
        out.put(&out.tint(Tone::Dim, &text))?;
    }
    Ok(())
}

fn facts(out: &mut impl Lines, details: &RunDetails, now: Timestamp) -> Result<(), CliError> {
    let run = &details.run;
    let mut fact = |name: &str, value: String| {
        let name = out.tint(Tone::Dim, &format!("{name:<10}"));
        out.put(&format!("{name}{}", words::one_line(&value)))
    };
    let accepted = run.accepted_at.0;
    let ago = words::relative(accepted, now);
    fact(
        "accepted",
        format!("{} ({ago})", words::date_time(accepted)),
    )?;
    if let Some(took) = took(run) {
        fact("took", words::duration(took))?;
    }
    fact("attempts", run.attempts.to_string())?;
    if let Some(status) = run.status {
        fact("status", status.to_string())?;
    }
    if let Some(trigger) = &run.trigger {
        fact("trigger", trigger.to_string())?;
    }
    if let Some(event) = &run.event {
        fact("event", event.to_string())?;
    }
    if let Some(of) = details.lineage.replay_of {
        fact("repeats", of.to_string())?;
    }
    if let Some(run) = details.lineage.run {
        fact("caused by", run.to_string())?;
    }
    let Some(delivery) = &details.delivery else {
        return Ok(());
    };
    if let Some(key) = &delivery.keys.ordering {
        fact("order", format!("by the key `{key}`"))?;
    }
    if let Some(dead) = &delivery.dead {
        let reason = words::dead_reason(dead.reason);
        let command = format!("wakeful dead redrive {}", run.id);
        fact("dead", format!("{reason}; queue it again with `{command}`"))
    } else if let Some(held) = &delivery.held {
        let explain = format!("wakeful explain {}", run.id);
        fact("held", format!("{}; see `{explain}`", held_in_words(held)))
    } else if run.state == RunState::Retrying || delivery.ready_at.0 > now {
        fact("next", words::relative(delivery.ready_at.0, now))
    } else {
        Ok(())
    }
}

fn held_in_words(held: &HeldInfo) -> String {
    match held {
        HeldInfo::Version { version } => {
            format!(
                "until there is a version other than {}",
                words::brief(version, 16)
            )
        }
        HeldInfo::Order => "until those before it with its ordering key ended".to_owned(),
        HeldInfo::Concurrency => "until there is a place for its concurrency key".to_owned(),
        HeldInfo::Pause => "until its key is resumed".to_owned(),
        HeldInfo::Breaker => "until the breaker of its key closes".to_owned(),
    }
}

pub(super) fn section(out: &mut impl Lines, title: &str) -> Result<(), CliError> {
    out.put("")?;
    out.put(&out.tint(Tone::Bold, title))
}

/// The attempts in order, each with its lines; then the lines that belong to none.
pub(super) fn attempts(
    out: &mut impl Lines,
    attempts: &[AttemptInfo],
    logs: &[LogEntry],
) -> Result<(), CliError> {
    let mut last_end: Option<Timestamp> = None;
    for attempt in attempts {
        let Time(started) = attempt.started_at;
        section(out, &format!("attempt {}", attempt.number))?;
        if let Some(end) = last_end {
            let wait = words::duration(started.since(end));
            out.put(&out.tint(Tone::Dim, &format!("  {wait} after the one before")))?;
        }
        last_end = Some(started.plus(Duration::from_micros(attempt.took_us)));
        one_attempt(out, attempt)?;
        let ours = |line: &&LogEntry| line.attempt == Some(attempt.number);
        for line in logs.iter().filter(ours) {
            out.put(&format!("  {}", log_line(out, line, false)))?;
        }
        ending(out, attempt)?;
    }
    let known = |number: u32| attempts.iter().any(|attempt| attempt.number == number);
    let others = logs.iter().filter(|line| !line.attempt.is_some_and(known));
    let mut others = others.peekable();
    if others.peek().is_some() {
        section(out, "other lines")?;
        for line in others {
            out.put(&format!("  {}", log_line(out, line, false)))?;
        }
    }
    Ok(())
}

fn one_attempt(out: &mut impl Lines, attempt: &AttemptInfo) -> Result<(), CliError> {
    let micros = |us| words::duration(Duration::from_micros(us));
    let mut parts = vec![
        words::clock_time(attempt.started_at.0),
        format!("waited {}", micros(attempt.waited_us)),
        format!("took {}", micros(attempt.took_us)),
    ];
    if attempt.cold {
        parts.push("cold start".to_owned());
    }
    if attempt.worker != 0 {
        parts.push(format!("worker {}", attempt.worker));
    }
    if let Some(batch) = &attempt.batch {
        parts.push(format!("a batch of {} with {}", batch.size, batch.first));
    }
    parts.push(format!("version {}", words::brief(&attempt.version, 16)));
    out.put(&format!("  {}", parts.join(" · ")))
}

fn ending(out: &mut impl Lines, attempt: &AttemptInfo) -> Result<(), CliError> {
    match (&attempt.failure, &attempt.result) {
        (Some(failure), _) => {
            let free = if attempt.charged {
                ""
            } else {
                " (does not count)"
            };
            let text = format!("{}{free}", failure_line(failure, 200));
            out.put(&format!("  {}", out.tint(Tone::Bad, &format!("✗ {text}"))))
        }
        (None, Some(result)) => {
            let mark = out.tint(Tone::Good, "✓");
            out.put(&format!("  {mark} {}", words::brief(result, 200)))
        }
        (None, None) => out.put(&format!("  {}", out.tint(Tone::Good, "✓"))),
    }
}

/// One log line; with the function's name when lines of several are mixed.
pub(super) fn log_line(out: &impl Lines, line: &LogEntry, named: bool) -> String {
    let (tone, word) = match line.level {
        LogLevel::Debug => (Tone::Dim, "debug"),
        LogLevel::Info => (Tone::Plain, "info "),
        LogLevel::Warn => (Tone::Warn, "warn "),
        LogLevel::Error => (Tone::Bad, "error"),
    };
    let mut parts = vec![
        out.tint(Tone::Dim, &words::clock_time(line.at.0)),
        out.tint(tone, word),
    ];
    if named {
        parts.push(out.tint(Tone::Busy, line.function.as_str()));
    }
    match line.stream {
        LogStream::Console => {}
        LogStream::Stdout => parts.push(out.tint(Tone::Dim, "[stdout]")),
        LogStream::Stderr => parts.push(out.tint(Tone::Dim, "[stderr]")),
    }
    parts.push(words::set_off(&line.text));
    if let Some(fields) = &line.fields {
        let fields = serde_json::to_string(fields).unwrap_or_default();
        parts.push(out.tint(Tone::Dim, &harmless(&fields)));
    }
    parts.join(" ")
}
