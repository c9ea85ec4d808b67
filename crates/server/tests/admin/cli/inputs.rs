//! What is wrong before any server is asked, and the exit codes.

use std::{io::Write, path::Path, process::Stdio};

use serde_json::Value;
use wakeful_server::addresses::{ADDRESSES_FILE, AddressFile};

use super::{Scene, wakeful};

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
