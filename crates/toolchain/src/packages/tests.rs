use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use wakeful_core::project::NodeMajor;

use super::{PackageError, install::Install, *};
use crate::{
    error::ToolchainError,
    npm::{For, How, Npm},
    npm_failure::NpmFailureKind,
    process::{Bound, Bounds},
    testing::{Heard, Machine, write_program},
};

const PACKAGE: &str = r#"{"dependencies":{"a":"1"}}"#;
const LOCK: &str = r#"{"lockfileVersion":3,"packages":{"":{"dependencies":{"a":"1"}}}}"#;
/// Says what it was asked for, and makes a package with and one without an install script.
const WORKS: &str = r#"echo "$@" >> calls
mkdir -p node_modules
echo '{"packages":{"node_modules/a":{"hasInstallScript":true},"node_modules/a/node_modules/@s/b":{"hasInstallScript":true},"node_modules/c":{}}}' > node_modules/.package-lock.json"#;

/// A folder with a package.json, and an npm that is a shell script.
struct Case {
    folder: TempDir,
    machine: Machine,
    heard: Arc<Heard>,
}

impl Case {
    fn new(npm: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("package.json"), PACKAGE).unwrap();
        Self {
            folder,
            machine: Machine::new().program("npm", npm),
            heard: Arc::default(),
        }
    }

    fn with(self, file: &str, text: &str) -> Self {
        fs::write(self.path(file), text).unwrap();
        self
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn npm(&self, how: Result<How, ToolchainError>, major: NodeMajor) -> Npm {
        let of = For {
            node: &self.machine.bin().join("node"),
            major,
            path: &self.machine.path(),
            cache: &self.machine.cache(),
            progress: &(self.heard.clone() as Arc<dyn crate::progress::Progress>),
        };
        Npm::new(how, &of)
    }

    async fn install(&self) -> Result<PackageReport, PackageError> {
        self.install_with(NodeMajor::V24, &Scripts::None).await
    }

    async fn install_with(
        &self,
        major: NodeMajor,
        scripts: &Scripts,
    ) -> Result<PackageReport, PackageError> {
        let how = How::Program(self.machine.bin().join("npm"));
        let install = Install {
            folder: self.folder.path(),
            npm: &self.npm(Ok(how), major),
            scripts,
            bounds: Bounds {
                still: Duration::from_secs(2),
                whole: Duration::from_secs(30),
            },
            other_install: Duration::from_secs(30),
        };
        install.run().await
    }

    /// The npm commands that were run, each with its options.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

fn allowed(names: &[&str]) -> Scripts {
    Scripts::Allowed(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn a_lock_file_that_fits_is_followed_and_else_npm_resolves() {
    let other = LOCK.replace("\"1\"", "\"2\"");
    for (lock, did, command) in [
        (Some(LOCK), Installed::FromLock, "ci "),
        (Some(other.as_str()), Installed::Resolved, "install "),
        (None, Installed::Resolved, "install "),
    ] {
        let mut case = Case::new(WORKS);
        if let Some(lock) = lock {
            case = case.with("package-lock.json", lock);
        }
        assert_eq!(case.install().await.unwrap().did, did);
        let calls = case.calls();
        assert_eq!(calls.len(), 1);
        assert!(calls[0].starts_with(command), "{calls:?}");
        for option in [
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-progress",
            "--prefer-offline",
        ] {
            assert!(calls[0].contains(option), "{option} in {calls:?}");
        }
    }
}

#[tokio::test]
async fn nothing_is_done_twice_until_something_changes() {
    let case = Case::new(WORKS);
    let mut runs = 0;
    let mut check = async |major, scripts: &Scripts, expected: bool, why: &str| {
        let report = case.install_with(major, scripts).await.unwrap();
        runs += usize::from(expected);
        let installs = case
            .calls()
            .iter()
            .filter(|call| call.starts_with("install"))
            .count();
        assert_eq!(installs, runs, "{why}");
        assert_eq!(report.did != Installed::UpToDate, expected, "{why}");
    };
    let none = Scripts::None;
    check(NodeMajor::V24, &none, true, "first").await;
    check(NodeMajor::V24, &none, false, "same").await;
    check(NodeMajor::V22, &none, true, "other Node").await;
    check(NodeMajor::V22, &allowed(&["a"]), true, "other scripts").await;
    check(NodeMajor::V22, &allowed(&["a"]), false, "same scripts").await;
    fs::write(case.path("package.json"), PACKAGE.replace('1', "2")).unwrap();
    check(NodeMajor::V22, &allowed(&["a"]), true, "other package.json").await;
    fs::write(case.path("package-lock.json"), LOCK).unwrap();
    check(NodeMajor::V22, &allowed(&["a"]), true, "other lock file").await;
    fs::remove_dir_all(case.path("node_modules")).unwrap();
    check(
        NodeMajor::V22,
        &allowed(&["a"]),
        true,
        "node_modules removed",
    )
    .await;
}

#[tokio::test]
async fn what_is_whole_is_changed_in_place_and_what_was_interrupted_starts_anew() {
    let case = Case::new(WORKS).with("package-lock.json", LOCK);
    let stamp = case.path("node_modules/.wakeful-stamp");
    let check = async |major, command: &str, why: &str| {
        let report = case.install_with(major, &Scripts::None).await.unwrap();
        assert_eq!(report.did, Installed::FromLock, "{why}");
        let calls = case.calls();
        assert!(
            calls.last().unwrap().starts_with(command),
            "{why}: {calls:?}"
        );
    };
    check(NodeMajor::V24, "ci ", "nothing there").await;
    check(NodeMajor::V22, "install --no-audit", "whole").await;
    assert!(case.calls()[1].contains("--no-save"));
    fs::write(&stamp, "installing\n").unwrap();
    fs::write(case.path("node_modules/half"), "").unwrap();
    check(NodeMajor::V22, "ci ", "interrupted").await;
    assert!(!case.path("node_modules/half").exists());
    fs::remove_file(&stamp).unwrap();
    check(NodeMajor::V22, "ci ", "not ours").await;
}

#[tokio::test]
async fn what_worked_stays_when_an_install_fails() {
    let case = Case::new(WORKS).with("package-lock.json", LOCK);
    case.install().await.unwrap();
    write_program(&case.machine.bin().join("npm"), "exit 1");
    case.install_with(NodeMajor::V22, &Scripts::None)
        .await
        .unwrap_err();
    assert!(case.path("node_modules/.package-lock.json").exists());
    write_program(&case.machine.bin().join("npm"), WORKS);
    assert_eq!(case.install().await.unwrap().did, Installed::FromLock);
    assert!(case.calls().last().unwrap().starts_with("install "));
}

#[tokio::test]
async fn a_lock_file_that_npm_writes_belongs_to_what_was_installed() {
    let case = Case::new(&format!("{WORKS}\necho '{LOCK}' > package-lock.json"));
    assert_eq!(case.install().await.unwrap().did, Installed::Resolved);
    assert_eq!(case.install().await.unwrap().did, Installed::UpToDate);
}

#[tokio::test]
async fn without_dependencies_npm_is_not_even_looked_for() {
    let case = Case::new("exit 1").with("package.json", r#"{"type": "module"}"#);
    assert_eq!(case.install().await.unwrap().did, Installed::Nothing);
    assert!(!case.path("node_modules").exists());
}

#[tokio::test]
async fn scripts_run_only_when_named_and_the_others_are_reported() {
    let case = Case::new(WORKS);
    let report = case.install().await.unwrap();
    assert_eq!(report.scripts_not_run, ["@s/b", "a"]);
    let note = report.note().unwrap();
    assert!(
        note.contains("2 packages") && note.contains("(@s/b, a)"),
        "{note}"
    );
    let report = case
        .install_with(NodeMajor::V24, &allowed(&["@s/b", "z"]))
        .await;
    let report = report.unwrap();
    assert_eq!(report.scripts_not_run, ["a"]);
    assert!(report.note().unwrap().contains("script of a was not run"));
    let rebuilds: Vec<String> = case
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("rebuild"))
        .collect();
    assert_eq!(rebuilds.len(), 1);
    assert!(rebuilds[0].ends_with("-- @s/b"), "{rebuilds:?}");
}

#[tokio::test]
async fn two_installs_of_one_folder_never_run_at_once() {
    // The second would fail on the folder that the first has made.
    let case = Case::new(&format!(
        "mkdir busy || exit 9\nsleep 0.5\n{WORKS}\nrmdir busy"
    ));
    let (one, two) = tokio::join!(case.install(), case.install());
    let mut did = [one.unwrap().did, two.unwrap().did];
    did.sort_by_key(|did| *did == Installed::UpToDate);
    assert_eq!(did, [Installed::Resolved, Installed::UpToDate]);
    assert_eq!(case.calls().len(), 1);
    assert!(
        case.heard
            .lines()
            .iter()
            .any(|line| line.starts_with("Waiting for another install"))
    );
}

#[tokio::test]
async fn npms_error_is_told_in_short_and_kept_whole() {
    let script = "echo chatter; echo 'npm error code ETARGET\nnpm error notarget No matching version found for a@1.\nnpm error A complete log of this run' >&2; exit 1";
    let case = Case::new(script);
    let error = case.install().await.unwrap_err();
    let text = error.to_string();
    let PackageError::Npm {
        manifest,
        failure,
        log,
    } = error
    else {
        panic!("{text}");
    };
    assert_eq!(manifest, case.path("package.json"));
    assert_eq!(failure.kind, NpmFailureKind::NoSuchVersion("a@1".into()));
    let log = log.unwrap();
    for part in [
        &*log.to_string_lossy(),
        &*manifest.to_string_lossy(),
        "no version fits `a@1`",
        "npm view",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let kept = fs::read_to_string(log).unwrap();
    assert!(
        kept.contains("npm install") && kept.contains("chatter"),
        "{kept}"
    );
    assert!(kept.contains("A complete log of this run"));
    assert!(!case.path("node_modules/.wakeful-stamp").exists());
}

#[tokio::test]
async fn a_failed_install_is_tried_again_and_its_old_stamp_counts_no_more() {
    let case = Case::new(WORKS);
    case.install().await.unwrap();
    let works = PACKAGE;
    fs::write(case.path("package.json"), PACKAGE.replace('1', "2")).unwrap();
    write_program(
        &case.machine.bin().join("npm"),
        "rm -rf node_modules/a; exit 1",
    );
    case.install().await.unwrap_err();
    // Back to what was installed before: but that is no longer what stands there.
    fs::write(case.path("package.json"), works).unwrap();
    write_program(&case.machine.bin().join("npm"), WORKS);
    assert_eq!(case.install().await.unwrap().did, Installed::Resolved);
}

#[tokio::test]
async fn a_failing_script_names_its_package() {
    let script = format!(
        "case $1 in rebuild) echo 'npm error code 1\nnpm error path /x/node_modules/a\nnpm error command failed\nnpm error command sh -c node build.js\nnpm error boom'; exit 1;; esac\n{WORKS}"
    );
    let case = Case::new(&script);
    let error = case
        .install_with(NodeMajor::V24, &allowed(&["a"]))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the install script of `a` failed"),
        "{error}"
    );
    assert!(!case.path("node_modules/.wakeful-stamp").exists());
}

#[tokio::test]
async fn npm_that_hangs_is_ended() {
    let case = Case::new("echo thinking; sleep 1000");
    let error = case.install().await.unwrap_err();
    let PackageError::Stalled { bound, log, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*bound, Bound::Still(Duration::from_secs(2)));
    let kept = fs::read_to_string(log.as_ref().unwrap()).unwrap();
    assert!(kept.contains("thinking"));
    assert!(
        error.to_string().contains("npm config get registry"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let check = |result: Result<PackageReport, PackageError>, parts: &[&str]| {
        let error = result.unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let text = format!("{error}: {}", source.unwrap_or_default());
        for part in parts {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    };
    let case = Case::new("");
    fs::remove_file(case.path("package.json")).unwrap();
    check(
        case.install().await,
        &["cannot read", "package.json", "No such file"],
    );
    let case = Case::new("").with("package.json", "{ nonsense }");
    check(
        case.install().await,
        &["package.json:1:3: key must be a string", "Mend it"],
    );
    let case = Case::new("");
    fs::remove_file(case.machine.bin().join("npm")).unwrap();
    check(
        case.install().await,
        &["cannot start npm for", "No such file"],
    );
    let none = ToolchainError::NoMatchingNpm {
        node: "/n/node".into(),
        version: "24.0.0".into(),
        why: "there is none on PATH".into(),
    };
    let npm = case.npm(Err(none), NodeMajor::V24);
    let result = install_packages(case.folder.path(), &npm, &Scripts::None).await;
    check(
        result,
        &["cannot install the packages of", "apt-get install npm"],
    );
}

#[tokio::test]
async fn an_unwritable_log_does_not_hide_the_error() {
    let case = Case::new("echo 'npm error code ENOSPC'; exit 1");
    fs::write(case.machine.cache(), "in the way").unwrap();
    let error = case.install().await.unwrap_err();
    let PackageError::Npm { failure, log, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(failure.kind, NpmFailureKind::NoSpace);
    assert_eq!(log.as_deref(), None::<&Path>);
}
