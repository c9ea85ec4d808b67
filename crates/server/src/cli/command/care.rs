//! `doctor`, `backup` and `restore`.

use std::{
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use wakeful_store::{
    backup::{self, BackupError, Source, Summary, WithHistory},
    doctor::{self, Depth, DoctorError, Remedy, Report, Verdict},
};

use super::{data_folder, now, out};
use crate::{
    admin::model::{BackupInfo, BackupOrder},
    cli::{
        args::{BackupArgs, DoctorArgs, RestoreArgs},
        error::{CliError, Unsound},
        out::{Format, Out, Tone},
        reach::{self, Reached},
        words,
    },
    clock::SystemClock,
};

pub(super) fn doctor(args: DoctorArgs) -> Result<(), CliError> {
    let folder = here(args.data)?;
    let depth = if args.deep {
        Depth::Deep
    } else {
        Depth::Normal
    };
    let mut out = out(args.json);
    let mut progress = Progress::new();
    if let Some(into) = &args.salvage {
        let done = doctor::salvage(&folder, into, now(), &mut |step| {
            progress.show(&step.step.to_string(), step.done, step.total);
        })?;
        progress.clear();
        if out.format == Format::Json {
            return out.json(&done);
        }
        let kept = words::count(done.kept.events, "event", "events");
        let deliveries = words::count(done.kept.deliveries, "delivery", "deliveries");
        out.line(&format!("{} has {kept} and {deliveries}", into.display()))?;
        return findings(&mut out, &done.lost, done.more);
    }
    let report = doctor::examine(&folder, depth, now(), &mut |step| {
        progress.show(&step.step.to_string(), step.done, step.total);
    })?;
    let repairs = args.repair && report.verdict() != Verdict::Clean;
    if !repairs {
        progress.clear();
        match out.format {
            Format::Json => out.json(&report)?,
            Format::Text => show(&mut out, &report)?,
        }
        return verdict(report.verdict());
    }
    let repaired = doctor::repair(&folder, &report, now(), &mut |step| {
        progress.show(&step.step.to_string(), step.done, step.total);
    })?;
    progress.clear();
    match out.format {
        Format::Json => out.json(&repaired)?,
        Format::Text => {
            for done in &repaired.done {
                let line = format!("repaired: {}", words::one_line(&done.what));
                out.line(&out.paint(Tone::Good, &line))?;
            }
            show(&mut out, &repaired.left)?;
        }
    }
    verdict(repaired.verdict())
}

fn verdict(verdict: Verdict) -> Result<(), CliError> {
    match verdict {
        Verdict::Clean => Ok(()),
        Verdict::Repairable => Err(CliError::Unsound(Unsound::Repairable)),
        Verdict::Damaged => Err(CliError::Unsound(Unsound::Damaged)),
    }
}

fn show(out: &mut Out, report: &Report) -> Result<(), CliError> {
    let checked = &report.checked;
    out.line(&words::one_line(&format!(
        "{} (format {}): {}, {}, {}, {}",
        report.folder.display(),
        report.format,
        words::count(checked.events, "event", "events"),
        words::count(checked.deliveries, "delivery", "deliveries"),
        words::count(checked.objects, "object", "objects"),
        words::bytes(checked.bytes),
    )))?;
    findings(out, &report.findings, report.more)?;
    let (tone, text) = match report.verdict() {
        Verdict::Clean => (Tone::Good, "Nothing is damaged."),
        Verdict::Repairable => (
            Tone::Warn,
            "All of this can be mended without loss: run `wakeful doctor --repair`.",
        ),
        Verdict::Damaged => (Tone::Bad, "There is damage that cannot be mended."),
    };
    out.line(&out.paint(tone, text))
}

fn findings(out: &mut Out, findings: &[doctor::Finding], more: u64) -> Result<(), CliError> {
    for finding in findings {
        let (tone, remedy) = match &finding.remedy {
            Remedy::None => (Tone::Dim, None),
            Remedy::Repair(how) => (Tone::Warn, Some(how)),
            Remedy::Person(what) => (Tone::Bad, Some(what)),
        };
        let head = format!("{}  {}", finding.code.as_str(), finding.place);
        out.line(&out.paint(tone, &words::one_line(&head)))?;
        out.line(&format!("  {}", words::one_line(&finding.what)))?;
        if !finding.consequence.is_empty() {
            out.line(&format!("  {}", words::one_line(&finding.consequence)))?;
        }
        if let Some(remedy) = remedy {
            out.line(&format!("  → {}", words::one_line(remedy)))?;
        }
    }
    match more {
        0 => Ok(()),
        more => out.line(&out.paint(Tone::Dim, &format!("… and {more} more"))),
    }
}

pub(super) fn backup(args: &BackupArgs) -> Result<(), CliError> {
    let to = std::path::absolute(&args.to)
        .map_err(CliError::file(format!("find {}", args.to.display())))?;
    let info = match reach::server_or_folder(args.ask.data.as_deref())? {
        Reached::Server(client) => {
            let order = BackupOrder {
                to,
                history: !args.no_history,
            };
            client.post_json("/v1/backups", &order)?
        }
        Reached::Folder(folder) => offline(&folder, &to, !args.no_history)?,
    };
    summarise(args.ask.json, &info)
}

fn offline(folder: &Path, to: &Path, history: bool) -> Result<BackupInfo, CliError> {
    let history = if history {
        WithHistory::Yes
    } else {
        WithHistory::No
    };
    let mut progress = Progress::new();
    let done = backup::take(Source::Stopped(folder), to, history, now(), &mut |part| {
        progress.show(&part.part.to_string(), part.done, Some(part.total));
        ControlFlow::Continue(())
    });
    progress.clear();
    Ok(BackupInfo::of(to, done?))
}

pub(super) fn restore(args: RestoreArgs) -> Result<(), CliError> {
    let mut progress = Progress::new();
    let mut watch = |part: backup::Progress| {
        progress.show(&part.part.to_string(), part.done, Some(part.total));
        ControlFlow::Continue(())
    };
    let (place, done): (PathBuf, Result<Summary, BackupError>) = match args.verify {
        true => (args.from.clone(), backup::verify(&args.from, &mut watch)),
        false => {
            let folder = here(args.data)?;
            let done = backup::restore(&args.from, &folder, Arc::new(SystemClock), &mut watch);
            (folder, done)
        }
    };
    progress.clear();
    summarise(args.json, &BackupInfo::of(&place, done?))
}

fn summarise(json: bool, info: &BackupInfo) -> Result<(), CliError> {
    let mut out = out(json);
    if out.format == Format::Json {
        return out.json(info);
    }
    out.line(&words::one_line(&format!(
        "{}: as of {}, {}, {}, {}",
        info.folder.display(),
        words::date_time(info.at.0),
        words::count(info.files, "file", "files"),
        words::bytes(info.bytes),
        words::count(info.objects, "object", "objects"),
    )))?;
    for finding in &info.damage {
        let text = format!("{}: {}", finding.place, finding.what);
        out.line(&out.paint(Tone::Bad, &words::one_line(&text)))?;
    }
    Ok(())
}

/// The data folder that was named, or that of the project around here.
fn here(named: Option<PathBuf>) -> Result<PathBuf, CliError> {
    if let Some(named) = named.filter(|folder| !folder.as_os_str().is_empty()) {
        return Ok(named);
    }
    match reach::folder_around() {
        Some(folder) => Ok(folder),
        None => Ok(data_folder(None, Path::new("."))),
    }
}

/// One line on standard error that is written over, where it is a terminal.
struct Progress {
    shown: bool,
    last: String,
}

impl Progress {
    fn new() -> Self {
        Self {
            shown: io::stderr().is_terminal(),
            last: String::new(),
        }
    }

    fn show(&mut self, what: &str, done: u64, total: Option<u64>) {
        if !self.shown {
            return;
        }
        let line = match total.filter(|total| *total > 0) {
            Some(total) => format!("{what} … {} %", done.saturating_mul(100) / total),
            None => format!("{what} …"),
        };
        if line != self.last {
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
            let _ = io::stderr().flush();
            self.last = line;
        }
    }

    fn clear(&mut self) {
        if self.shown && !self.last.is_empty() {
            let _ = write!(io::stderr(), "\r\x1b[K");
            self.last.clear();
        }
    }
}

impl From<DoctorError> for CliError {
    fn from(error: DoctorError) -> Self {
        Self::Folder {
            in_use: matches!(error, DoctorError::InUse { .. }),
            message: error.to_string(),
        }
    }
}

impl From<BackupError> for CliError {
    fn from(error: BackupError) -> Self {
        Self::Folder {
            in_use: matches!(error, BackupError::InUse { .. }),
            message: error.to_string(),
        }
    }
}
