//! What can be typed after `invoke`, `publish`, `replay`, `pause` and `resume`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueHint};
use wakeful_core::{
    manifest::parse_duration,
    name::{FunctionName, HandlerName, TopicName, TriggerId},
};

use super::AskArgs;
use crate::{cli::since::Since, tools::Pace};

/// `invoke`.
#[derive(Debug, Args)]
pub struct InvokeArgs {
    /// The function
    pub function: FunctionName,
    /// Read the payload from this file; `-` is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "data")]
    pub event: Option<PathBuf>,
    /// The payload itself
    #[arg(long, value_name = "JSON")]
    pub data: Option<String>,
    /// The export to call [default: that of its style]
    #[arg(long, value_name = "NAME")]
    pub handler: Option<HandlerName>,
    /// Store the event and do not wait for the function
    #[arg(long = "async", visible_alias = "no-wait")]
    pub no_wait: bool,
    #[command(flatten)]
    pub wishes: WishArgs,
    /// Print run, result and failure as JSON
    #[arg(long)]
    pub json: bool,
}

/// What is asked for an event that nobody waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct WishArgs {
    /// Start nothing for it before this has passed: `5m`
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub delay: Option<Duration>,
    /// Its ordering key, in place of what the trigger would find in it
    #[arg(long)]
    pub key: Option<String>,
    /// Leave it out if one with this word came in the last day
    #[arg(long, value_name = "ID")]
    pub dedup: Option<String>,
}

/// `publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The topic
    pub topic: TopicName,
    /// The payload itself
    #[arg(long, value_name = "DATA", conflicts_with = "file")]
    pub data: Option<String>,
    /// Read the payload, or a whole CloudEvent, from this file; `-` is standard input
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Its type [default: the topic]
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Its subject
    #[arg(long)]
    pub subject: Option<String>,
    /// The content type of the payload [default: application/json]
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    #[command(flatten)]
    pub wishes: WishArgs,
    /// The data folder of the server [default: that of the project around here]
    #[arg(long = "data-dir", value_name = "DIR", env = "WAKEFUL_DATA", hide_env_values = true, value_parser = super::folder())]
    pub folder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Events accepted since then: `2h`, or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    pub since: Since,
    /// And before then [default: now]
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Since>,
    /// Only of this origin or CloudEvents source: `bucket:photos`, `topic:orders.*`
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Only of this type; a `*` at the end stands for anything
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Only those that this event pattern wants: a file, `-`, or the pattern itself
    #[arg(long, value_name = "PATTERN")]
    pub filter: Option<std::ffi::OsString>,
    /// Only for the triggers of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<FunctionName>,
    /// Only for this trigger: `function/trigger`
    #[arg(long, value_name = "TRIGGER", value_parser = trigger())]
    pub trigger: Option<TriggerId>,
    /// Also events that are replays themselves
    #[arg(long)]
    pub again: bool,
    /// At most this many events
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// So many in a time, evenly spread: `50/s`
    #[arg(long, value_name = "N/TIME")]
    pub rate: Option<Pace>,
    /// Only say what would run
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `pause` and `resume`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// The function
    pub function: FunctionName,
    /// Only this trigger of it
    #[arg(long)]
    pub trigger: Option<String>,
    /// Only deliveries with this key (of order, concurrency, rate or breaker)
    #[arg(long)]
    pub key: Option<String>,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// A trigger's identity.
pub(super) fn trigger() -> impl clap::builder::TypedValueParser<Value = TriggerId> {
    use clap::builder::TypedValueParser as _;
    clap::builder::NonEmptyStringValueParser::new().map(|text| TriggerId::from_stored(&text))
}
