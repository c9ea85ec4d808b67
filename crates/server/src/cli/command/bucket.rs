//! `bucket`.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};
use wakeful_core::{limits, name::BucketName};

use super::{is_dash, now, out};
use crate::{
    admin::model::{BucketList, ObjectEntry, ObjectList},
    cli::{
        args::{AskArgs, BucketCommand},
        client::{Query, encode, encode_key},
        error::CliError,
        out::{Format, Tone},
        reach, words,
    },
};

/// Smaller transfers are over before a bar could be read, bytes.
const WORTH_A_BAR: u64 = 4 * 1024 * 1024;

pub(super) fn run(command: BucketCommand) -> Result<(), CliError> {
    match command {
        BucketCommand::Ls {
            bucket: None, ask, ..
        } => buckets(&ask),
        BucketCommand::Ls {
            bucket: Some(bucket),
            prefix,
            limit,
            ask,
        } => list(&bucket, &prefix, limit as usize, &ask),
        BucketCommand::Put {
            bucket,
            file,
            key,
            content_type,
            ask,
        } => put(&bucket, &file, key, content_type, &ask),
        BucketCommand::Get {
            bucket,
            key,
            file,
            ask,
        } => get(&bucket, &key, file, &ask),
        BucketCommand::Rm { bucket, keys, ask } => remove(&bucket, &keys, &ask),
    }
}

fn objects(bucket: &BucketName) -> String {
    format!("/v1/buckets/{}/objects", encode(bucket.as_str()))
}

fn object(bucket: &BucketName, key: &str) -> String {
    format!("{}/{}", objects(bucket), encode_key(key))
}

fn buckets(ask: &AskArgs) -> Result<(), CliError> {
    let client = reach::server(ask.data.as_deref())?;
    let list: BucketList = client.get("/v1/buckets", Query::default())?;
    let mut out = out(ask.json);
    if out.format == Format::Json {
        return out.json(&list);
    }
    if list.buckets.is_empty() {
        return out.line("The project declares no buckets.");
    }
    for bucket in &list.buckets {
        out.line(bucket.name.as_str())?;
    }
    Ok(())
}

fn list(bucket: &BucketName, prefix: &str, limit: usize, ask: &AskArgs) -> Result<(), CliError> {
    let client = reach::server(ask.data.as_deref())?;
    let mut all = ObjectList {
        objects: Vec::new(),
        prefixes: Vec::new(),
        next: None,
    };
    loop {
        let room = limit - all.objects.len();
        let query = Query::default()
            .with("prefix", Some(prefix).filter(|prefix| !prefix.is_empty()))
            .with("after", all.next.as_deref())
            .with("limit", Some(room.min(limits::MAX_ADMIN_PAGE)));
        let page: ObjectList = client.get(&objects(bucket), query)?;
        all.objects.extend(page.objects);
        all.next = page.next;
        if all.next.is_none() || all.objects.len() >= limit {
            break;
        }
    }
    let mut out = out(ask.json);
    if out.format == Format::Json {
        return out.json(&all);
    }
    if all.objects.is_empty() {
        return out.line("No objects.");
    }
    let now = now();
    let row = |object: &ObjectEntry| {
        vec![
            (Tone::Bold, words::one_line(&object.key)),
            (Tone::Plain, words::bytes(object.size)),
            (
                Tone::Plain,
                words::one_line(object.content_type.as_deref().unwrap_or_default()),
            ),
            (Tone::Dim, words::relative(object.modified.0, now)),
        ]
    };
    let rows = all.objects.iter().map(row).collect();
    out.table(&["KEY", "SIZE", "TYPE", "MODIFIED"], rows)?;
    if all.next.is_some() {
        out.line(&out.paint(Tone::Dim, "There are more: see them with --limit."))?;
    }
    Ok(())
}

fn put(
    bucket: &BucketName,
    file: &Path,
    key: Option<String>,
    content_type: Option<String>,
    ask: &AskArgs,
) -> Result<(), CliError> {
    let key = match key {
        Some(key) => key,
        None => key_of(file)?,
    };
    let client = reach::server(ask.data.as_deref())?;
    let guessed = || mime_guess::from_path(&key).first_raw().map(str::to_owned);
    let kind = content_type.or_else(guessed);
    let path = object(bucket, &key);
    let entry: ObjectEntry = if is_dash(file) {
        let mut stdin = io::stdin().lock();
        client.upload(&path, kind.as_deref(), None, &mut stdin)?
    } else {
        let shown = file.display();
        let unreadable =
            |cause: io::Error| CliError::input(format!("{shown} cannot be read: {cause}"));
        let source = File::open(file).map_err(unreadable)?;
        let meta = source.metadata().map_err(unreadable)?;
        if meta.is_dir() {
            return Err(CliError::input(format!(
                "{shown} is a folder: put its files one by one"
            )));
        }
        // What is no plain file (a pipe, say) has no length to announce.
        let length = meta.is_file().then_some(meta.len());
        let bar = bar(&key, length);
        let mut body = bar.wrap_read(source);
        let entry = client.upload(&path, kind.as_deref(), length, &mut body);
        bar.finish_and_clear();
        entry?
    };
    let mut out = out(ask.json);
    match out.format {
        Format::Json => out.json(&entry),
        Format::Text => {
            let size = words::bytes(entry.size);
            out.line(&words::one_line(&format!(
                "{bucket}/{} ({size})",
                entry.key
            )))
        }
    }
}

fn key_of(file: &Path) -> Result<String, CliError> {
    let unnamed = |message: String| CliError::Input {
        message,
        help: Some("give one with --key".to_owned()),
    };
    if is_dash(file) {
        return Err(unnamed(
            "what comes from standard input has no name to be its key".to_owned(),
        ));
    }
    let name = file.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| unnamed(format!("no key can be made of {}", file.display())))
}

fn get(
    bucket: &BucketName,
    key: &str,
    file: Option<PathBuf>,
    ask: &AskArgs,
) -> Result<(), CliError> {
    let file = match file {
        Some(file) => file,
        None => PathBuf::from(file_of(key)?),
    };
    let client = reach::server(ask.data.as_deref())?;
    let response = client.stream(&object(bucket, key), Query::default())?;
    let length = response.body().content_length();
    let mut body = response
        .into_body()
        .into_with_config()
        .limit(u64::MAX)
        .reader();
    let mut out = out(ask.json);
    if is_dash(&file) {
        copy(&mut body, |bytes| out.bytes(bytes))?;
        return out.flush();
    }
    let bar = bar(key, length);
    let written = save(&mut bar.wrap_read(body), &file);
    bar.finish_and_clear();
    let written = written?;
    match out.format {
        Format::Json => out.json(&serde_json::json!({ "key": key, "file": file, "size": written })),
        Format::Text => {
            let size = words::bytes(written);
            out.line(&words::one_line(&format!("{} ({size})", file.display())))
        }
    }
}

/// The last part of a key, as a file name; never a way out of this folder.
fn file_of(key: &str) -> Result<&str, CliError> {
    let name = key.rsplit('/').next().unwrap_or_default();
    if matches!(name, "" | "." | ".." | "-") || name.contains('\0') {
        return Err(CliError::Input {
            message: format!(
                "no file name can be made of the key `{}`",
                words::one_line(key)
            ),
            help: Some("name the file".to_owned()),
        });
    }
    Ok(name)
}

/// Writes to a file that takes its place once it is whole.
fn save(body: &mut dyn Read, file: &Path) -> Result<u64, CliError> {
    let shown = file.display();
    if fs::metadata(file).is_ok_and(|meta| !meta.is_file()) {
        // A device or a pipe is written as it is; a folder is refused by the system.
        let mut target = File::options()
            .write(true)
            .open(file)
            .map_err(CliError::file(format!("write {shown}")))?;
        return copy(body, |bytes| {
            target
                .write_all(bytes)
                .map_err(CliError::file(format!("write {shown}")))
        });
    }
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut target = tempfile::Builder::new()
        .prefix(".wakeful-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(CliError::file(format!("write {shown}")))?;
    let written = copy(body, |bytes| {
        target
            .write_all(bytes)
            .map_err(CliError::file(format!("write {shown}")))
    })?;
    let placed = target.persist(file).map_err(|error| error.error);
    placed.map_err(CliError::file(format!("write {shown}")))?;
    Ok(written)
}

/// Hands over what comes, piece by piece; how many bytes there were.
fn copy(
    body: &mut dyn Read,
    mut sink: impl FnMut(&[u8]) -> Result<(), CliError>,
) -> Result<u64, CliError> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let count = body.read(&mut buffer).map_err(|cause| CliError::Broken {
            doing: "the object broke off on its way".to_owned(),
            cause: cause.to_string(),
        })?;
        if count == 0 {
            return Ok(total);
        }
        sink(&buffer[..count])?;
        total += count as u64;
    }
}

fn remove(bucket: &BucketName, keys: &[String], ask: &AskArgs) -> Result<(), CliError> {
    let client = reach::server(ask.data.as_deref())?;
    let mut out = out(ask.json);
    let mut removed = Vec::new();
    for key in keys {
        client.delete(&object(bucket, key))?;
        removed.push(key);
        if out.format == Format::Text {
            out.line(&words::one_line(&format!("{bucket}/{key} removed")))?;
        }
    }
    match out.format {
        Format::Json => out.json(&serde_json::json!({ "removed": removed })),
        Format::Text => Ok(()),
    }
}

/// A bar on standard error, where it is a terminal and the transfer is large enough.
fn bar(name: &str, length: Option<u64>) -> ProgressBar {
    let wanted = length.is_none_or(|length| length >= WORTH_A_BAR);
    if !wanted || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ),
        None => (ProgressBar::new_spinner(), "{msg} {bytes} {bytes_per_sec}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(words::brief(name, 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_stay_in_this_folder() {
        for (key, expected) in [
            ("cat.jpg", Some("cat.jpg")),
            ("a/b/cat.jpg", Some("cat.jpg")),
            ("/etc/passwd", Some("passwd")),
            ("a/..", None),
            ("a/", None),
            ("-", None),
            ("a\0b", None),
        ] {
            assert_eq!(file_of(key).ok(), expected, "{key}");
        }
    }
}
