//! `invoke`.

use std::borrow::Cow;

use super::{out, payload::Payload, publish, run_text};
use crate::{
    admin::model::{Accepted, InvokeReply},
    cli::{
        args::{InvokeArgs, WishArgs},
        client::{Query, encode},
        error::CliError,
        out::{Format, Tone, colours_wanted, note, paint},
        reach, words,
    },
};

/// The longest result that is laid out, in bytes.
const MOST_LAID_OUT: usize = 64 << 10;

pub(super) fn run(args: InvokeArgs) -> Result<(), CliError> {
    let payload = payload(&args)?;
    let deferred = args.wishes != WishArgs::default();
    if deferred && !args.no_wait {
        return Err(CliError::Input {
            message: "--delay, --key and --dedup are for what is not waited for".to_owned(),
            help: Some("add --async".to_owned()),
        });
    }
    let data = std::env::var_os("WAKEFUL_DATA").filter(|folder| !folder.is_empty());
    let client = reach::server(data.as_deref().map(std::path::Path::new))?;
    let path = format!(
        "/v1/functions/{}/invocations",
        encode(args.function.as_str())
    );
    let query = Query::default().with("handler", args.handler.as_ref());
    let mut out = out(args.json);
    if args.no_wait {
        let query = publish::wishes(query.with("wait", Some(false)), &args.wishes);
        let accepted: Accepted = client.post(&path, query, payload)?;
        return match out.format {
            Format::Json => out.json(&accepted),
            Format::Text => publish::show(&mut out, &accepted),
        };
    }
    let reply: InvokeReply = client.post(&path, query, payload)?;
    if out.format == Format::Json {
        out.json(&reply)?;
    } else if let Some(failure) = &reply.failure {
        let mut stderr = run_text::Stderr::new();
        run_text::failure_of_run(&mut stderr, failure, "")?;
        let colours = stderr.colours() && colours_wanted();
        let hint = format!("wakeful show {}", reply.run);
        note(&paint(colours, Tone::Dim, &hint));
    } else if let Some(result) = &reply.result {
        out.line(&words::harmless(&shown(result.get())))?;
    }
    match reply.failure {
        None => Ok(()),
        Some(_) => Err(CliError::FunctionFailed),
    }
}

/// A result that people can look through is laid out; any other is as it came.
fn shown(result: &str) -> Cow<'_, str> {
    match result.len() > MOST_LAID_OUT {
        true => result.into(),
        false => words::pretty_json(result).into(),
    }
}

/// The payload, known to be JSON before anybody is bothered with it.
fn payload(args: &InvokeArgs) -> Result<Vec<u8>, CliError> {
    let payload = match (&args.event, &args.data) {
        (Some(path), _) => Payload::read(path)?,
        (None, Some(text)) => Payload::given(text, "--data")?,
        (None, None) => return Ok(Vec::new()),
    };
    Ok(payload.json()?.bytes)
}
