//! Where the code of a function is.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
};

use super::{Files, Found, document::quoted, problem::Problem, reader::Item};
use crate::suggest;

const EXTENSIONS: [&str; 8] = ["js", "mjs", "cjs", "ts", "mts", "cts", "tsx", "jsx"];

/// Checks the path that a manifest gives.
pub(super) fn read(item: Item<'_>, files: &dyn Files) -> Option<PathBuf> {
    let text = item.text("the path of a file or folder, such as \"functions/thumbnail.js\"")?;
    let Some(path) = inside(text) else {
        item.refuse(
            format!(
                "`code` is {}, which is not in the project's folder",
                quoted(text)
            ),
            "expected a path below the folder of the manifest, without `..`",
        );
        return None;
    };
    let extension = path.extension().and_then(|extension| extension.to_str());
    match files.look(&path) {
        Found::Folder => Some(path),
        Found::File if extension.is_some_and(|it| EXTENSIONS.contains(&it)) => Some(path),
        Found::File => {
            item.refuse(
                format!("{} is no JavaScript or TypeScript file", quoted(text)),
                "expected a file that ends in `.js`, `.mjs`, `.cjs`, `.ts`, `.mts`, `.cts`, `.tsx` or \
                 `.jsx`, or a folder",
            );
            None
        }
        Found::Nothing => {
            let help = nearby(&path, files).map_or_else(
                || "expected a file or folder, relative to the folder of the manifest".to_owned(),
                |near| format!("did you mean \"{}\"?", near.display()),
            );
            item.refuse(format!("there is no {}", quoted(text)), help);
            None
        }
    }
}

/// The path, if it stays inside the project's folder.
fn inside(text: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    let usable = !path.as_os_str().is_empty() && !text.contains('\0');
    usable.then_some(path)
}

/// The same name with another extension or without one.
fn nearby(path: &Path, files: &dyn Files) -> Option<PathBuf> {
    let others = EXTENSIONS.iter().map(|it| path.with_extension(it));
    let mut candidates = others.chain([path.with_extension("")]);
    candidates.find(|candidate| files.look(candidate) != Found::Nothing)
}

/// Finds the code of the function that says nothing about it, named at `item`'s key.
pub(super) fn find(
    item: Item<'_>,
    functions: &BTreeSet<String>,
    files: &dyn Files,
) -> Option<PathBuf> {
    let name = item.name;
    let folder = PathBuf::from("functions").join(name);
    let file = |extension: &&str| PathBuf::from("functions").join(format!("{name}.{extension}"));
    let candidates = EXTENSIONS.iter().map(file);
    let mut found: Vec<PathBuf> = candidates
        .filter(|path| files.look(path) == Found::File)
        .collect();
    if files.look(&folder) == Found::Folder {
        found.insert(0, folder);
    }
    let problem = match found.as_slice() {
        [one] => return Some(one.clone()),
        [] => missing(item, functions),
        [first, second, ..] => Problem::at(
            item.key_span(),
            format!(
                "the code of function `{name}` may be `{}` or `{}`",
                first.display(),
                second.display()
            ),
        )
        .help(format!("say which: code = \"{}\"", first.display())),
    };
    item.report.problem(problem);
    None
}

fn missing(item: Item<'_>, functions: &BTreeSet<String>) -> Problem {
    let name = item.name;
    let problem = Problem::at(item.key_span(), format!("function `{name}` has no code"));
    let looked = format!(
        "looked for the folder `functions/{name}` and for `functions/{name}.js`, `.ts` and the like; \
         write one, or say code = \"PATH\""
    );
    let others = functions
        .iter()
        .map(String::as_str)
        .filter(|it| *it != name);
    let near = (!item.report.is_long()).then(|| suggest::closest(name, others));
    match near.flatten() {
        Some(other) => problem.help(format!("{looked}; or did you mean function `{other}`?")),
        None => problem.help(looked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_project() {
        assert_eq!(inside("./functions//a.js"), Some("functions/a.js".into()));
        for outside in ["../a.js", "/etc/a.js", "a/../../b", "", ".", "a\0"] {
            assert_eq!(inside(outside), None, "{outside}");
        }
    }
}
