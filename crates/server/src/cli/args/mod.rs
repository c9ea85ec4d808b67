//! What can be typed after `wakeful`, by family.

mod care;
mod dead;
mod events;
mod keep;
mod look;
mod project;

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};

pub use care::{BackupArgs, DoctorArgs, RestoreArgs};
pub use dead::{DeadCommand, NarrowArgs, SelectArgs};
pub use events::{InvokeArgs, PauseArgs, PublishArgs, ReplayArgs, WishArgs};
pub use keep::{BucketCommand, KeyCommand, SecretCommand};
pub use look::{ExplainArgs, FilterArgs, LogsArgs, RunOrEvent, RunsArgs, ShowArgs, WhyArgs};
pub use project::{CheckArgs, InitArgs, ServeArgs};

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
  wakeful invoke report --async --delay 5m

A JSON object with `specversion` is taken for a whole CloudEvent; anything else
becomes the data of an event of the type wakeful.function.invoke.
The server is found as everywhere, its data folder through WAKEFUL_DATA.")]
    Invoke(InvokeArgs),
    /// Publish an event to a topic
    #[command(after_help = "\
Examples:
  wakeful publish orders.paid --data '{\"order\": 7}'
  wakeful publish orders.paid --data '{\"order\": 7}' --delay 5m --dedup order-7
  wakeful publish orders.paid --file cloudevent.json

A JSON object with `specversion` is taken for a whole CloudEvent. The event is on disk
when this returns; it prints the event and the runs it woke.
--data is the payload; the data folder of a server is named with --data-dir.")]
    Publish(PublishArgs),
    /// Run events of the past again, for triggers that want them now
    #[command(after_help = "\
Examples:
  wakeful replay --since 2h --dry-run
  wakeful replay --since 2h --function thumbnail --rate 50/s
  wakeful replay --since 6h --until 2h --source 'topic:orders.*'

Each event comes in once more, as a new one that says which one it repeats (`replayof`).
Replays are left out unless --again says otherwise, and, when nothing but the time narrows
the replay down, so is what functions published: their causes bring it forth again.")]
    Replay(ReplayArgs),
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
    /// Explain what became of an event: who wanted it and why, what it waits for, what it led to
    #[command(after_help = "\
Examples:
  wakeful explain evt_0e5s7v0000001
  wakeful explain run_0e5s7v0000002    the event of this run")]
    Explain(ExplainArgs),
    /// Say why a function's queue does not move, and what helps
    #[command(after_help = "\
Example:
  wakeful why thumbnail")]
    Why(WhyArgs),
    /// Start nothing more of a function, a trigger or a key, until it is resumed
    #[command(after_help = "\
Examples:
  wakeful pause thumbnail --why \"the camera sends rubbish\"
  wakeful pause orders --trigger table.shop.orders.default --key customer-7

Events are taken in as ever and wait. Attempts that run go on. A pause survives restarts.")]
    Pause {
        /// What.
        #[command(flatten)]
        what: PauseArgs,
        /// Why, for those who find it
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        why: String,
    },
    /// End a pause
    #[command(after_help = "\
Examples:
  wakeful resume thumbnail
  wakeful resume orders --trigger table.shop.orders.default --key customer-7")]
    Resume(PauseArgs),
    /// List what is paused
    Pauses(AskArgs),
    /// Dead letters: list, show, redrive, discard, edit
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
    /// Check a data folder while no server runs on it
    #[command(after_help = "\
Examples:
  wakeful doctor
  wakeful doctor /var/lib/wakeful --repair
  wakeful doctor --salvage /var/lib/wakeful-new    copy what can still be read

Exit codes: 0 nothing is damaged, 1 something is damaged that --repair mends, 3 damage
that it cannot mend, 4 a server runs on the folder.")]
    Doctor(DoctorArgs),
    /// Copy a server's data folder, while it runs or not
    #[command(after_help = "\
Examples:
  wakeful backup /backups/2026-11-20
  wakeful backup /backups/2026-11-20 --no-history")]
    Backup(BackupArgs),
    /// Make a data folder out of a backup
    #[command(after_help = "\
Examples:
  wakeful restore /backups/2026-11-20
  wakeful restore /backups/2026-11-20 --verify    only check the backup")]
    Restore(RestoreArgs),
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
