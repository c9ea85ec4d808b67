//! `secret`.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use wakeful_core::{limits, name::SecretName};

use super::{now, out};
use crate::{
    admin::model::{SecretEntry, SecretList, SecretValue},
    cli::{
        args::{AskArgs, SecretCommand},
        client::{Query, encode},
        error::CliError,
        out::{Format, Tone},
        reach::{self, Reached},
        words,
    },
    vault::Vault,
};

pub(super) fn run(command: SecretCommand) -> Result<(), CliError> {
    match command {
        SecretCommand::Set { name, ask } => set(&name, &ask),
        SecretCommand::List { ask } => list(&ask),
        SecretCommand::Rm { name, ask } => remove(&name, &ask),
    }
}

fn path(name: &SecretName) -> String {
    format!("/v1/secrets/{}", encode(name.as_str()))
}

fn set(name: &SecretName, ask: &AskArgs) -> Result<(), CliError> {
    // Reached first: nobody should type a value for nothing.
    let reached = reach::server_or_folder(ask.data.as_deref())?;
    let value = read_value(name)?;
    match reached {
        Reached::Server(client) => client.put_json(&path(name), &SecretValue { value })?,
        Reached::Folder(folder) => Vault::open(&folder)?.set_secret(name, &value, now())?,
    }
    let mut out = out(ask.json);
    match out.format {
        Format::Json => out.json(&serde_json::json!({ "name": name })),
        Format::Text => out.line(&format!("{name} is set")),
    }
}

fn list(ask: &AskArgs) -> Result<(), CliError> {
    let list = match reach::server_or_folder(ask.data.as_deref())? {
        Reached::Server(client) => client.get("/v1/secrets", Query::default())?,
        Reached::Folder(folder) => SecretList {
            secrets: Vault::open(&folder)?
                .secret_names()
                .into_iter()
                .map(|(name, at)| SecretEntry {
                    name,
                    updated_at: at.into(),
                })
                .collect(),
        },
    };
    let mut out = out(ask.json);
    if out.format == Format::Json {
        return out.json(&list);
    }
    if list.secrets.is_empty() {
        return out.line("No secrets.");
    }
    let now = now();
    let row = |secret: &SecretEntry| {
        vec![
            (Tone::Bold, secret.name.to_string()),
            (Tone::Dim, words::relative(secret.updated_at.0, now)),
        ]
    };
    let rows = list.secrets.iter().map(row).collect();
    out.table(&["SECRET", "SET"], rows)
}

fn remove(name: &SecretName, ask: &AskArgs) -> Result<(), CliError> {
    match reach::server_or_folder(ask.data.as_deref())? {
        Reached::Server(client) => client.delete(&path(name))?,
        Reached::Folder(folder) => {
            if !Vault::open(&folder)?.remove_secret(name)? {
                return Err(CliError::Refused(super::key::not_found("secret", name)));
            }
        }
    }
    let mut out = out(ask.json);
    match out.format {
        Format::Json => out.json(&serde_json::json!({ "removed": name })),
        Format::Text => out.line(&format!("{name} is removed")),
    }
}

/// The value: typed unseen at a terminal, otherwise all of standard input without one line break
/// at its end.
fn read_value(name: &SecretName) -> Result<String, CliError> {
    let unreadable = || CliError::file("read the value from standard input");
    let text = if io::stdin().is_terminal() {
        ask_unseen(name).map_err(unreadable())?
    } else {
        let mut bytes = Vec::new();
        let mut stdin = io::stdin().lock().take(limits::MAX_SECRET as u64 + 2);
        stdin.read_to_end(&mut bytes).map_err(unreadable())?;
        String::from_utf8(bytes).map_err(|_| CliError::Input {
            message: "the value is no UTF-8 text".to_owned(),
            help: Some("encode it, with base64 for example".to_owned()),
        })?
    };
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(value.strip_suffix('\r').unwrap_or(value).to_owned())
}

/// Asks at the terminal without showing what is typed.
fn ask_unseen(name: &SecretName) -> io::Result<String> {
    let mut stderr = io::stderr();
    write!(stderr, "Value of {name}: ")?;
    stderr.flush()?;
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    unseen.local_modes.insert(LocalModes::ECHONL);
    tcsetattr(&stdin, OptionalActions::Flush, &unseen)?;
    let mut text = String::new();
    let read = stdin.read_line(&mut text);
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    read.map(|_| text)
}
