use std::os::unix::fs::MetadataExt;

use super::*;

/// A project that is copied again and again.
struct World {
    folder: tempfile::TempDir,
    compiler: Compiler,
    copies: usize,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            compiler: Compiler::default(),
            copies: 0,
        }
    }

    /// Makes a copy with these files, as it is done: beside, then renamed.
    fn copy(&mut self, files: &[(&str, &str)]) -> PathBuf {
        self.copies += 1;
        let building = self.folder.path().join("building");
        let root = self.folder.path().join(self.copies.to_string());
        for (path, text) in files {
            let path = building.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| {
                let mut hash = [0; 32];
                let length = text.len().min(32);
                hash[..length].copy_from_slice(&text.as_bytes()[..length]);
                let path = Path::new(*path);
                File { path, hash }
            })
            .collect();
        let place = Place {
            copy: &building,
            project: self.folder.path(),
        };
        self.compiler.compile(place, &root, &files).unwrap();
        fs::rename(building, &root).unwrap();
        root
    }
}

fn compiled(root: &Path, path: &str) -> PathBuf {
    root.join(compiled_file(Path::new(path)))
}

fn inode(root: &Path, path: &str) -> u64 {
    fs::metadata(compiled(root, path)).unwrap().ino()
}

fn index(root: &Path) -> serde_json::Value {
    let text = fs::read(root.join(FOLDER).join("index.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn only_what_changed_is_compiled_again() {
    let mut world = World::new();
    let first = world.copy(&[("a.ts", "let a = 1"), ("b.ts", "let b = 1")]);
    let second = world.copy(&[("a.ts", "let a = 2"), ("b.ts", "let b = 1")]);
    assert_eq!(inode(&first, "b.ts"), inode(&second, "b.ts"));
    assert_ne!(inode(&first, "a.ts"), inode(&second, "a.ts"));
    // What it would be taken from is gone.
    fs::remove_dir_all(&second).unwrap();
    let third = world.copy(&[("a.ts", "let a = 2"), ("b.ts", "let b = 1")]);
    let text = fs::read_to_string(compiled(&third, "a.ts")).unwrap();
    assert!(text.contains("a = 2"), "{text}");
}

#[test]
fn what_is_said_about_a_file_makes_another_of_it() {
    let mut world = World::new();
    let text = "class A { b = 1 }\nexport {}";
    let format = |root: &Path| index(root)["files"]["a.ts"].clone();
    let plain = world.copy(&[("a.ts", text)]);
    assert_eq!(format(&plain), "commonjs");
    let module = world.copy(&[("a.ts", text), ("package.json", r#"{ "type": "module" }"#)]);
    assert_eq!(format(&module), "module");
    let config = r#"{ "compilerOptions": { "target": "es2020" } }"#;
    let assigned = world.copy(&[("a.ts", text), ("tsconfig.json", config)]);
    let [before, after] = [&plain, &assigned].map(|it| fs::read(compiled(it, "a.ts")).unwrap());
    assert_ne!(before, after);
}

#[test]
fn the_index_says_what_became_of_each_file() {
    let mut world = World::new();
    let root = world.copy(&[
        ("functions/a.ts", "export const a = 1;"),
        ("lib/b.mts", "export const b = 1;"),
        ("lib/bad.ts", "let a;\nlet 1;"),
        ("types/x.d.ts", "declare const x: number;"),
        ("plain.js", "let a"),
        (
            "lib/tsconfig.json",
            r#"{ "compilerOptions": { "paths": { "@/*": ["./*"] } } }"#,
        ),
        ("odd/tsconfig.json", "{"),
        ("odd/c.ts", ""),
        ("tsconfig.json", "{}"),
    ]);
    let index = index(&root);
    let files = index["files"].as_object().unwrap();
    let mut names: Vec<_> = files.keys().cloned().collect();
    names.sort();
    assert_eq!(
        names,
        ["functions/a.ts", "lib/b.mts", "lib/bad.ts", "odd/c.ts"]
    );
    assert_eq!(files["lib/b.mts"], "module");
    assert_eq!(files["lib/bad.ts"]["line"], 2);
    assert_eq!(files["odd/c.ts"]["file"], "odd/tsconfig.json");
    assert_eq!(
        index["configs"],
        serde_json::json!([
            { "folder": "" },
            { "folder": "lib", "patterns": [["@/*", ["lib/*"]]] },
        ])
    );
    for (path, is_there) in [
        ("functions/a.ts", true),
        ("lib/bad.ts", false),
        ("plain.js", false),
    ] {
        assert_eq!(compiled(&root, path).is_file(), is_there, "{path}");
    }
}

#[test]
fn a_project_without_typescript_stays_as_it_is() {
    let mut world = World::new();
    let root = world.copy(&[("a.js", "1"), ("tsconfig.json", "{ broken")]);
    assert!(!root.join(".wakeful").exists());
}

#[test]
fn many_files_are_compiled_side_by_side() {
    let mut world = World::new();
    let names: Vec<_> = (0..64)
        .map(|n| (format!("{n}.ts"), format!("export const n: number = {n};")))
        .collect();
    let files: Vec<_> = names
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let root = world.copy(&files);
    for n in [0, 31, 63] {
        let text = fs::read_to_string(compiled(&root, &format!("{n}.ts"))).unwrap();
        assert!(text.contains(&format!("const n = {n};")), "{text}");
    }
}
