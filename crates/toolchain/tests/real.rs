//! The real thing: Node 24 through the real npm, and a real package. What was fetched stays in
//! target/, so that only the first run takes long.

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use wakeful_core::project::NodeMajor;
use wakeful_toolchain::{
    Installed, NodeFrom, NodeInstall, NpmFailureKind, Options, PackageError, Progress, Scripts,
    Toolchain, install_packages,
};

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn started(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }

    fn step(&self, _: &str) {}

    fn done(&self, _: Duration) {}
}

/// A folder for PATH with nothing but npm and a shell, so that a Node 24 of this machine is not
/// found.
fn path_with_npm_only(folder: &Path) -> OsString {
    let npm = folder.join("npm");
    let real = std::env::var("PATH").unwrap();
    let script = format!("#!/bin/sh\nPATH='{real}' exec npm \"$@\"\n");
    fs::write(&npm, script).unwrap();
    fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/bin/sh", folder.join("sh")).unwrap();
    folder.as_os_str().to_owned()
}

async fn node_24(path: &OsString, heard: &Arc<Heard>) -> NodeInstall {
    let options = Options {
        cache: Path::new(env!("CARGO_TARGET_TMPDIR")).join("toolchain"),
        path: path.clone(),
        progress: heard.clone(),
    };
    Toolchain::new(options).node(NodeMajor::V24).await.unwrap()
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn node_24_is_fetched_runs_and_installs_a_package() {
    let bin = tempfile::tempdir().unwrap();
    let path = path_with_npm_only(bin.path());
    let heard = Arc::new(Heard::default());
    let install = node_24(&path, &heard).await;
    assert_eq!(install.from, NodeFrom::Fetched);
    let version = output(Command::new(&install.node).arg("--version"));
    assert_eq!(version, format!("v{}", install.version));
    assert!(version.starts_with("v24."));

    let again = Arc::new(Heard::default());
    assert_eq!(node_24(&path, &again).await.node, install.node);
    assert_eq!(
        *again.0.lock().unwrap(),
        Vec::<String>::new(),
        "the cache is used"
    );

    let folder = project();
    let report = install_packages(folder.path(), &install.npm, &Scripts::None).await;
    assert_eq!(report.unwrap().did, Installed::FromLock);
    let script = "console.log(require('is-number')('5'))";
    let mut command = Command::new(&install.node);
    let said = output(command.args(["-e", script]).current_dir(folder.path()));
    assert_eq!(said, "true");
    let report = install_packages(folder.path(), &install.npm, &Scripts::None).await;
    assert_eq!(report.unwrap().did, Installed::UpToDate);

    // The same package with another hash is refused.
    fs::remove_dir_all(folder.path().join("node_modules")).unwrap();
    let lock = folder.path().join("package-lock.json");
    let right = fs::read_to_string(&lock).unwrap();
    let wrong = fs::read_to_string(&lock)
        .unwrap()
        .replace("-41Cifk", "-52Cifk");
    fs::write(&lock, wrong).unwrap();
    let error = install_packages(folder.path(), &install.npm, &Scripts::None).await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("does not match its hash (EINTEGRITY)"),
        "{text}"
    );
    let file: PathBuf = text.rsplit(" is in ").next().unwrap().into();
    assert!(fs::read_to_string(file).unwrap().contains("EINTEGRITY"));

    // What works goes on working when a change of it fails.
    fs::write(&lock, &right).unwrap();
    let report = install_packages(folder.path(), &install.npm, &Scripts::None).await;
    assert_eq!(report.unwrap().did, Installed::FromLock);
    for (file, good) in [("package.json", PACKAGE), ("package-lock.json", &right)] {
        let bad = good.replace("7.0.0", "7.0.999");
        fs::write(folder.path().join(file), bad).unwrap();
    }
    let error = install_packages(folder.path(), &install.npm, &Scripts::None).await;
    error.unwrap_err();
    assert_eq!(output(&mut command), "true");
    assert_eq!(
        lock_version(&lock),
        "7.0.999",
        "npm leaves the lock file alone"
    );
}

#[tokio::test]
async fn an_install_script_runs_only_when_its_package_is_named() {
    let bin = tempfile::tempdir().unwrap();
    let path = path_with_npm_only(bin.path());
    let install = node_24(&path, &Arc::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let dependency = folder.path().join("dependency");
    fs::create_dir(&dependency).unwrap();
    let script = "require('fs').writeFileSync('ran', process.version)";
    let package = format!(
        r#"{{"name":"builds","version":"1.0.0","scripts":{{"install":"node -e \"{script}\""}}}}"#
    );
    fs::write(dependency.join("package.json"), package).unwrap();
    let mut pack = install.npm.command(&dependency).unwrap();
    pack.args(["pack", "--pack-destination", ".."]);
    output(pack.as_std_mut());
    let package = r#"{"private":true,"dependencies":{"builds":"file:builds-1.0.0.tgz"}}"#;
    fs::write(folder.path().join("package.json"), package).unwrap();

    let ran = folder.path().join("node_modules/builds/ran");
    let report = install_packages(folder.path(), &install.npm, &Scripts::None).await;
    let report = report.unwrap();
    assert_eq!(report.did, Installed::Resolved);
    assert_eq!(report.scripts_not_run, ["builds"]);
    assert!(!ran.exists());

    let allowed = Scripts::Allowed(["builds".to_owned()].into());
    let report = install_packages(folder.path(), &install.npm, &allowed).await;
    assert_eq!(report.unwrap().scripts_not_run, Vec::<String>::new());
    let version = fs::read_to_string(ran).unwrap();
    assert_eq!(version, format!("v{}", install.version));
}

/// A registry on loopback that knows version 1.0.0 of `old` and nothing else.
fn registry() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap());
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap_or_default();
    // The rest of the request is read, so that closing does not reset the connection.
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let (status, body) = if first.starts_with("GET /old ") {
        let dist = r#"{"tarball":"http://127.0.0.1/old.tgz","integrity":"sha512-AAAA"}"#;
        let version = format!(r#"{{"name":"old","version":"1.0.0","dist":{dist}}}"#);
        let tags = r#""dist-tags":{"latest":"1.0.0"}"#;
        (
            "200 OK",
            format!(r#"{{"name":"old",{tags},"versions":{{"1.0.0":{version}}}}}"#),
        )
    } else {
        ("404 Not Found", r#"{"error":"not found"}"#.to_owned())
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n");
    let rest = format!("content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all((head + &rest).as_bytes()).unwrap();
}

#[tokio::test]
async fn what_the_real_npm_says_is_understood() {
    let bin = tempfile::tempdir().unwrap();
    let path = path_with_npm_only(bin.path());
    let install = node_24(&path, &Arc::default()).await;
    let working = registry();
    // Nobody listens there any more.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = socket.local_addr().unwrap();
    drop(socket);
    let check = async |registry: SocketAddr, wants: &str, kind: NpmFailureKind, part: &str| {
        let folder = tempfile::tempdir().unwrap();
        let package = format!(r#"{{"private":true,"dependencies":{{{wants}}}}}"#);
        fs::write(folder.path().join("package.json"), package).unwrap();
        fs::write(
            folder.path().join(".npmrc"),
            format!("registry=http://{registry}/\n"),
        )
        .unwrap();
        let error = install_packages(folder.path(), &install.npm, &Scripts::None).await;
        let error = error.unwrap_err();
        let PackageError::Npm { failure, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(failure.kind, kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    let missing = NpmFailureKind::NoSuchPackage("@no/such".into());
    check(
        working,
        r#""@no/such":"^1""#,
        missing,
        "no package `@no/such` (E404)",
    )
    .await;
    let version = NpmFailureKind::NoSuchVersion("old@^2".into());
    check(
        working,
        r#""old":"^2""#,
        version,
        "no version fits `old@^2` (ETARGET)",
    )
    .await;
    check(
        closed,
        r#""unknown":"1""#,
        NpmFailureKind::Network,
        "ECONNREFUSED",
    )
    .await;
}

const PACKAGE: &str = r#"{"private":true,"dependencies":{"is-number":"7.0.0"}}"#;

/// What a lock file says of the one package.
fn lock_version(lock: &Path) -> String {
    let text = fs::read_to_string(lock).unwrap();
    let rest = text.split_once("\"version\":\"").unwrap().1;
    rest.split_once('"').unwrap().0.to_owned()
}

/// A folder that asks for one small package, with a lock file that names its hash.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lock = r#"{"lockfileVersion":3,"requires":true,"packages":{
        "":{"dependencies":{"is-number":"7.0.0"}},
        "node_modules/is-number":{"version":"7.0.0","license":"MIT","integrity":
        "sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng=="}}}"#;
    fs::write(folder.path().join("package.json"), PACKAGE).unwrap();
    fs::write(folder.path().join("package-lock.json"), lock).unwrap();
    folder
}
