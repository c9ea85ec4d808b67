//! What can be typed after `wakeful`.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{
    Args, Parser, Subcommand, ValueHint,
    builder::{OsStringValueParser, TypedValueParser},
};
use wakeful_core::{
    id::{EventId, RunId},
    name::{
        BucketName, EnvironmentName, FunctionName, HandlerName, KeyName, ProjectName, SecretName,
    },
    run::{LogLevel, RunState},
};

use super::since::Since;
use crate::options::{ADMIN_ADDRESS, AWS_ADDRESS, HTTP_ADDRESS};

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  it failed, or the function failed
  2  the command line is not understood
  3  the manifest or another input is wrong
  4  no server is reachable
  5  the server refused the key";

const REACHING: &str = "\
Commands that ask a running server find it by itself inside a project folder.
Elsewhere WAKEFUL_ADMIN (such as http://127.0.0.1:8081) and WAKEFUL_KEY say where
it is, or --data names the data folder of a server on this machine.";

/// Event-driven functions in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "wakeful",
    version,
    after_help = format!("{REACHING}\n\n{EXIT_CODES}"),
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a project for development: everything on, reloaded as you edit
    #[command(after_help = "\
Examples:
  wakeful dev
  wakeful dev examples/photos
  wakeful dev --http 127.0.0.1:0 --addr-file /tmp/addresses.json   for scripts: any free port")]
    Dev(ServeArgs),
    /// Run a project for production: nothing is watched, nothing is lenient
    #[command(after_help = "\
Examples:
  wakeful serve /srv/photos --http 0.0.0.0:8080
  wakeful serve --env staging --data /var/lib/wakeful")]
    Serve(ServeArgs),
    /// Make a small project to start from
    #[command(after_help = "\
Examples:
  wakeful init hello
  wakeful dev hello")]
    Init(InitArgs),
    /// Check the manifest, without a server
    #[command(after_help = "\
Examples:
  wakeful check
  wakeful check --env production
  wakeful check --fix    write down the access that functions used in `wakeful dev`")]
    Check(CheckArgs),
    /// Print the JSON Schema of the manifest
    #[command(after_help = "\
Example:
  wakeful schema > .wakeful/schema.json    then begin wakeful.toml with
                                           #:schema .wakeful/schema.json")]
    Schema,
    /// List the functions and what wakes them
    Functions(AskArgs),
    /// Call a function and print its result
    #[command(after_help = "\
Examples:
  wakeful invoke report
  wakeful invoke thumbnail --event event.json
  wakeful invoke greet --data '{\"name\": \"Ada\"}'
  echo '{}' | wakeful invoke greet --event -

A JSON object with `specversion` is taken for a whole CloudEvent; anything else
becomes the data of an event of the type wakeful.function.invoke.
The server is found as everywhere, its data folder through WAKEFUL_DATA.")]
    Invoke(InvokeArgs),
    /// Put an event to a filter: whether it wants it, and why
    #[command(after_help = "\
Examples:
  wakeful filter 'data.after.status = [\"paid\"]' event.json
  wakeful filter filter.toml '{\"after\": {\"status\": \"paid\"}}'
  wakeful show RUN --json | jq .event | wakeful filter pattern.json -

The pattern is TOML, as it stands under [function.NAME.on.filter], or JSON. An event
is JSON: a whole CloudEvent if it has `specversion`, otherwise the data of one.
Exit codes: 0 the filter wants the event, 1 it does not, 3 one of the two is wrong.")]
    Filter(FilterArgs),
    /// List runs, newest first
    #[command(after_help = "\
Examples:
  wakeful runs --function thumbnail --state dead
  wakeful runs --since 10m --json")]
    Runs(RunsArgs),
    /// Show a run: its event, attempts, waits, logs and error; of an event, its runs
    Show(ShowArgs),
    /// Print log lines, and follow them
    #[command(after_help = "\
Examples:
  wakeful logs -f
  wakeful logs --function thumbnail --level warn --since 1h
  wakeful logs --grep timeout")]
    Logs(LogsArgs),
    /// Dead letters: list, show, redrive, discard
    #[command(
        subcommand,
        after_help = "\
A dead letter is a delivery whose attempts or age ran out. It is kept until someone acts."
    )]
    Dead(DeadCommand),
    /// Buckets: list, put, get and remove objects
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// Secrets: set, list and remove them
    #[command(
        subcommand,
        after_help = "\
Secrets are encrypted at rest and given only to functions that declare them.
Without a running server the vault in the data folder is changed directly."
    )]
    Secret(SecretCommand),
    /// Keys for callers and for administrators
    #[command(
        subcommand,
        after_help = "\
Function keys open HTTP triggers with `auth = \"key\"`; admin keys open the admin API.
Without a running server the vault in the data folder is changed directly."
    )]
    Key(KeyCommand),
}

/// A folder; nothing at all is let through for those who set WAKEFUL_DATA to nothing.
fn folder() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// `dev` and `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The project's folder
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Where functions are reached; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = HTTP_ADDRESS)]
    pub http: SocketAddr,
    /// Where the admin API is reached
    #[arg(long, value_name = "ADDRESS", default_value = ADMIN_ADDRESS)]
    pub admin: SocketAddr,
    /// Where the AWS-compatible endpoint is reached
    #[arg(long, value_name = "ADDRESS", default_value = AWS_ADDRESS)]
    pub aws: SocketAddr,
    /// The folder of the server's state [default: .wakeful in the project]
    #[arg(long, value_name = "DIR", env = "WAKEFUL_DATA", hide_env_values = true, value_parser = folder())]
    pub data: Option<PathBuf>,
    /// Write the addresses and keys to this file, outside the project's folder, once all is ready
    #[arg(long, value_name = "FILE")]
    pub addr_file: Option<PathBuf>,
    /// The environment whose settings apply [default: dev, or production with `serve`]
    #[arg(long, value_name = "NAME")]
    pub env: Option<EnvironmentName>,
}

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder; made if it is not there
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The project's name [default: that of the folder]
    #[arg(long)]
    pub name: Option<ProjectName>,
    /// Print what was made as JSON
    #[arg(long)]
    pub json: bool,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The project's folder
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Write the access that functions used in `wakeful dev` into the manifest
    #[arg(long)]
    pub fix: bool,
    /// The environment whose settings apply [default: dev]
    #[arg(long, value_name = "NAME")]
    pub env: Option<EnvironmentName>,
    /// The data folder of `wakeful dev` [default: .wakeful in the project]
    #[arg(long, value_name = "DIR", env = "WAKEFUL_DATA", hide_env_values = true, value_parser = folder())]
    pub data: Option<PathBuf>,
    /// Print the problems as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a server is found, and how answers are printed.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// The data folder of the server [default: that of the project around here]
    #[arg(long, value_name = "DIR", env = "WAKEFUL_DATA", hide_env_values = true, value_parser = folder())]
    pub data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

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
    #[arg(long)]
    pub no_wait: bool,
    /// Print run, result and failure as JSON
    #[arg(long)]
    pub json: bool,
}

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
    #[arg(long, value_parser = super::words::run_states())]
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
    #[arg(long, value_parser = super::words::log_levels())]
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

/// `dead`.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// List dead letters, newest first
    List {
        /// Only those of this function
        #[arg(long, value_name = "NAME")]
        function: Option<FunctionName>,
        /// At most this many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Show a dead letter with its attempts, logs and event
    Show(ShowArgs),
    /// Queue dead letters again, with fresh attempts
    #[command(after_help = "\
Examples:
  wakeful dead redrive run_0e5s7v0000001
  wakeful dead redrive --function thumbnail")]
    Redrive(SelectArgs),
    /// Drop dead letters for good
    #[command(after_help = "\
Examples:
  wakeful dead discard run_0e5s7v0000001
  wakeful dead discard --all --yes")]
    Discard {
        #[command(flatten)]
        select: SelectArgs,
        /// Do not ask first
        #[arg(short, long)]
        yes: bool,
    },
}

/// Which dead letters.
#[derive(Debug, Args)]
pub struct SelectArgs {
    /// These
    #[arg(required_unless_present_any = ["function", "all"], conflicts_with_all = ["function", "all"])]
    pub runs: Vec<RunId>,
    /// All of this function
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    pub function: Option<FunctionName>,
    /// All there are
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `bucket`.
#[derive(Debug, Subcommand)]
pub enum BucketCommand {
    /// List the buckets, or the objects of one
    #[command(after_help = "\
Examples:
  wakeful bucket ls
  wakeful bucket ls photos
  wakeful bucket ls photos 2026/")]
    Ls {
        /// The bucket
        bucket: Option<BucketName>,
        /// Only keys that begin with this
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
        /// At most this many
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
        limit: u32,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Put a file into a bucket
    #[command(after_help = "\
Examples:
  wakeful bucket put photos cat.jpg
  wakeful bucket put photos cat.jpg --key 2026/cat.jpg
  date | wakeful bucket put notes - --key now.txt")]
    Put {
        /// The bucket
        bucket: BucketName,
        /// The file; `-` is standard input
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// The key [default: the file's name]
        #[arg(long)]
        key: Option<String>,
        /// Its content type [default: by the ending of the key]
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Get an object out of a bucket
    #[command(after_help = "\
Examples:
  wakeful bucket get photos cat.jpg
  wakeful bucket get photos 2026/cat.jpg /tmp/cat.jpg
  wakeful bucket get thumbnails catalog.json -    to standard output")]
    Get {
        /// The bucket
        bucket: BucketName,
        /// The key
        key: String,
        /// Where to; `-` is standard output [default: the end of the key, here]
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Remove objects from a bucket
    Rm {
        /// The bucket
        bucket: BucketName,
        /// Their keys
        #[arg(required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        ask: AskArgs,
    },
}

/// `secret`.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Set a secret; its value is read from standard input or asked for
    #[command(after_help = "\
Examples:
  wakeful secret set API_TOKEN                 asks for the value
  wakeful secret set API_TOKEN < token.txt     one line break at the end is dropped")]
    Set {
        /// Its name
        name: SecretName,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// List the names of all secrets
    List {
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Remove a secret
    Rm {
        /// Its name
        name: SecretName,
        #[command(flatten)]
        ask: AskArgs,
    },
}

/// `key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print it, this once
    #[command(after_help = "\
Examples:
  wakeful key create partner
  wakeful key create laptop --admin
  KEY=$(wakeful key create partner)
  curl -H \"Authorization: Bearer $KEY\" http://127.0.0.1:8080/books")]
    Create {
        /// Its name
        name: KeyName,
        /// For the admin API instead of functions
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        ask: AskArgs,
    },
    /// List the names of all keys
    List {
        #[command(flatten)]
        ask: AskArgs,
    },
    /// Remove a key, which is refused from then on
    Rm {
        /// Its name
        name: KeyName,
        #[command(flatten)]
        ask: AskArgs,
    },
}
