//! What can be typed after `dead`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use wakeful_core::{
    delivery::DeadReason,
    id::RunId,
    name::{FunctionName, TriggerId},
};

use super::{AskArgs, events::trigger};
use crate::{
    cli::{error::CliError, since::Since, words},
    tools::Pace,
};

/// `dead`.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// List dead letters: how many died of what, then the newest
    #[command(after_help = "\
Examples:
  wakeful dead list
  wakeful dead list --function thumbnail --reason attempts_exhausted --since 2h")]
    List {
        #[command(flatten)]
        narrow: NarrowArgs,
        /// At most this many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Show a dead letter with its event, its attempts and logs
    #[command(after_help = "\
Examples:
  wakeful dead show run_0e5s7v0000001
  wakeful dead show run_0e5s7v0000001 --raw payload.bin")]
    Show {
        /// Its run
        run: RunId,
        /// Write the payload, as it came in, to this file; `-` is standard output
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        raw: Option<PathBuf>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Queue dead letters again, with fresh attempts
    #[command(after_help = "\
Examples:
  wakeful dead redrive run_0e5s7v0000001
  wakeful dead redrive --function thumbnail --dry-run
  wakeful dead redrive --function thumbnail --rate 10/s    the oldest first")]
    Redrive {
        #[command(flatten)]
        select: SelectArgs,
        /// So many in a time, evenly spread: `10/s`
        #[arg(long, value_name = "N/TIME")]
        rate: Option<Pace>,
        /// Only say what would be queued again
        #[arg(long)]
        dry_run: bool,
    },
    /// Drop dead letters for good
    #[command(after_help = "\
Examples:
  wakeful dead discard run_0e5s7v0000001 --why \"test data\"
  wakeful dead discard --all --yes")]
    Discard {
        #[command(flatten)]
        select: SelectArgs,
        /// Why, kept with the event
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        why: String,
        /// Only say what would be dropped
        #[arg(long)]
        dry_run: bool,
        /// Do not ask first
        #[arg(short, long)]
        yes: bool,
    },
    /// Run a dead letter with another payload, as a new event in its place
    #[command(after_help = "\
Examples:
  wakeful dead edit run_0e5s7v0000001                      in $VISUAL or $EDITOR
  wakeful dead edit run_0e5s7v0000001 --file fixed.json
  jq .size=1 payload.json | wakeful dead edit run_0e5s7v0000001 --file -")]
    Edit {
        /// Its run
        run: RunId,
        /// Read the new payload from this file; `-` is standard input [default: an editor]
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        #[command(flatten)]
        ask: AskArgs,
    },
}

impl DeadCommand {
    /// How its answer is printed.
    pub fn ask(&self) -> &AskArgs {
        match self {
            Self::List { ask, .. } | Self::Show { ask, .. } | Self::Edit { ask, .. } => ask,
            Self::Redrive { select, .. } | Self::Discard { select, .. } => &select.ask,
        }
    }
}

/// What narrows dead letters down.
#[derive(Debug, Clone, Default, Args)]
#[group(id = "narrow", multiple = true)]
pub struct NarrowArgs {
    /// Only those of this function
    #[arg(long, value_name = "NAME")]
    pub function: Option<FunctionName>,
    /// Only those of this trigger: `function/trigger`; with --function its name is enough
    #[arg(long, value_name = "TRIGGER", value_parser = trigger())]
    pub trigger: Option<TriggerId>,
    /// Only those that died for this reason
    #[arg(long, value_parser = words::dead_reasons())]
    pub reason: Option<DeadReason>,
    /// Only those that died since then: `10m`, `2h`, or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only those that died before then
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Since>,
}

impl NarrowArgs {
    /// The trigger by its identity, however it was named.
    pub fn in_full(mut self) -> Result<Self, CliError> {
        self.trigger = match (self.trigger, &self.function) {
            (Some(trigger), Some(function)) => {
                let full = trigger.as_str().starts_with(&format!("{function}/"));
                Some(match full {
                    true => trigger,
                    false => TriggerId::new(function, trigger.as_str()),
                })
            }
            (Some(trigger), None) if !trigger.as_str().contains('/') => {
                return Err(CliError::Input {
                    message: format!("`{trigger}` is not the whole name of a trigger"),
                    help: Some(format!(
                        "say whose it is: --trigger FUNCTION/{trigger}, or --function FUNCTION too"
                    )),
                });
            }
            (trigger, _) => trigger,
        };
        Ok(self)
    }
}

/// Which dead letters.
#[derive(Debug, Args)]
#[group(
    id = "which",
    required = true,
    multiple = true,
    args = ["runs", "all", "function", "trigger", "reason", "since", "until"]
)]
pub struct SelectArgs {
    /// These
    #[arg(conflicts_with_all = ["narrow", "all"])]
    pub runs: Vec<RunId>,
    #[command(flatten)]
    pub narrow: NarrowArgs,
    /// All there are
    #[arg(long, conflicts_with = "narrow")]
    pub all: bool,
    #[command(flatten)]
    pub ask: AskArgs,
}
