//! Dead letters as people read them.

use wakeful_core::time::Timestamp;

use super::run_text::{self, Lines};
use crate::{
    admin::model::{DeadDetail, DeadGroup, DeadLetter, DeadList, DeadSummary},
    cli::{
        error::CliError,
        out::{Out, Tone},
        words,
    },
};

/// How many died of what, then the newest ones.
pub(super) fn list(
    out: &mut Out,
    summary: &DeadSummary,
    all: &DeadList,
    now: Timestamp,
) -> Result<(), CliError> {
    if all.dead.is_empty() {
        return out.line("No dead letters.");
    }
    // What the list below shows completely needs no summary above it.
    if summary.groups.len() > 1 || all.next.is_some() {
        let rows = summary.groups.iter().map(|group| group_row(group, now));
        let head = ["COUNT", "FUNCTION", "REASON", "LAST", "LAST ERROR"];
        out.table(&head, rows.collect())?;
        if !summary.complete {
            let text = format!("Only the newest {} were counted.", summary.total);
            out.line(&out.paint(Tone::Dim, &text))?;
        }
        out.line("")?;
    }
    let rows = all.dead.iter().map(|dead| row(dead, now)).collect();
    let head = ["RUN", "FUNCTION", "DIED", "REASON", "ATTEMPTS", "ERROR"];
    out.table(&head, rows)?;
    if all.next.is_some() {
        let text = format!(
            "{} of {}: see more with --limit, or narrow them down.",
            all.dead.len(),
            summary.total
        );
        out.line(&out.paint(Tone::Dim, &text))?;
    }
    Ok(())
}

fn group_row(group: &DeadGroup, now: Timestamp) -> Vec<(Tone, String)> {
    let failure = group.failure.as_ref();
    let why = failure.map(|failure| run_text::failure_line(failure, 80));
    vec![
        (Tone::Bold, group.count.to_string()),
        (Tone::Plain, group.function.to_string()),
        (Tone::Warn, words::dead_reason(group.reason)),
        (Tone::Dim, words::relative(group.newest.0, now)),
        (Tone::Bad, why.unwrap_or_default()),
    ]
}

fn row(dead: &DeadLetter, now: Timestamp) -> Vec<(Tone, String)> {
    let failure = dead.failure.as_ref();
    let mut why = failure
        .map(|failure| run_text::failure_line(failure, 80))
        .unwrap_or_default();
    if let Some(key) = &dead.blocks {
        let key = words::brief_line(key, 40);
        why = format!("{why}\nblocks the key `{key}`")
            .trim_start()
            .to_owned();
    }
    vec![
        (Tone::Plain, dead.run.to_string()),
        (Tone::Bold, dead.function.to_string()),
        (Tone::Dim, words::relative(dead.died_at.0, now)),
        (Tone::Warn, words::dead_reason(dead.reason)),
        (Tone::Plain, dead.attempts.to_string()),
        (Tone::Bad, why),
    ]
}

/// Everything about a dead letter.
pub(super) fn detail(
    out: &mut impl Lines,
    detail: &DeadDetail,
    now: Timestamp,
) -> Result<(), CliError> {
    let dead = &detail.dead;
    let reason = words::dead_reason(dead.reason);
    let title = out.tint(Tone::Bold, &dead.run.to_string());
    out.put(&format!(
        "{title}  {}",
        out.tint(Tone::Bad, &format!("dead: {reason}"))
    ))?;
    let about = match detail.about.as_str() {
        "" => String::new(),
        about => format!(" · {about}"),
    };
    out.put(&words::one_line(&format!("{}{about}", dead.function)))?;
    out.put("")?;
    facts(out, detail, now)?;
    event(out, detail)?;
    if !detail.in_history && dead.attempts > 0 {
        out.put("")?;
        let text = "The history no longer has its attempts and logs.";
        out.put(&out.tint(Tone::Dim, text))?;
    }
    run_text::attempts(out, &detail.attempts, &detail.logs)?;
    if let Some(error) = &dead.failure {
        run_text::section(out, "error")?;
        run_text::failure_of_run(out, error, "  ")?;
        if error.may_have_taken_effect {
            let text = "  It may have taken effect before it failed.";
            out.put(&out.tint(Tone::Dim, text))?;
        }
    }
    out.put("")?;
    for (what, command) in [
        ("run it again", format!("wakeful dead redrive {}", dead.run)),
        (
            "with another payload",
            format!("wakeful dead edit {}", dead.run),
        ),
        ("drop it", format!("wakeful dead discard {}", dead.run)),
    ] {
        out.put(&out.tint(Tone::Dim, &format!("{what:<22}{command}")))?;
    }
    Ok(())
}

fn facts(out: &mut impl Lines, detail: &DeadDetail, now: Timestamp) -> Result<(), CliError> {
    let dead = &detail.dead;
    let mut fact = |name: &str, value: String| {
        let name = out.tint(Tone::Dim, &format!("{name:<10}"));
        out.put(&format!("{name}{}", words::one_line(&value)))
    };
    let at = |at: Timestamp| format!("{} ({})", words::date_time(at), words::relative(at, now));
    fact("accepted", at(dead.run.drawn_at()))?;
    fact("died", at(dead.died_at.0))?;
    fact("attempts", dead.attempts.to_string())?;
    fact("trigger", dead.trigger.to_string())?;
    fact("event", dead.event.to_string())?;
    if let Some(of) = detail.lineage.replay_of {
        fact("repeats", of.to_string())?;
    }
    if let Some(run) = detail.lineage.run {
        fact("caused by", run.to_string())?;
    }
    if let Some(key) = &dead.blocks {
        let key = words::brief_line(key, 60);
        fact("blocks", format!("whatever else has the key `{key}`"))?;
    }
    if let Some(payload) = &detail.payload {
        let size = words::bytes(payload.size);
        fact("payload", format!("{size} of {}", payload.content_type))?;
    }
    Ok(())
}

/// The event; a payload that is no text is left out of it.
fn event(out: &mut impl Lines, detail: &DeadDetail) -> Result<(), CliError> {
    let Some(text) = &detail.event else {
        out.put("")?;
        let text = "Its event cannot be read back: it is damaged on disk, or gone.";
        return out.put(&out.tint(Tone::Bad, text));
    };
    let mut parsed: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text.get()).unwrap_or_default();
    out.put("")?;
    if parsed.remove("data_base64").is_none() {
        return run_text::event(out, text.get());
    }
    let envelope = serde_json::Value::Object(parsed).to_string();
    run_text::event(out, &envelope)?;
    let text = format!(
        "  its payload is no JSON: get it with `wakeful dead show {} --raw FILE`",
        detail.dead.run
    );
    out.put(&out.tint(Tone::Dim, &text))
}
