//! `logs`.

use super::{now, out, run_text, runs};
use crate::{
    admin::model::{LogEntry, LogList, Time},
    cli::{
        args::LogsArgs,
        client::Query,
        error::CliError,
        out::{Format, Out},
        reach,
    },
};

pub(super) fn run(args: LogsArgs) -> Result<(), CliError> {
    let client = reach::server(args.ask.data.as_deref())?;
    let since = args.since.map(|since| Time(since.at(now())));
    let query = Query::default()
        .with("function", args.function.as_ref())
        .with("run", args.run)
        .with("level", args.level.map(|level| level.as_str()))
        .with("since", since)
        .with("contains", args.grep.as_deref());
    if let (Some(function), true) = (&args.function, args.follow) {
        runs::refuse_unknown(&client, function)?;
    }
    let mut out = out(args.ask.json);
    let named = args.function.is_none() && args.run.is_none();
    if args.follow {
        let query = query
            .with("limit", Some(args.limit))
            .with("follow", Some(true));
        let end = client.follow("/v1/logs", query, |line: LogEntry| {
            one(&mut out, &line, named)?;
            out.flush()
        });
        return end.map(|never| match never {});
    }
    if args.limit == 0 {
        return Ok(());
    }
    let list: LogList = client.get("/v1/logs", query.with("limit", Some(args.limit)))?;
    if let (Some(function), []) = (&args.function, list.lines.as_slice()) {
        runs::refuse_unknown(&client, function)?;
    }
    for line in &list.lines {
        one(&mut out, line, named)?;
    }
    out.flush()
}

/// One line; as JSON it is one object a line, followed or not.
fn one(out: &mut Out, line: &LogEntry, named: bool) -> Result<(), CliError> {
    match out.format {
        Format::Json => out.json_line(line),
        Format::Text => {
            let text = run_text::log_line(out, line, named);
            out.line(&text)
        }
    }
}
