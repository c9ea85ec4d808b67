//! Copies are what the project was, and nobody's business afterwards.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

struct Scene {
    folder: tempfile::TempDir,
    snapshots: Snapshots,
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("p");
    let relevance = Relevance::new(&project, &folder.path().join("data"));
    relevance.set_databases([project.join("data/shop.db")]);
    let snapshots = Snapshots::open(relevance, &folder.path().join("data/versions")).unwrap();
    let scene = Scene { folder, snapshots };
    for (path, text) in [
        ("functions/a.js", "exports.a = 1"),
        ("lib/shared.js", "module.exports = 2"),
        ("node_modules/x/index.js", "3"),
        (".git/HEAD", "ref"),
        ("data/shop.db", "rows"),
        ("own/package.json", "{}"),
        ("own/index.js", "4"),
    ] {
        scene.write(path, text);
    }
    scene
}

impl Scene {
    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("p").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn take(&mut self) -> Snapshot {
        self.snapshots.take().unwrap()
    }
}

fn text(snapshot: &Snapshot, path: &str) -> String {
    fs::read_to_string(snapshot.root.join(path)).unwrap()
}

#[test]
fn a_copy_keeps_what_was_and_its_name_says_what() {
    let mut scene = scene();
    let first = scene.take();
    assert_eq!(scene.take(), first);
    scene.write("functions/a.js", "exports.a = 2");
    let second = scene.take();
    assert_ne!(first.hash, second.hash);
    assert_eq!(text(&first, "functions/a.js"), "exports.a = 1");
    assert_eq!(text(&second, "functions/a.js"), "exports.a = 2");
    scene.write("functions/a.js", "exports.a = 1");
    assert_eq!(scene.take(), first);
}

#[test]
fn copies_share_nothing_with_the_project_or_each_other() {
    let mut scene = scene();
    let first = scene.take();
    scene.write("functions/b.js", "new");
    let second = scene.take();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let files = [
        scene.path("lib/shared.js"),
        first.root.join("lib/shared.js"),
        second.root.join("lib/shared.js"),
    ];
    let inodes: BTreeSet<u64> = files.iter().map(|file| inode(file)).collect();
    assert_eq!(inodes.len(), 3);
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().nlink(), 1);
    }
}

#[test]
fn packages_are_linked_and_data_is_left_out() {
    let mut scene = scene();
    let first = scene.take();
    assert!(first.root.join("node_modules").is_symlink());
    assert_eq!(text(&first, "node_modules/x/index.js"), "3");
    assert!(!first.root.join(".git").exists());
    assert!(!first.root.join("data/shop.db").exists());
    scene.write("data/shop.db", "more rows");
    scene.write("data/shop.db-wal", "wal");
    assert_eq!(scene.take(), first);
}

#[test]
fn what_is_carried_makes_no_difference() {
    let mut scene = scene();
    let first = scene.take();
    scene.write("README.md", "words");
    scene.write("out.log", "lines");
    assert_eq!(scene.take(), first);
    scene.write("functions/a.js", "exports.a = 2");
    let second = scene.take();
    assert_eq!(text(&second, "README.md"), "words");
}

#[test]
fn a_folder_has_a_name_of_its_own() {
    let mut scene = scene();
    let own = Path::new("./own");
    let first = scene.take();
    scene.write("lib/shared.js", "other");
    let second = scene.take();
    assert_ne!(first.hash, second.hash);
    assert_eq!(first.hash_below(own), second.hash_below(own));
    scene.write("own/index.js", "5");
    let third = scene.take();
    assert_ne!(second.hash_below(own), third.hash_below(own));
    assert_eq!(third.hash_below(Path::new(".")), third.hash);
    scene.write("tsconfig.base.json", "{}");
    let fourth = scene.take();
    assert_ne!(third.hash_below(own), fourth.hash_below(own));
}

#[test]
fn typescript_lies_in_a_copy_as_it_was_written_and_as_it_runs() {
    let mut scene = scene();
    scene.write("lib/shared.ts", "export const a: number = 1;");
    let copy = scene.take();
    assert_eq!(text(&copy, "lib/shared.ts"), "export const a: number = 1;");
    let folder = copy.root.join(wakeful_typescript::FOLDER);
    let index = fs::read_to_string(folder.join("index.json")).unwrap();
    assert!(index.contains("\"lib/shared.ts\":\"commonjs\""), "{index}");
    let compiled = fs::read_to_string(folder.join("files/lib/shared.ts.js")).unwrap();
    assert!(compiled.contains("const a = 1;"), "{compiled}");
}

#[test]
fn permission_to_execute_counts() {
    let mut scene = scene();
    let first = scene.take();
    let file = scene.path("functions/a.js");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let second = scene.take();
    assert_ne!(first.hash, second.hash);
    let mode = fs::metadata(second.root.join("functions/a.js")).unwrap();
    assert_ne!(mode.permissions().mode() & 0o111, 0);
}

#[test]
fn links_in_circles_and_to_nowhere_are_passed_over() {
    let mut scene = scene();
    symlink("circle", scene.path("circle")).unwrap();
    symlink("nowhere", scene.path("gone.js")).unwrap();
    symlink("..", scene.path("lib/up")).unwrap();
    symlink("lib", scene.path("common")).unwrap();
    symlink("shared.js", scene.path("lib/alias.js")).unwrap();
    let snapshot = scene.take();
    assert_eq!(text(&snapshot, "common/shared.js"), "module.exports = 2");
    assert_eq!(text(&snapshot, "lib/alias.js"), "module.exports = 2");
    let common = snapshot.root.join("common").canonicalize().unwrap();
    assert!(common.starts_with(snapshot.root.canonicalize().unwrap()));
    assert!(!snapshot.root.join("circle").exists());
}

#[test]
fn what_cannot_be_read_is_named() {
    let mut scene = scene();
    let error = present_error(&scene.path("secret"));
    assert!(error.contains("/p/secret cannot be read"), "{error}");
    // Root reads everything, so that only others see the whole walk fail.
    scene.write("secret/a.js", "1");
    let locked = fs::Permissions::from_mode(0o000);
    fs::set_permissions(scene.path("secret"), locked).unwrap();
    let readable = fs::read_dir(scene.path("secret")).is_ok();
    let taken = scene.snapshots.take();
    fs::set_permissions(scene.path("secret"), fs::Permissions::from_mode(0o755)).unwrap();
    match taken {
        Ok(_) => assert!(readable),
        Err(error) => assert!(error.to_string().contains("/p/secret cannot be read")),
    }
}

fn present_error(path: &Path) -> String {
    read(path)(io::ErrorKind::PermissionDenied.into()).to_string()
}

#[test]
fn a_tree_that_changes_all_the_time_is_copied_as_it_once_was() {
    let mut scene = scene();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (one, other) = (scene.path("lib/one.js"), scene.path("lib/folder"));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // The same text in the same file or none: two moments, never a third.
                fs::create_dir_all(&other).unwrap();
                fs::write(other.join("x.js"), "whole").unwrap();
                fs::write(&one, "whole").unwrap();
                let _ = fs::remove_dir_all(&other);
            }
        });
        for _ in 0..50 {
            match scene.snapshots.take() {
                Ok(snapshot) => check_names(&snapshot),
                Err(error) => assert!(matches!(error, SnapshotError::Restless(_)), "{error}"),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// What a copy holds is what its name was made from.
fn check_names(snapshot: &Snapshot) {
    for (path, hash) in &snapshot.files {
        let file = snapshot.root.join(path);
        if !file.is_file() {
            continue;
        }
        let stamp = Stamp::of(&fs::metadata(&file).unwrap());
        assert_eq!(hashes::hash_of(&file, stamp).unwrap(), *hash, "{path:?}");
    }
}

#[test]
fn old_copies_go_also_those_of_an_earlier_server() {
    let mut scene = scene();
    let first = scene.take();
    scene.write("functions/a.js", "new");
    let second = scene.take();
    scene
        .snapshots
        .keep_only(&BTreeSet::from([second.root.clone()]));
    assert!(!first.root.exists() && second.root.exists());
    let folder = scene.folder.path().join("data/versions");
    let relevance = scene.snapshots.relevance.clone();
    Snapshots::open(relevance, &folder).unwrap();
    assert!(!second.root.exists());
}
