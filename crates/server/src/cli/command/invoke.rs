//! `invoke`.

use std::{
    fs,
    io::{self, Read},
};

use wakeful_core::limits;

use super::{is_dash, out, run_text};
use crate::{
    admin::model::{InvokeAccepted, InvokeReply},
    cli::{
        args::InvokeArgs,
        client::{Query, encode},
        error::CliError,
        out::{Format, Tone, colours_wanted, note, paint},
        reach, words,
    },
};

pub(super) fn run(args: InvokeArgs) -> Result<(), CliError> {
    let payload = payload(&args)?;
    let data = std::env::var_os("WAKEFUL_DATA").filter(|folder| !folder.is_empty());
    let client = reach::server(data.as_deref().map(std::path::Path::new))?;
    let path = format!(
        "/v1/functions/{}/invocations",
        encode(args.function.as_str())
    );
    let query = Query::default().with("handler", args.handler.as_ref());
    let mut out = out(args.json);
    if args.no_wait {
        let accepted: InvokeAccepted =
            client.post(&path, query.with("wait", Some(false)), payload)?;
        return match out.format {
            Format::Json => out.json(&accepted),
            Format::Text => out.line(&format!("{} is stored", accepted.event)),
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
        out.line(&words::harmless(&words::pretty_json(result.get())))?;
    }
    match reply.failure {
        None => Ok(()),
        Some(_) => Err(CliError::FunctionFailed),
    }
}

/// The payload, known to be JSON before anybody is bothered with it.
fn payload(args: &InvokeArgs) -> Result<Vec<u8>, CliError> {
    let (bytes, from) = match (&args.event, &args.data) {
        (Some(path), _) if is_dash(path) => {
            let mut bytes = Vec::new();
            let mut stdin = io::stdin().lock().take(limits::MAX_BODY + 1);
            stdin
                .read_to_end(&mut bytes)
                .map_err(CliError::file("read standard input"))?;
            (bytes, "standard input".to_owned())
        }
        (Some(path), _) => {
            let shown = path.display().to_string();
            let bytes = fs::read(path).map_err(|cause| {
                CliError::input(format!("the event cannot be read from {shown}: {cause}"))
            })?;
            (bytes, shown)
        }
        (None, Some(text)) => (text.clone().into_bytes(), "--data".to_owned()),
        (None, None) => return Ok(Vec::new()),
    };
    if bytes.len() as u64 > limits::MAX_BODY {
        return Err(CliError::input(format!(
            "the payload from {from} is larger than {}",
            words::bytes(limits::MAX_BODY)
        )));
    }
    serde_json::from_slice::<serde::de::IgnoredAny>(&bytes)
        .map_err(|error| CliError::input(format!("the payload from {from} is no JSON: {error}")))?;
    Ok(bytes)
}
