//! What compiled code does: each case is files, and what Node prints when it runs the first one.
//! Node is `node`, or what the variable `NODE` names.

mod classes;
mod elements;
mod imports;
mod language;
mod modules;
mod places;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use wakeful_typescript::{Compiler, File, Place};

/// Loads the code as the worker does, then says whatever is wrong with it.
const DRIVER: &str = r"
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const [runtime, root, entry] = process.argv.slice(2);
const { enableTypeScript, formatOf, placeError } = require(runtime);
enableTypeScript(root, root);
const file = path.join(root, entry);
const show = (text) => String(text).replaceAll(pathToFileURL(root).href, '').replaceAll(root, '');
process.on('uncaughtException', (error) => {
  console.log(show(error.stack).split('\n').filter((line) => !/node:|driver\.js|runtime\/node/.test(line)).join('\n'));
});
(async () => {
  if (/\.[cm]?js$/.test(entry)) return import(file);
  return formatOf(file) === 'module' ? import(file) : require('node:module').createRequire(file)(file);
})().then((loaded) => globalThis.after?.(loaded), (error) => {
  placeError(error, file);
  throw error;
});
";

/// A folder with files, compiled.
pub struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    /// Files by their paths.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let copy = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for (path, text) in files {
            let path = copy.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let (copied, hash) = (copy.path(), [0; 32]);
        let files: Vec<_> = files
            .iter()
            .enumerate()
            .filter(|(_, (path, _))| !path.contains("node_modules"))
            .map(|(number, (path, _))| {
                let (path, mut hash) = (Path::new(*path), hash);
                hash[..8].copy_from_slice(&number.to_le_bytes());
                File { path, hash }
            })
            .collect();
        let place = Place {
            copy: &copied,
            project: &copied,
        };
        Compiler::default().compile(place, &copied, &files).unwrap();
        copy
    }

    /// Where they are.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("copy")
    }

    /// What Node prints when it runs a file.
    pub fn run(&self, entry: &str) -> String {
        let runtime =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime/node/typescript.js");
        let driver = self.folder.path().join("driver.js");
        fs::write(&driver, DRIVER).unwrap();
        let output = Command::new(node())
            .arg("--no-warnings")
            .arg(driver)
            .arg(runtime)
            .arg(self.path())
            .arg(entry)
            .current_dir(self.path())
            .output()
            .unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        format!("{out}{err}").trim_end().to_owned()
    }
}

fn node() -> String {
    std::env::var("NODE").unwrap_or_else(|_| "node".into())
}

/// Whether Node resolves by hooks in the same thread, as from 22.15 on.
pub fn has_hooks() -> bool {
    let script = "process.exit(typeof require('node:module').registerHooks === 'function' ? 0 : 1)";
    let status = Command::new(node()).args(["-e", script]).status();
    status.unwrap().success()
}

/// Runs the first file.
#[track_caller]
pub fn prints(files: &[(&str, &str)], wanted: &str) {
    let copy = Copy::of(files);
    let printed = copy.run(files[0].0);
    assert_eq!(printed, wanted, "{:#?}", files[0]);
}

/// Runs a `.ts` file of its own, as CommonJS and as an ES module.
#[track_caller]
pub fn both_print(text: &str, wanted: &str) {
    prints(&[("main.ts", text)], wanted);
    prints(&[("main.mts", text)], wanted);
}
