//! Who may import whom: the arrows of ARCHITECTURE.md, held against the manifests of the crates.

use std::{collections::BTreeSet, fs, path::Path};

/// For each crate, the crates of ours that it may depend on, tests apart.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("store", &["core"]),
    ("objects", &["core"]),
    ("databases", &["core"]),
    ("workers", &["core"]),
    ("sources", &["core"]),
    ("toolchain", &["core"]),
    ("typescript", &[]),
    ("simulation", &["core", "store"]),
    (
        "server",
        &[
            "core",
            "store",
            "objects",
            "databases",
            "workers",
            "sources",
            "toolchain",
            "typescript",
        ],
    ),
];

fn crates_folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The `wakeful-*` crates among a crate's ordinary dependencies.
fn ours(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(crates_folder().join(name).join("Cargo.toml")).unwrap();
    let dependencies = text.split("[dependencies]").nth(1).unwrap_or_default();
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    dependencies
        .lines()
        .filter_map(|line| line.strip_prefix("wakeful-"))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_crate_stands_in_the_picture() {
    let folders = fs::read_dir(crates_folder()).unwrap();
    let found: BTreeSet<String> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<String> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, known);
}

#[test]
fn nothing_flows_back_up() {
    for (name, allowed) in ARROWS {
        for other in ours(name) {
            assert!(
                allowed.contains(&other.as_str()),
                "{name} must not depend on {other}"
            );
        }
    }
}

#[test]
fn core_knows_no_runtime_and_no_disk() {
    let text = fs::read_to_string(crates_folder().join("core/Cargo.toml")).unwrap();
    let dependencies = text.split("[dev-dependencies]").next().unwrap();
    for banned in [
        "tokio",
        "hyper",
        "rusqlite",
        "rustix",
        "notify",
        "rand",
        "getrandom",
    ] {
        assert!(
            !dependencies
                .lines()
                .any(|line| line.starts_with(&format!("{banned}."))),
            "core must not depend on {banned}"
        );
    }
}
