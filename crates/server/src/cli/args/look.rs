//! What can be typed after `filter`, `runs`, `show`, `logs`, `explain` and `why`.

use std::{ffi::OsString, str::FromStr};

use clap::Args;
use wakeful_core::{
    id::{EventId, RunId},
    name::FunctionName,
    run::{LogLevel, RunState},
};

use super::AskArgs;
use crate::cli::{since::Since, words};

/// `filter`.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// The pattern: a file, `-` for standard input, or the pattern itself
    pub pattern: OsString,
    /// The event: a file, `-` for standard input, or its JSON
    pub event: OsString,
    /// Print what each condition found as JSON
    #[arg(long)]
    pub json: bool,
}

/// `runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Only those of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<FunctionName>,
    /// Only those that stand there
    #[arg(long, value_parser = words::run_states())]
    pub state: Option<RunState>,
    /// Only those since then: `10m`, `2h`, or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// At most this many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The run, as `wakeful runs` lists it, or an event: then its runs
    #[arg(value_name = "RUN|EVENT")]
    pub what: RunOrEvent,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// What can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOrEvent {
    /// `run_…`
    Run(RunId),
    /// `evt_…`
    Event(EventId),
}

/// A text that is the id of neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of a run (`run_…`) or of an event (`evt_…`)")]
pub struct NeitherRunNorEvent;

impl FromStr for RunOrEvent {
    type Err = NeitherRunNorEvent;

    fn from_str(text: &str) -> Result<Self, NeitherRunNorEvent> {
        let run = text.parse().map(Self::Run);
        run.or_else(|_| text.parse().map(Self::Event))
            .map_err(|_| NeitherRunNorEvent)
    }
}

/// `logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Go on with new lines as they come
    #[arg(short, long)]
    pub follow: bool,
    /// Only those of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<FunctionName>,
    /// Only those of this run
    #[arg(long)]
    pub run: Option<RunId>,
    /// Only those that matter at least this much
    #[arg(long, value_parser = words::log_levels())]
    pub level: Option<LogLevel>,
    /// Only those since then: `10m`, `2h`, or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only those that contain this text
    #[arg(long, value_name = "TEXT")]
    pub grep: Option<String>,
    /// At most this many of those that are there
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub limit: u32,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The event, or one of its runs
    #[arg(value_name = "EVENT|RUN")]
    pub what: RunOrEvent,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The function
    pub function: FunctionName,
    #[command(flatten)]
    pub ask: AskArgs,
}
