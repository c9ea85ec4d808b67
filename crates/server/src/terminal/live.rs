//! Each run and each log line, the moment it happens.

use jiff::{Timestamp as At, tz::TimeZone};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use wakeful_core::{
    port::Clock as _,
    run::{LogLevel, LogLine, LogStream, Run, RunState},
    time::Timestamp,
};

use super::{Terminal, paint};
use crate::clock::SystemClock;

/// What of that is shown.
pub enum Follow {
    /// Every run and every line.
    Everything(Receiver<Run>, Receiver<LogLine>),
    /// The runs that did not succeed, or not yet.
    Troubles(Receiver<Run>),
}

impl Terminal {
    /// Shows what happens until its senders are gone.
    pub async fn follow(self, what: Follow) {
        match what {
            Follow::Everything(runs, logs) => self.follow_all(runs, logs).await,
            Follow::Troubles(runs) => self.follow_troubles(runs).await,
        }
    }

    async fn follow_troubles(self, mut runs: Receiver<Run>) {
        loop {
            match runs.recv().await {
                Ok(run) if is_trouble(run.state) => self.run(&run),
                Ok(_) => {}
                Err(RecvError::Lagged(lost)) => self.lagged(lost),
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn follow_all(self, mut runs: Receiver<Run>, mut logs: Receiver<LogLine>) {
        loop {
            // A line of a run is shown before the run's end: logs first.
            tokio::select! {
                biased;
                line = logs.recv() => match line {
                    Ok(line) => self.line(&line),
                    Err(RecvError::Lagged(lost)) => self.lagged(lost),
                    Err(RecvError::Closed) => return,
                },
                run = runs.recv() => match run {
                    Ok(run) => self.run(&run),
                    Err(RecvError::Lagged(lost)) => self.lagged(lost),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    fn lagged(&self, lost: u64) {
        let text = format!("… {lost} more than a terminal can follow");
        self.say(&self.paint.dim(&text));
    }

    fn line(&self, line: &LogLine) {
        let text = paint::set_off(&line.text);
        let text = match line.level {
            LogLevel::Error => self.paint.red(&text),
            LogLevel::Warn => self.paint.yellow(&text),
            LogLevel::Debug => self.paint.dim(&text),
            LogLevel::Info => text.into_owned(),
        };
        let origin = match line.stream {
            LogStream::Console => "│",
            LogStream::Stdout => "│ stdout:",
            LogStream::Stderr => "│ stderr:",
        };
        let fields = line
            .fields
            .as_ref()
            .map(|f| format!(" {}", self.paint.dim(&paint::one_line(f))));
        self.say(&format!(
            "{} {} {} {text}{}",
            self.paint.dim(&clock(line.at)),
            self.paint.cyan(&format!("{:12}", line.function)),
            self.paint.dim(origin),
            fields.unwrap_or_default()
        ));
    }

    fn run(&self, run: &Run) {
        let paint = self.paint;
        let mark = match run.state {
            RunState::Succeeded => paint.green("✓"),
            RunState::Failed | RunState::Dead => paint.red("✗"),
            RunState::Retrying => paint.yellow("↻"),
            RunState::Held => paint.yellow("…"),
            RunState::Discarded | RunState::Skipped | RunState::Superseded => paint.dim("−"),
            // What only begins is not worth a line.
            RunState::Queued | RunState::Running => return,
        };
        let took = run
            .ended_at
            .map(|end| paint::duration(end.since(run.accepted_at)));
        let status = run
            .status
            .map(|status| format!(" {status}"))
            .unwrap_or_default();
        let state = match run.state {
            RunState::Retrying => " failed, will be tried again",
            RunState::Held => " held",
            RunState::Dead => " is a dead letter",
            RunState::Discarded => " discarded",
            RunState::Skipped => " left out: it repeats an earlier one",
            RunState::Superseded => " superseded by a later one",
            _ => "",
        };
        let mut line = format!(
            "{} {} {mark} {}{status}{state} {}",
            // What is not over has come to this state just now.
            paint.dim(&clock(run.ended_at.unwrap_or_else(|| SystemClock.now()))),
            paint.cyan(&format!("{:12}", run.function)),
            paint::one_line(&run.about),
            paint.dim(&took.unwrap_or_default())
        );
        if let (Some(failure), true) = (&run.failure, run.state != RunState::Succeeded) {
            line.push_str(&format!(
                "  {}\n{}",
                paint.dim(&run.id.to_string()),
                self.failure(failure)
            ));
        }
        self.say(line.trim_end());
    }
}

/// Whether whoever runs a server wants to hear of it.
fn is_trouble(state: RunState) -> bool {
    match state {
        RunState::Failed | RunState::Dead | RunState::Retrying | RunState::Held => true,
        RunState::Succeeded
        | RunState::Discarded
        | RunState::Skipped
        | RunState::Superseded
        | RunState::Queued
        | RunState::Running => false,
    }
}

/// The time of day, local.
fn clock(at: Timestamp) -> String {
    let at = At::from_millisecond(at.as_millis()).unwrap_or(At::UNIX_EPOCH);
    at.to_zoned(TimeZone::system())
        .strftime("%H:%M:%S")
        .to_string()
}
