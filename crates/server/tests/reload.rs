//! Edits while `dev` runs.

mod support;

use std::{fs, io::Write, process::Command};

use support::{Project, Server};

/// A function that answers with `word` and with what is drawn anew each time its code is loaded.
fn answers(word: &str) -> String {
    format!(
        "const drawn = Math.random();\nexports.get = (req, res) => res.send('{word} ' + drawn);"
    )
}

fn manifest(functions: &[&str]) -> String {
    let mut text = "name = \"edits\"\n".to_owned();
    for function in functions {
        text += &format!(
            "[function.{function}]\nauth = \"none\"\nroutes = {{ \"GET /{function}\" = \"get\" }}\n"
        );
    }
    text
}

/// Functions by name; `own` is a folder with a package.json of its own.
fn project() -> Project {
    let mut text = manifest(&["a", "b"]);
    text += &manifest(&["own"]).replace("name = \"edits\"\n", "");
    text = text.replace("[function.own]\n", "[function.own]\ncode = \"own\"\n");
    Project::of(&[
        ("wakeful.toml", &text),
        ("functions/a.js", &answers("first")),
        ("functions/b.js", &answers("first")),
        ("own/package.json", "{ \"main\": \"index.js\" }"),
        ("own/index.js", &answers("first")),
    ])
}

fn answer(server: &Server<'_>, function: &str) -> String {
    server.curl(&format!("/{function}"), &[]).1
}

fn until_answers(server: &Server<'_>, function: &str, word: &str) -> String {
    server.until(&format!("{function} answers {word}"), || {
        Some(answer(server, function)).filter(|answer| answer.starts_with(word))
    })
}

/// The state of a function, as the command shows it.
fn state(server: &Server<'_>, function: &str) -> String {
    let list = server.json(&["functions"]);
    let functions = list["functions"].as_array().unwrap();
    let found = functions.iter().find(|found| found["name"] == function);
    found.unwrap()["state"].as_str().unwrap().to_owned()
}

fn until_state(server: &Server<'_>, function: &str, wanted: &str) {
    server.until(&format!("{function} is {wanted}"), || {
        (state(server, function) == wanted).then_some(())
    });
}

#[test]
fn packages_that_are_asked_for_later_are_installed_once() {
    let project = Project::of(&[
        ("wakeful.toml", &manifest(&["page"])),
        ("functions/page.js", &answers("before")),
    ]);
    let server = project.dev();
    until_answers(&server, "page", "before");
    project.write(
        "functions/page.js",
        "const isNumber = require('is-number');\nexports.get = (req, res) => res.send('number ' + isNumber(1));",
    );
    project.write(
        "package.json",
        r#"{ "private": true, "dependencies": { "is-number": "7.0.0" } }"#,
    );
    let package = project.path().join("node_modules/is-number");
    let mut edits = 0;
    server.until("npm has installed, in spite of edits meanwhile", || {
        edits += 1;
        project.write("lib/busy.js", &format!("// edit {edits}"));
        package.join("package.json").is_file().then_some(())
    });
    until_answers(&server, "page", "number true");
    for file in ["package.json", "index.js", "LICENSE"] {
        assert!(package.join(file).is_file(), "{file} is missing");
    }
    assert!(project.path().join("package-lock.json").is_file());
    // Another edit comes after whatever the install itself has set off.
    project.write("functions/page.js", &answers("after"));
    until_answers(&server, "page", "after");
    let installs = project.output().matches("Installing the packages").count();
    assert_eq!(installs, 1, "{}", project.output());
}

#[test]
fn what_is_no_code_restarts_nothing() {
    let project = project();
    let server = project.dev();
    let before = ["a", "own"].map(|function| until_answers(&server, function, "first"));
    project.write("README.md", "words");
    project.write("lib/notes.md", "words");
    project.write("LICENSE", "words");
    project.write("coverage/index.html", "words");
    let mut log = fs::File::create(project.path().join("out.log")).unwrap();
    writeln!(log, "a line").unwrap();
    project.write(".env", "UNUSED=1\n");
    // Settings of one function are its own: when it is live, what came before was seen.
    let text = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    project.write("wakeful.toml", &text.replace("GET /b\"", "GET /c\""));
    server.until("the new route of b is there", || {
        (server.curl("/c", &[]).0 == 200).then_some(())
    });
    let after = ["a", "own"].map(|function| answer(&server, function));
    assert_eq!(after, before);
}

#[test]
fn a_folder_with_packages_of_its_own_depends_on_itself_alone() {
    let project = project();
    let server = project.dev();
    let [a, own] = ["a", "own"].map(|function| until_answers(&server, function, "first"));
    project.write("functions/b.js", &answers("second"));
    until_answers(&server, "b", "second");
    assert_ne!(answer(&server, "a"), a, "a might load b's file");
    assert_eq!(answer(&server, "own"), own);
    project.write("own/index.js", &answers("second"));
    until_answers(&server, "own", "second");
}

#[test]
fn a_folder_that_is_made_again_is_followed() {
    let project = project();
    let server = project.dev();
    until_answers(&server, "a", "first");
    for word in ["second", "third"] {
        fs::remove_dir_all(project.path().join("functions")).unwrap();
        for function in ["a", "b"] {
            project.write(&format!("functions/{function}.js"), &answers(word));
        }
        until_answers(&server, "a", word);
        let edited = format!("{word}-edited");
        project.write("functions/a.js", &answers(&edited));
        until_answers(&server, "a", &edited);
    }
}

#[test]
fn a_function_says_when_it_serves_old_code() {
    let project = project();
    let server = project.dev();
    until_state(&server, "a", "live");
    project.write("functions/a.js", "throw new Error('mistake');");
    until_state(&server, "a", "outdated");
    assert!(answer(&server, "a").starts_with("first"));
    let shown = server.cli(&["functions"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("the one before it serves on"), "{shown}");
    assert!(shown.contains("mistake"), "{shown}");
    project.write("functions/a.js", &answers("first"));
    until_state(&server, "a", "live");
}

#[test]
fn code_that_never_worked_is_reported_also_when_its_first_check_was_interrupted() {
    let slow = "const until = Date.now() + 1500; while (Date.now() < until); throw new Error('slow mistake');";
    let project = Project::of(&[
        ("wakeful.toml", &manifest(&["slow"])),
        ("functions/slow.js", slow),
    ]);
    let server = project.dev();
    for _ in 0..3 {
        // The same text: a change that changes nothing.
        project.write("functions/slow.js", slow);
        assert_eq!(state(&server, "slow"), "loading");
    }
    until_state(&server, "slow", "broken");
    server.until("the mistake is shown", || {
        project.output().contains("slow mistake").then_some(())
    });
}

#[test]
fn old_code_goes() {
    let project = project();
    let server = project.dev();
    for round in 0..8 {
        let word = format!("round-{round}");
        project.write("functions/a.js", &answers(&word));
        until_answers(&server, "a", &word);
    }
    // The live one, those that may still run, and `own`, which is live from the first.
    let copies = || {
        fs::read_dir(project.path().join(".wakeful/versions"))
            .unwrap()
            .count()
    };
    assert!(copies() <= 5, "{} copies", copies());
}

#[test]
fn a_changed_secret_moves_a_database() {
    let project = project();
    for (file, word) in [("one.db", "one"), ("two.db", "two")] {
        let database = rusqlite::Connection::open(project.path().join(file)).unwrap();
        let rows = format!("create table words (word); insert into words values ('{word}')");
        database.execute_batch(&rows).unwrap();
    }
    let server = project.dev();
    set_secret(&project, &server, "PLACE", "sqlite:one.db");
    let text = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    let database = "[database.shop]\nurl = { secret = \"PLACE\" }\n\
        [function.rows]\nauth = \"none\"\nroutes = { \"GET /rows\" = \"get\" }\n\
        access = { database.shop = \"read\" }\n";
    project.write(
        "functions/rows.js",
        "const { db } = require('wakeful');\n\
         exports.get = async (req, res) => res.send((await db.shop.get('select word from words')).word);",
    );
    project.write("wakeful.toml", &format!("{text}{database}"));
    until_answers(&server, "rows", "one");
    set_secret(&project, &server, "PLACE", "sqlite:two.db");
    until_answers(&server, "rows", "two");
}

fn set_secret(project: &Project, server: &Server<'_>, name: &str, value: &str) {
    let mut child = Command::new(support::WAKEFUL)
        .args(["secret", "set", name])
        .current_dir(project.path())
        .env(
            "WAKEFUL_ADMIN",
            format!("http://{}", server.address("admin")),
        )
        .env("WAKEFUL_KEY", server.address("admin_key"))
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(value.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}
