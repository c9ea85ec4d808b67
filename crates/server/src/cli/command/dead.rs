//! `dead`.

use std::{
    env, fs,
    io::{self, IsTerminal, Write},
    path::Path,
    process::Command,
    time::Duration,
};

use wakeful_core::{id::RunId, limits, name::FunctionName};

use super::{agreed, dead_text, is_dash, now, out, payload::Payload, runs};
use crate::{
    admin::model::{
        Affected, DeadDetail, DeadList, DeadSummary, ErrorInfo, FunctionInfo, Replaced, Selection,
        Time, dead_reason_word,
    },
    cli::{
        args::{AskArgs, DeadCommand, NarrowArgs, SelectArgs},
        client::{Client, Query, encode},
        error::CliError,
        out::{Format, note},
        reach, words,
    },
    tools::Pace,
};

pub(super) fn run(command: DeadCommand) -> Result<(), CliError> {
    match command {
        DeadCommand::List { narrow, limit, ask } => list(&narrow.in_full()?, limit as usize, &ask),
        DeadCommand::Show { run, raw, ask } => show(run, raw.as_deref(), &ask),
        DeadCommand::Redrive {
            select,
            rate,
            dry_run,
        } => redrive(&in_full(select)?, rate, dry_run),
        DeadCommand::Discard {
            select,
            why,
            dry_run,
            yes,
        } => {
            let select = in_full(select)?;
            if !yes && !dry_run && select.runs.is_empty() {
                let question = format!("Drop {} for good?", in_words(&select));
                if !agreed(&question, "--yes")? {
                    return Err(CliError::Declined);
                }
            }
            discard(&select, &why, dry_run)
        }
        DeadCommand::Edit { run, file, ask } => edit(run, file.as_deref(), &ask),
    }
}

fn in_full(mut select: SelectArgs) -> Result<SelectArgs, CliError> {
    select.narrow = select.narrow.in_full()?;
    Ok(select)
}

fn in_words(select: &SelectArgs) -> String {
    let narrow = &select.narrow;
    let mut text = "all dead letters".to_owned();
    if let Some(function) = &narrow.function {
        text.push_str(&format!(" of {function}"));
    }
    if let Some(trigger) = &narrow.trigger {
        text.push_str(&format!(" of {trigger}"));
    }
    if let Some(reason) = narrow.reason {
        text.push_str(&format!(" that died of `{}`", words::dead_reason(reason)));
    }
    if narrow.since.is_some() || narrow.until.is_some() {
        text.push_str(" of that time");
    }
    text
}

fn narrowed(query: Query, narrow: &NarrowArgs) -> Query {
    let now = now();
    query
        .with("function", narrow.function.as_ref())
        .with("trigger", narrow.trigger.as_ref())
        .with("reason", narrow.reason.map(dead_reason_word))
        .with("since", narrow.since.map(|since| Time(since.at(now))))
        .with("until", narrow.until.map(|until| Time(until.at(now))))
}

fn list(narrow: &NarrowArgs, limit: usize, ask: &AskArgs) -> Result<(), CliError> {
    let client = reach::server(ask.data.as_deref())?;
    let mut out = out(ask.json);
    let all = collect(&client, narrow, limit)?;
    let query = narrowed(Query::default(), narrow);
    let summary: DeadSummary = client.get("/v1/dead/summary", query)?;
    if summary.total == 0 {
        refuse_unknown(&client, narrow)?;
    }
    match out.format {
        Format::Json => {
            out.json(&serde_json::json!({ "summary": summary, "dead": all.dead, "next": all.next }))
        }
        Format::Text => dead_text::list(&mut out, &summary, &all, now()),
    }
}

/// Nothing was found, because there is no such function or trigger: neither in the project nor
/// among what is known of earlier ones.
fn refuse_unknown(client: &Client, narrow: &NarrowArgs) -> Result<(), CliError> {
    if let Some(function) = &narrow.function {
        runs::refuse_unknown(client, function)?;
    }
    let Some(trigger) = &narrow.trigger else {
        return Ok(());
    };
    let function = trigger.as_str().split('/').next().unwrap_or_default();
    let function: FunctionName = function
        .parse()
        .map_err(|error| CliError::input(format!("`{trigger}` is no trigger: {error}")))?;
    let path = format!("/v1/functions/{}", encode(function.as_str()));
    let Ok(info) = client.get::<FunctionInfo>(&path, Query::default()) else {
        return runs::refuse_unknown(client, &function);
    };
    // Those that stand in no manifest are made as they are needed.
    if info.triggers.contains(trigger) || trigger.as_str().contains("/$") {
        return Ok(());
    }
    let any = Query::default()
        .with("trigger", Some(trigger))
        .with("limit", Some(1));
    let ever: DeadList = client.get("/v1/dead", any)?;
    if !ever.dead.is_empty() {
        return Ok(());
    }
    let known: Vec<_> = info.triggers.iter().map(|id| format!("`{id}`")).collect();
    Err(CliError::Refused(ErrorInfo {
        code: "not_found".to_owned(),
        message: format!("there is no trigger `{trigger}`"),
        help: Some(match known.is_empty() {
            true => format!("`{function}` has no triggers"),
            false => format!("there is {}", known.join(", ")),
        }),
    }))
}

/// As many dead letters as were asked for, page by page.
fn collect(client: &Client, narrow: &NarrowArgs, limit: usize) -> Result<DeadList, CliError> {
    let mut all = DeadList {
        dead: Vec::new(),
        next: None,
    };
    loop {
        let room = limit - all.dead.len();
        let query = narrowed(Query::default(), narrow)
            .with("before", all.next)
            .with("limit", Some(room.min(limits::MAX_ADMIN_PAGE)));
        let page: DeadList = client.get("/v1/dead", query)?;
        all.dead.extend(page.dead);
        all.next = page.next;
        if all.next.is_none() || all.dead.len() >= limit {
            return Ok(all);
        }
    }
}

fn show(run: RunId, raw: Option<&Path>, ask: &AskArgs) -> Result<(), CliError> {
    let client = reach::server(ask.data.as_deref())?;
    let detail: DeadDetail = client.get(&format!("/v1/dead/{run}"), Query::default())?;
    if let Some(path) = raw {
        let bytes = payload_of(&client, &detail)?;
        if is_dash(path) {
            let mut out = out(ask.json);
            out.bytes(&bytes)?;
            return out.flush();
        }
        let writing = format!("write {}", path.display());
        fs::write(path, &bytes).map_err(CliError::file(writing))?;
        let size = words::bytes(bytes.len() as u64);
        note(&format!("{} ({size})", path.display()));
    }
    let mut out = out(ask.json);
    match out.format {
        Format::Json => out.json(&detail),
        Format::Text => dead_text::detail(&mut out, &detail, now()),
    }
}

fn payload_of(client: &Client, detail: &DeadDetail) -> Result<Vec<u8>, CliError> {
    let path = format!("/v1/events/{}/data", detail.dead.event);
    client.bytes(&path, limits::MAX_BODY.saturating_mul(2))
}

fn selection(select: &SelectArgs) -> Selection {
    let (narrow, now) = (&select.narrow, now());
    Selection {
        runs: (!select.runs.is_empty()).then(|| select.runs.clone()),
        all: select.all.then_some(true),
        function: narrow.function.clone(),
        trigger: narrow.trigger.clone(),
        reason: narrow.reason,
        since: narrow.since.map(|since| Time(since.at(now))),
        until: narrow.until.map(|until| Time(until.at(now))),
    }
}

fn redrive(select: &SelectArgs, rate: Option<Pace>, dry_run: bool) -> Result<(), CliError> {
    let query = Query::default()
        .with("rate", rate)
        .with("dry_run", dry_run.then_some(true));
    act(
        select,
        "redrive",
        query,
        ("queued again", "would be queued again"),
    )
}

fn discard(select: &SelectArgs, why: &str, dry_run: bool) -> Result<(), CliError> {
    let query = Query::default()
        .with("why", Some(why).filter(|why| !why.is_empty()))
        .with("dry_run", dry_run.then_some(true));
    act(select, "discard", query, ("dropped", "would be dropped"))
}

fn act(
    select: &SelectArgs,
    verb: &str,
    query: Query,
    (done, would): (&str, &str),
) -> Result<(), CliError> {
    let client = reach::server(select.ask.data.as_deref())?;
    let path = format!("/v1/dead/{verb}");
    let affected: Affected = client.post_json_with(&path, query, &selection(select))?;
    if affected.count == 0 {
        refuse_unknown(&client, &select.narrow)?;
    }
    let mut out = out(select.ask.json);
    match out.format {
        Format::Json => out.json(&affected)?,
        Format::Text => {
            let count = words::count(affected.count, "dead letter", "dead letters");
            let done = if affected.dry_run { would } else { done };
            // Of a single one, or a few, the last is as good as ready.
            let last = affected
                .last_at
                .filter(|last| last.0 > now().plus(Duration::from_secs(1)));
            let last = last.map(|last| {
                format!(
                    "; the last one may start {}",
                    words::relative(last.0, now())
                )
            });
            let last = last.unwrap_or_default();
            out.line(&format!("{count} {done}{last}."))?;
        }
    }
    let missing = select
        .runs
        .iter()
        .filter(|run| !affected.runs.contains(run));
    let missing: Vec<_> = missing.collect();
    match missing.as_slice() {
        [] => Ok(()),
        [run] => Err(CliError::input(format!("{run} is no dead letter"))),
        [run, rest @ ..] => Err(CliError::input(format!(
            "{run} and {} others are no dead letters",
            rest.len()
        ))),
    }
}

fn edit(run: RunId, file: Option<&Path>, ask: &AskArgs) -> Result<(), CliError> {
    let client = reach::server(ask.data.as_deref())?;
    let payload = match file {
        Some(path) => Payload::read(path)?.bytes,
        None => {
            let detail: DeadDetail = client.get(&format!("/v1/dead/{run}"), Query::default())?;
            let old = payload_of(&client, &detail)?;
            let new = in_editor(&old)?;
            if new == old {
                note("the payload is as it was");
                return Err(CliError::Declined);
            }
            new
        }
    };
    let path = format!("/v1/dead/{run}/edit");
    let replaced: Replaced = client.post(&path, Query::default(), payload)?;
    let mut out = out(ask.json);
    match out.format {
        Format::Json => out.json(&replaced),
        Format::Text => {
            out.line(&format!("{} takes the place of {run}", replaced.event))?;
            for run in &replaced.runs {
                out.line(&format!("  → {run}"))?;
            }
            Ok(())
        }
    }
}

/// What somebody made of a payload in the editor of their choice. JSON is laid out for them.
fn in_editor(old: &[u8]) -> Result<Vec<u8>, CliError> {
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(env::var_os);
    let editor = editor.filter(|editor| !editor.is_empty() && io::stdin().is_terminal());
    let Some(editor) = editor else {
        return Err(CliError::Input {
            message: "there is no editor to change the payload in".to_owned(),
            help: Some("set EDITOR, or give the new payload with --file".to_owned()),
        });
    };
    let text = std::str::from_utf8(old).map_err(|_| CliError::Input {
        message: "the payload is no text that an editor could show".to_owned(),
        help: Some("get it with `dead show --raw FILE`, and give the new one with --file".into()),
    })?;
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let (suffix, shown) = match is_json {
        true => (".json", words::pretty_json(text) + "\n"),
        false => (".txt", text.to_owned()),
    };
    let writing = || CliError::file("write the payload to a temporary file");
    let mut file = tempfile::Builder::new()
        .prefix("wakeful-")
        .suffix(suffix)
        .tempfile()
        .map_err(writing())?;
    file.write_all(shown.as_bytes()).map_err(writing())?;
    file.flush().map_err(writing())?;
    // As a shell takes it: the variable may have arguments.
    let status = Command::new("/bin/sh")
        .args(["-c", r#"eval "$0 \"\$1\"""#])
        .arg(&editor)
        .arg(file.path())
        .status()
        .map_err(CliError::file(format!("start {}", editor.display())))?;
    if !status.success() {
        note(&format!("{} ended with {status}", editor.display()));
        return Err(CliError::Declined);
    }
    let new = fs::read(file.path()).map_err(CliError::file("read the payload back"))?;
    Ok(if new == shown.as_bytes() {
        old.to_vec()
    } else {
        new
    })
}
