//! The binary, against a server of this process.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use wakeful_core::run::{LogLevel, RunState};
use wakeful_server::{
    addresses::{ADDRESSES_FILE, AddressFile},
    vault::Vault,
};

use crate::rig::Rig;

/// The binary in a folder, with nothing of this process's surroundings that it looks at.
fn wakeful(here: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wakeful"));
    command.current_dir(here).args(args).env("TZ", "UTC");
    for variable in [
        "WAKEFUL_ADMIN",
        "WAKEFUL_KEY",
        "WAKEFUL_DATA",
        "WAKEFUL_MASTER_KEY",
    ] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// A server and a project folder that knows it.
struct Scene {
    rig: Rig,
    project: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let rig = Rig::new();
        let address = rig.listen().await;
        let project = tempfile::tempdir().unwrap();
        let data = project.path().join(".wakeful");
        std::fs::create_dir(&data).unwrap();
        let file = AddressFile {
            http: address,
            admin: address,
            aws: address,
            admin_key: rig.key.clone(),
            aws_access_key: "a".into(),
            aws_secret_key: "s".into(),
            pid: std::process::id(),
        };
        file.write(&data.join(ADDRESSES_FILE)).unwrap();
        Self { rig, project }
    }

    fn here(&self) -> &Path {
        self.project.path()
    }

    /// Runs a command that gets `input`; what it printed.
    async fn run_with(&self, args: &[&str], input: &'static [u8]) -> Output {
        let mut command = wakeful(self.here(), args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let run = move || {
            let mut child = command.spawn().unwrap();
            // It may end without reading.
            let _ = child.stdin.take().unwrap().write_all(input);
            child.wait_with_output().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// What a command that succeeds prints.
    async fn run(&self, args: &[&str]) -> String {
        let output = self.run_with(args, b"").await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn json(&self, args: &[&str]) -> Value {
        let text = self.run(&[args, &["--json"]].concat()).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// The exit code of a command, and what it says on standard error.
    async fn fail(&self, args: &[&str]) -> (i32, String) {
        let output = self.run_with(args, b"").await;
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), errors)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_and_invocations() {
    let scene = Scene::new().await;
    insta::assert_snapshot!(scene.run(&["functions"]).await);
    assert_eq!(
        scene.json(&["functions"]).await["functions"][1]["name"],
        "hello"
    );

    assert_eq!(
        scene.run(&["invoke", "hello", "--data", "\"hi\""]).await,
        "\"hi\"\n"
    );
    assert_eq!(scene.run(&["invoke", "nothing"]).await, "");
    let stored = scene.run(&["invoke", "hello", "--no-wait"]).await;
    assert!(stored.starts_with("evt_"), "{stored}");
    std::fs::write(scene.here().join("event.json"), "{\"a\": 1}").unwrap();
    let result = scene
        .json(&["invoke", "hello", "--event", "event.json"])
        .await;
    assert_eq!(result["result"]["a"], 1);
    let piped = scene
        .run_with(&["invoke", "hello", "--event", "-"], b"7")
        .await;
    assert_eq!(piped.stdout, b"7\n");

    let (code, errors) = scene.fail(&["invoke", "fails"]).await;
    assert_eq!(code, 1);
    assert!(
        errors.contains("TypeError: no such thing") && errors.contains("hello.js:3:9"),
        "{errors}"
    );
    assert!(!errors.contains('\x1b'), "{errors}");
    let output = scene.run_with(&["invoke", "fails", "--json"], b"").await;
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &body["failure"]["name"]),
        (Some(1), &"TypeError".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_logs_and_dead_letters() {
    let scene = Scene::new().await;
    let good = scene.rig.record("hello", RunState::Succeeded, None);
    let (dead, event) = scene.rig.die("hello").await;
    scene
        .rig
        .record_as(dead, "hello", RunState::Dead, Some(event));
    scene
        .rig
        .log("hello", Some(dead), LogLevel::Warn, "careful \x1b[2J");
    let text = scene.run(&["runs"]).await;
    assert!(
        text.contains(&good.to_string()) && text.contains(&dead.to_string()),
        "{text}"
    );
    let text = scene
        .run(&["runs", "--state", "dead", "--function", "hello"])
        .await;
    assert!(
        !text.contains(&good.to_string()) && text.contains("TypeError"),
        "{text}"
    );
    assert_eq!(
        scene.json(&["runs", "--limit", "1"]).await["runs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let shown = scene.run(&["show", &dead.to_string()]).await;
    let stable = shown
        .replace(&dead.to_string(), "run_…")
        .replace(&event.to_string(), "evt_…");
    // How long ago that is depends on the day of the test.
    let stable = stable.lines().filter(|line| !line.starts_with("accepted"));
    insta::assert_snapshot!(stable.collect::<Vec<_>>().join("\n"));
    assert_eq!(
        scene.run(&["dead", "show", &dead.to_string()]).await.len(),
        shown.len()
    );
    // An event is shown by its only run, or by the list of them.
    assert_eq!(
        scene.run(&["show", &event.to_string()]).await.len(),
        shown.len()
    );
    let second = scene
        .rig
        .record("hello", RunState::Succeeded, Some(event))
        .to_string();
    let both = scene.run(&["show", &event.to_string()]).await;
    assert!(
        both.contains(&second) && both.contains(&dead.to_string()) && both.contains("\"size\": 7"),
        "{both}"
    );
    assert!(!both.contains(&good.to_string()), "{both}");

    // No runs is one thing, no such function another.
    let none = scene
        .run(&["runs", "--function", "hello", "--state", "held"])
        .await;
    assert_eq!(none, "No runs.\n");
    let (code, errors) = scene.fail(&["runs", "--function", "nope"]).await;
    assert!(
        code == 1 && errors.contains("there is no function `nope`"),
        "{errors}"
    );

    let logs = scene.run(&["logs", "--level", "warn"]).await;
    assert!(logs.ends_with("warn  hello careful \\u{1b}[2J\n"), "{logs}");
    let line = scene.run(&["logs", "--grep", "careful", "--json"]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap()["level"],
        "warn"
    );

    let text = scene.run(&["dead", "list"]).await;
    assert!(
        text.contains(&dead.to_string()) && text.contains("attempts exhausted"),
        "{text}"
    );
    let text = scene.run(&["dead", "redrive", &dead.to_string()]).await;
    assert_eq!(text, "1 dead letter queued again.\n");
    assert_eq!(scene.run(&["dead", "list"]).await, "No dead letters.\n");
    assert_eq!(
        scene.fail(&["dead", "redrive", &dead.to_string()]).await.0,
        3
    );
    scene.rig.die("hello").await;
    // Nobody is there to agree.
    assert_eq!(scene.fail(&["dead", "discard", "--all"]).await.0, 3);
    let gone = scene.json(&["dead", "discard", "--all", "--yes"]).await;
    assert_eq!(gone["count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_followed_and_the_end_of_the_pipe_is_no_error() {
    let scene = Scene::new().await;
    scene.rig.log("hello", None, LogLevel::Info, "before");
    let mut command = wakeful(scene.here(), &["logs", "-f"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = tokio::task::spawn_blocking(move || (lines.next(), lines))
        .await
        .unwrap();
    assert!(next.0.unwrap().unwrap().ends_with("before"));
    scene.rig.log("hello", None, LogLevel::Info, "after");
    next = tokio::task::spawn_blocking(move || {
        let mut lines = next.1;
        (lines.next(), lines)
    })
    .await
    .unwrap();
    assert!(next.0.unwrap().unwrap().ends_with("after"));
    drop(next.1);
    // The reader is gone: with the next lines it ends, and that is fine.
    let ended = loop {
        scene.rig.log("hello", None, LogLevel::Info, "unread");
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_hears_that_the_server_stopped() {
    let scene = Scene::new().await;
    scene.rig.log("hello", None, LogLevel::Info, "one\ntwo");
    let mut child = wakeful(scene.here(), &["logs", "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (first, second) = tokio::task::spawn_blocking(move || {
        let mut line = || lines.next().unwrap().unwrap();
        (line(), line())
    })
    .await
    .unwrap();
    // Nothing in a line can pass for a line of its own.
    assert!(first.ends_with("one"), "{first}");
    assert_eq!(second, "    two");
    scene.rig.stop.cancel();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let ended = ended.await.unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(4), "{errors}");
    assert!(errors.contains("the server stopped"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_go_in_and_come_out() {
    let scene = Scene::new().await;
    let image: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(scene.here().join("cat ü.jpg"), &image).unwrap();
    let put = scene.run(&["bucket", "put", "photos", "cat ü.jpg"]).await;
    assert_eq!(put, "photos/cat ü.jpg (293.0 KiB)\n");
    let list = scene.json(&["bucket", "ls", "photos"]).await;
    assert_eq!(list["objects"][0]["content_type"], "image/jpeg");
    assert_eq!(list["objects"][0]["size"], 300_000);
    std::fs::remove_file(scene.here().join("cat ü.jpg")).unwrap();
    scene.run(&["bucket", "get", "photos", "cat ü.jpg"]).await;
    assert_eq!(
        std::fs::read(scene.here().join("cat ü.jpg")).unwrap(),
        image
    );
    let piped = scene
        .run_with(&["bucket", "get", "photos", "cat ü.jpg", "-"], b"")
        .await;
    assert_eq!(piped.stdout, image);

    let noted = scene
        .run_with(
            &["bucket", "put", "photos", "-", "--key", "../a/now.txt"],
            b"now",
        )
        .await;
    assert!(noted.status.success(), "{noted:?}");
    let list = scene.json(&["bucket", "ls", "photos", "../"]).await;
    assert_eq!(list["objects"][0]["key"], "../a/now.txt");
    assert_eq!(list["objects"][0]["content_type"], "text/plain");
    assert_eq!(scene.run(&["bucket", "ls"]).await, "photos\n");
    let odd = "a\nb\tc";
    scene
        .run_with(&["bucket", "put", "photos", "-", "--key", odd], b"x")
        .await;
    let list = scene.run(&["bucket", "ls", "photos", "a"]).await;
    assert!(list.contains("a\\nb\\tc  "), "{list}");
    assert_eq!(
        scene.run(&["bucket", "rm", "photos", odd]).await,
        "photos/a\\nb\\tc removed\n"
    );
    scene
        .run(&["bucket", "rm", "photos", "../a/now.txt", "cat ü.jpg"])
        .await;
    assert_eq!(
        scene.run(&["bucket", "ls", "photos"]).await,
        "No objects.\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_keys_with_a_server_and_without() {
    let scene = Scene::new().await;
    let name = "TOKEN".parse().unwrap();
    let set = scene
        .run_with(&["secret", "set", "TOKEN"], b"s3cr3t\n")
        .await;
    assert!(set.status.success(), "{set:?}");
    assert_eq!(
        scene.rig.control.vault.secret(&name).as_deref(),
        Some("s3cr3t")
    );
    assert!(scene.run(&["secret", "list"]).await.contains("TOKEN"));
    scene.run(&["secret", "rm", "TOKEN"]).await;
    assert_eq!(scene.rig.control.vault.secret(&name), None);
    let key = scene.run(&["key", "create", "partner"]).await;
    let known = scene.rig.control.vault.verify_function_key(key.trim());
    assert_eq!(
        known.map(|name| name.to_string()).as_deref(),
        Some("partner")
    );
    assert!(scene.run(&["key", "list"]).await.contains("function"));
    scene.run(&["key", "rm", "partner"]).await;

    // Without a server the vault in the data folder is changed.
    let data = scene.here().join(".wakeful");
    std::fs::remove_file(data.join(ADDRESSES_FILE)).unwrap();
    std::fs::write(scene.here().join("wakeful.toml"), "name = \"x\"\n").unwrap();
    let set = scene
        .run_with(&["secret", "set", "OTHER"], b"two\nlines\n")
        .await;
    assert!(set.status.success(), "{set:?}");
    let key = scene.run(&["key", "create", "laptop", "--admin"]).await;
    assert!(scene.json(&["secret", "list"]).await["secrets"][0]["name"] == "OTHER");
    let vault = Vault::open(&data).unwrap();
    assert_eq!(
        vault.secret(&"OTHER".parse().unwrap()).as_deref(),
        Some("two\nlines")
    );
    assert!(vault.verify_admin_key(key.trim()));
    // Somebody holds the vault, but no server answers.
    let (code, errors) = scene.fail(&["secret", "list"]).await;
    assert_eq!(code, 4, "{errors}");
    drop(vault);
    scene.run(&["secret", "rm", "OTHER"]).await;
    assert_eq!(scene.fail(&["secret", "rm", "OTHER"]).await.0, 1);
}

/// Whoever is still sending hears why it was refused, and not that a pipe broke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_that_is_refused_says_why() {
    const LARGE: &[u8] = &[7; 32 * 1024 * 1024];
    let scene = Scene::new().await;
    std::fs::write(scene.here().join("large.bin"), LARGE).unwrap();
    for args in [
        &["bucket", "put", "nowhere", "large.bin"][..],
        &["bucket", "put", "nowhere", "-", "--key", "k"],
    ] {
        let output = scene.run_with(args, LARGE).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("there is no bucket `nowhere`"), "{errors}");
    }
    // A client that does not ask first.
    let file = AddressFile::read(&scene.here().join(".wakeful").join(ADDRESSES_FILE));
    let admin = file.unwrap().unwrap().admin;
    let key = scene.rig.key.clone();
    let put = move || {
        let url = format!("http://{admin}/v1/buckets/nowhere/objects/k");
        let request = ureq::put(url).header("authorization", format!("Bearer {key}"));
        let request = request
            .config()
            .http_status_as_error(false)
            .proxy(None)
            .build();
        request.send(LARGE).unwrap().status().as_u16()
    };
    assert_eq!(tokio::task::spawn_blocking(put).await.unwrap(), 404);
}

/// Every code of `wakeful --help`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes() {
    let scene = Scene::new().await;
    std::fs::write(scene.here().join("broken.json"), "{").unwrap();
    for (args, expected) in [
        (&["--version"][..], 0),
        (&["--help"], 0),
        (&["functions"], 0),
        (&["invoke", "fails"], 1),
        (&["invoke", "nobody"], 1),
        (&["show", "run_0000000000000"], 1),
        (&["bucket", "get", "photos", "none", "-"], 1),
        (&["bucket", "rm", "photos", "none"], 1),
        (&["secret", "rm", "NONE"], 1),
        (&[], 2),
        (&["dance"], 2),
        (&["runs", "--state", "asleep"], 2),
        (&["show", "nonsense"], 2),
        (&["dead", "redrive"], 2),
        (&["invoke", "hello", "--data", "{"], 3),
        (&["invoke", "hello", "--event", "broken.json"], 3),
        (&["invoke", "hello", "--event", "missing.json"], 3),
        (&["bucket", "put", "photos", "missing.jpg"], 3),
        (&["bucket", "put", "photos", "-"], 3),
        (&["secret", "set", "EMPTY"], 3),
        (&["check"], 3),
        (&["functions", "--data", "/nowhere"], 4),
    ] {
        let (code, errors) = scene.fail(args).await;
        assert_eq!(code, expected, "{args:?}: {errors}");
        assert_eq!(code == 0, errors.is_empty(), "{args:?}: {errors}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let check = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = wakeful(elsewhere.path(), args);
        command.envs(variables.iter().copied());
        command.output().unwrap()
    };
    let admin = {
        let file = AddressFile::read(&scene.here().join(".wakeful").join(ADDRESSES_FILE)).unwrap();
        format!("http://{}", file.unwrap().admin)
    };
    let key = scene.rig.key.clone();
    for (variables, expected) in [
        (&[][..], 4),
        (&[("WAKEFUL_ADMIN", "127.0.0.1:1"), ("WAKEFUL_KEY", "k")], 4),
        (&[("WAKEFUL_DATA", "")], 4),
        (&[("WAKEFUL_ADMIN", admin.as_str())], 5),
        (
            &[("WAKEFUL_ADMIN", admin.as_str()), ("WAKEFUL_KEY", "wrong")],
            5,
        ),
        (
            &[
                ("WAKEFUL_ADMIN", admin.as_str()),
                ("WAKEFUL_KEY", key.as_str()),
            ],
            0,
        ),
    ] {
        let output = check(variables, &["functions", "--json"]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{variables:?}: {errors}"
        );
        if expected != 0 {
            let error: Value = serde_json::from_str(&errors).unwrap();
            assert!(error["error"]["message"].is_string(), "{errors}");
        }
        if variables.contains(&("WAKEFUL_KEY", "wrong")) {
            assert!(errors.contains("this admin key is not known"), "{errors}");
        }
    }
}

/// What its user wrote is refused by a server as `check` refuses it.
#[test]
fn a_server_refuses_wrong_inputs_like_check() {
    const ANY_PORT: [&str; 6] = [
        "--http",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--aws",
        "127.0.0.1:0",
    ];
    let database = |url: &str| format!("name = \"x\"\n[database.shop]\nurl = {url}\n").into_bytes();
    let literal = database("\"sqlite:shop.db\"");
    for (manifest, dot_env, expected) in [
        (None, "", "`wakeful init DIR` makes one"),
        (
            Some(b"name = \"a\xe9\"\n".to_vec()),
            "",
            "is not UTF-8: line 1 has the byte 0xE9",
        ),
        (Some(b"\xff\xfen\0".to_vec()), "", "it is UTF-16"),
        (
            Some(database("{ env = \"WAKEFUL_TEST_NO_SUCH\" }")),
            "",
            "WAKEFUL_TEST_NO_SUCH is not set",
        ),
        (
            Some(database("{ secret = \"NONE\" }")),
            "",
            "the secret NONE is not set",
        ),
        (Some(database("\"mysql:x\"")), "", "mysql"),
        (Some(literal), "no sense here\n", ".env"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        if let Some(manifest) = manifest {
            std::fs::write(folder.path().join("wakeful.toml"), manifest).unwrap();
        }
        std::fs::write(folder.path().join(".env"), dot_env).unwrap();
        let output = wakeful(folder.path(), &["dev"]).args(ANY_PORT).output();
        let output = output.unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{errors}");
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
    let nowhere = wakeful(Path::new("/"), &["serve", "/no/such/folder"]).output();
    assert_eq!(nowhere.unwrap().status.code(), Some(3));
}

#[test]
fn a_project_is_made_checked_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = wakeful(folder.path(), args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (code, text) = run(&["init", "shop"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(run(&["init", "shop"]).0, 3);
    let (code, text) = run(&["check", "shop"]);
    assert_eq!(
        (code, text.as_str()),
        (
            0,
            "shop/wakeful.toml is fine: project shop, 1 function, 2 triggers\n"
        )
    );

    let manifest = folder.path().join("shop/wakeful.toml");
    let good = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{good}\n[bucket.photos]\n")).unwrap();
    let note = |level: &str| {
        let noted = format!(r#"[{{"function":"hello","bucket":"photos","level":"{level}"}}]"#);
        std::fs::write(folder.path().join("shop/.wakeful/undeclared.json"), noted).unwrap();
    };
    note("read");
    let (code, text) = run(&["check", "shop", "--fix"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("hello may read bucket photos"), "{text}");
    note("write");
    let (code, text) = run(&["check", "shop", "--fix", "--json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    let expected =
        serde_json::json!({ "problems": [], "added": ["hello may write bucket photos"] });
    assert_eq!((code, answer), (0, expected));
    let mended = std::fs::read_to_string(&manifest).unwrap();
    assert!(
        mended.contains("access = { bucket.photos = \"write\" }"),
        "{mended}"
    );
    assert!(
        run(&["check", "shop", "--fix"])
            .1
            .contains("There is no access to add")
    );

    std::fs::write(
        &manifest,
        "name = \"shop\"\n[function.hello]\ncode = \"functions/hello.js\"\ntimeuot = \"30s\"\n",
    )
    .unwrap();
    let (code, text) = run(&["check", "shop"]);
    assert_eq!(code, 3);
    insta::assert_snapshot!(text);
    let (code, text) = run(&["check", "shop", "--json"]);
    let problems: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &problems["problems"][0]["line"]), (3, &4.into()));
    let (code, text) = run(&["schema"]);
    assert_eq!(code, 0);
    assert!(serde_json::from_str::<Value>(&text).unwrap()["$schema"].is_string());
}

#[test]
fn a_filter_says_yes_or_no_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let run = |args: &[&str], input: &str| {
        let mut command = wakeful(folder.path(), &[&["filter"], args].concat());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    };
    let toml = "data.after.status = [\"paid\"]\ndata.after.total = [{ numeric = [\">\", 100] }]\n";
    write("filter.toml", toml);
    write(
        "pattern.json",
        r#"{"type": [{"suffix": ".update"}], "subject": ["x", {"exists": false}]}"#,
    );
    let event = r#"{"specversion": "1.0", "type": "wakeful.database.update",
                    "data": {"after": {"status": "paid", "total": 90.5}}}"#;
    write("event.json", event);

    let (code, text) = run(&["filter.toml", "event.json"], "");
    assert_eq!(code, 1);
    insta::assert_snapshot!(text);
    let (code, text) = run(&["filter.toml", "-", "--json"], event);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &answer["matches"]), (1, &false.into()));
    assert_eq!(answer["conditions"][1]["found"], "90.5");
    assert_eq!(run(&["pattern.json", "event.json"], "").0, 0);
    assert_eq!(run(&["-", "event.json"], toml).0, 1);
    // Without `specversion` it is the data of an event.
    let data = r#"{"after": {"status": "paid", "total": 200}}"#;
    assert_eq!(run(&["filter.toml", data], "").0, 0);
    assert_eq!(run(&["data.after.status = [\"paid\"]", data], "").0, 0);
    assert_eq!(
        run(&[r#"{"data": {"after": {"status": ["open"]}}}"#, data], "").0,
        1
    );

    write(
        "wrong.toml",
        "data.after.status = \"paid\"\ndata.after.total = [{ nummeric = [\">\", 1] }]\n",
    );
    let (code, text) = run(&["wrong.toml", data], "");
    assert_eq!(code, 3);
    insta::assert_snapshot!(text);
    let (code, text) = run(&[r#"{"data": {"x": [{"prefx": "a"}], "y": 5}}"#, data], "");
    assert_eq!(code, 3);
    insta::assert_snapshot!(text);
    let (code, text) = run(&["wrong.toml", data, "--json"], "");
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &error["error"]["code"]),
        (3, &"invalid_filter".into())
    );
    assert_eq!(error["error"]["problems"][1]["line"], 2);
    for args in [
        &["-", "-"][..],
        &["missing.toml", data],
        &["filter.toml", "missing.json"],
        &["filter.toml", "{"],
        &["{", data],
        &["= 5", data],
    ] {
        let (code, text) = run(args, "");
        assert_eq!(code, 3, "{args:?}: {text}");
    }
}
