//! Manifests as data: every `manifests/invalid/*.toml` beside what users see of it (`.err`), every
//! `manifests/valid/*.toml` beside what it means (`.project`). `UPDATE=1 cargo test` writes the
//! files anew; read the difference before it is committed.
//!
//! A manifest may begin with `# environment: NAME` (`dev` when it says nothing) and
//! `# files: a.js b/` for what exists in its folder (`functions/f.js` and `functions/g.js`).

mod rules;
mod schema;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use wakeful_core::{
    manifest::{self, Files, Found, Loaded, Problems, Source},
    name::EnvironmentName,
};

/// What a test says exists; folders end in `/`.
struct Listed(BTreeSet<String>);

impl Listed {
    fn of(list: &str) -> Self {
        Self(list.split_whitespace().map(str::to_owned).collect())
    }
}

impl Files for Listed {
    fn look(&self, path: &Path) -> Found {
        let path = path.to_str().unwrap();
        if self.0.contains(path) {
            Found::File
        } else if self.0.contains(&format!("{path}/")) {
            Found::Folder
        } else {
            Found::Nothing
        }
    }
}

/// A folder in which every `.js` file exists.
fn any_javascript(path: &Path) -> Found {
    match path.extension() {
        Some(extension) if extension == "js" => Found::File,
        _ => Found::Nothing,
    }
}

fn directive<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let prefix = format!("# {name}: ");
    text.lines()
        .take_while(|line| line.starts_with("# "))
        .find_map(|line| line.strip_prefix(prefix.as_str()))
}

fn dev() -> EnvironmentName {
    "dev".parse().unwrap()
}

fn load(text: &str) -> Result<Loaded, Problems> {
    let environment = directive(text, "environment").unwrap_or("dev");
    let environment: EnvironmentName = environment.parse().unwrap_or_else(|_| dev());
    let files = Listed::of(directive(text, "files").unwrap_or("functions/f.js functions/g.js"));
    let source = Source {
        name: "wakeful.toml".to_owned(),
        text: text.to_owned(),
    };
    manifest::load(&source, &environment, &files)
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/manifests")
        .join(kind)
}

/// The manifests of a folder, by name.
fn cases(kind: &str) -> Vec<(PathBuf, String)> {
    let mut cases: Vec<_> = fs::read_dir(folder(kind))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .map(|path| (path.clone(), fs::read_to_string(&path).unwrap()))
        .collect();
    cases.sort();
    cases
}

/// Compares every case of a folder with the file beside it.
fn check(kind: &str, extension: &str, show: impl Fn(&Path, &str) -> String) {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for (path, text) in cases(kind) {
        let actual = show(&path, &text);
        let beside = path.with_extension(extension);
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if update {
            fs::write(&beside, &actual).unwrap();
        } else if actual != expected {
            let name = beside.display();
            wrong.push(format!(
                "--- {name}, expected:\n{expected}\n--- but got:\n{actual}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_are_shown_at_their_place() {
    check("invalid", "err", |path, text| match load(text) {
        Ok(_) => panic!("{} was accepted", path.display()),
        Err(problems) => problems.to_string(),
    });
    assert!(cases("invalid").len() >= 35);
}

#[test]
fn valid_manifests_mean_what_is_written_beside_them() {
    check("valid", "project", |path, text| {
        let loaded = load(text).unwrap_or_else(|error| panic!("{}:\n{error}", path.display()));
        let source = Source {
            name: "wakeful.toml".to_owned(),
            text: text.to_owned(),
        };
        let warnings: String = (loaded.warnings.iter())
            .map(|warning| format!("warning: {}", manifest::render(&source, warning)))
            .collect();
        format!("{:#?}\n{warnings}", loaded.project)
    });
    assert!(cases("valid").len() >= 5);
}

/// Every place that a problem names lies in the text and on the borders of characters.
#[test]
fn places_lie_in_the_text() {
    for (path, text) in cases("invalid") {
        let problems = load(&text).unwrap_err();
        for problem in problems.iter() {
            let labels = problem.also.iter().map(|(at, _)| at);
            for at in problem.at.iter().chain(labels) {
                assert!(text.get(at.clone()).is_some(), "{}: {at:?}", path.display());
            }
        }
    }
}

/// Windows editors write a byte order mark and two characters at the end of a line.
#[test]
fn other_line_ends_and_a_byte_order_mark_do_not_move_places() {
    let problems = load("\u{feff}name = \"p\"\r\n[function.f]\r\nmemroy = 1\r\n").unwrap_err();
    assert_eq!(
        problems.to_string(),
        "wakeful.toml:3:1: unknown key \"memroy\" in function `f`\n 3 | memroy = 1\n   | ^^^^^^\n  \
         help: did you mean `memory`?\n"
    );
}

#[test]
fn a_manifest_is_bounded() {
    let problems = load(&format!("name = \"p\" # {}", "x".repeat(1 << 20))).unwrap_err();
    assert!(
        problems.to_string().contains("at most 1048576 are read"),
        "{problems}"
    );
}

/// What is repeated a thousandfold is cut, and said to be.
#[test]
fn masses_of_mistakes_are_bounded() {
    let many = |line: fn(usize) -> String| {
        let lines: String = (0..2000).map(line).collect();
        let problems = load(&format!("name = \"p\"\n{lines}")).unwrap_err();
        assert_eq!(problems.iter().len(), 1001);
        let last = problems.iter().last().unwrap();
        assert!(
            last.message.contains("more than 1000 mistakes"),
            "{}",
            last.message
        );
        problems.to_string()
    };
    many(|i| format!("key{i} = 1\n"));
    let text = many(|i| format!("[environment.e{i}]\nnod = 1\n"));
    assert!(text.contains("declares 2000 environments"), "{text:.500}");
    let text = many(|i| format!("[[function.f.on]]\nbucket = \"bucket-{i}\"\n"));
    assert!(
        text.contains("there is no bucket `bucket-0`"),
        "{text:.500}"
    );
}

/// Names as long as the file and tables as deep as the parser allows end in a message.
#[test]
fn absurd_manifests_are_refused() {
    let deep = format!(
        "name = \"p\"\nx = {}1{}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let dotted = format!("name = \"p\"\nx{} = 1", ".x".repeat(10_000));
    let long = format!("name = \"p\"\n{} = 1", "k".repeat(100_000));
    for (text, expected) in [
        (deep, "recursion depth"),
        (dotted, "recursion limit"),
        (long, "wakeful.toml:2:1: unknown key"),
    ] {
        let message = load(&text).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.len() < 2000, "{message}");
    }
}

/// A manifest cut anywhere is refused or read, but never ends in a panic.
#[test]
fn a_manifest_cut_anywhere_does_no_harm() {
    for (_, text) in cases("valid").into_iter().chain(cases("invalid")) {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            if let Err(problems) = load(&text[..end]) {
                assert!(problems.iter().len() > 0);
                assert!(!problems.to_string().is_empty());
            }
        }
    }
}

/// The reference in `docs/manifest.md`: every example in a fence marked `toml complete` loads, and
/// every key of the schema stands in it.
#[test]
fn the_documentation_tells_the_truth() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manifest.md");
    let text = fs::read_to_string(path).unwrap();
    let examples: Vec<&str> = (text.split("```toml complete\n").skip(1))
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() >= 5);
    for example in examples {
        let declared = manifest::environments(example);
        for environment in declared.iter().chain([&dev()]) {
            let source = Source {
                name: "docs/manifest.md".to_owned(),
                text: example.to_owned(),
            };
            if let Err(problems) = manifest::load(&source, environment, &any_javascript) {
                panic!("{problems}\nfor {environment} in this example:\n{example}");
            }
        }
    }
    let schema = manifest::schema();
    let mut sections: Vec<&Value> = schema["$defs"].as_object().unwrap().values().collect();
    sections.push(&schema);
    for section in sections {
        let properties = section.get("properties").and_then(Value::as_object);
        for key in properties.into_iter().flatten().map(|(key, _)| key) {
            assert!(
                text.contains(&format!("`{key}`")),
                "`{key}` is not documented"
            );
        }
    }
}

/// The examples that come with Wakeful are read as they stand on disk.
#[test]
fn the_examples_load() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut count = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(folder.join("wakeful.toml")) else {
            continue;
        };
        let look = |path: &Path| match fs::metadata(folder.join(path)) {
            Ok(meta) if meta.is_dir() => Found::Folder,
            Ok(_) => Found::File,
            Err(_) => Found::Nothing,
        };
        let source = Source {
            name: folder.join("wakeful.toml").display().to_string(),
            text,
        };
        for environment in ["dev", "production"] {
            if let Err(problems) = manifest::load(&source, &environment.parse().unwrap(), &look) {
                panic!("{problems}");
            }
        }
        count += 1;
    }
    assert!(count > 0, "there are no examples");
}
