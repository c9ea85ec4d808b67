//! `pause`, `resume` and `pauses`.

use super::{now, out};
use crate::{
    admin::model::{PauseInfo, PauseList, PauseTarget},
    cli::{
        args::{AskArgs, PauseArgs},
        client::Query,
        error::CliError,
        out::{Format, Tone},
        reach, words,
    },
};

pub(super) fn pause(args: &PauseArgs, why: String) -> Result<(), CliError> {
    act(args, why, "/v1/pauses", "is paused")
}

pub(super) fn resume(args: &PauseArgs) -> Result<(), CliError> {
    act(args, String::new(), "/v1/pauses/resume", "goes on")
}

fn act(args: &PauseArgs, why: String, path: &str, done: &str) -> Result<(), CliError> {
    let target = PauseTarget {
        function: args.function.clone(),
        trigger: args.trigger.clone(),
        key: args.key.clone(),
        why,
    };
    let client = reach::server(args.ask.data.as_deref())?;
    let info: PauseInfo = client.post_json(path, &target)?;
    let mut out = out(args.ask.json);
    match out.format {
        Format::Json => out.json(&info),
        Format::Text => out.line(&words::one_line(&format!("{} {done}", what(&info)))),
    }
}

/// What is paused, in words.
pub(super) fn what(pause: &PauseInfo) -> String {
    let mut text = match &pause.trigger {
        Some(trigger) => trigger.to_string(),
        None => pause.function.to_string(),
    };
    if let Some(key) = &pause.key {
        text.push_str(&format!(" with the key `{key}`"));
    }
    text
}

pub(super) fn list(args: &AskArgs) -> Result<(), CliError> {
    let client = reach::server(args.data.as_deref())?;
    let list: PauseList = client.get("/v1/pauses", Query::default())?;
    let mut out = out(args.json);
    if out.format == Format::Json {
        return out.json(&list);
    }
    if list.pauses.is_empty() {
        return out.line("Nothing is paused.");
    }
    let now = now();
    let dash = || "-".to_owned();
    let row = |pause: &PauseInfo| {
        let trigger = pause.trigger.as_ref().map(ToString::to_string);
        vec![
            (Tone::Bold, pause.function.to_string()),
            (Tone::Plain, trigger.unwrap_or_else(dash)),
            (
                Tone::Plain,
                pause.key.as_deref().map_or_else(dash, words::one_line),
            ),
            (Tone::Dim, words::relative(pause.since.0, now)),
            (Tone::Plain, words::one_line(&pause.why)),
        ]
    };
    let rows = list.pauses.iter().map(row).collect();
    out.table(&["FUNCTION", "TRIGGER", "KEY", "PAUSED", "WHY"], rows)
}
