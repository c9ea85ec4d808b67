//! `init`: a small project to start from.

use std::{fs, path::Path};

use wakeful_core::name::ProjectName;

use super::out;
use crate::{
    cli::{args::InitArgs, error::CliError, out::Format},
    options::MANIFEST,
};

const FUNCTION: &str = "'use strict';

// Answers `GET /hello/{name}`. `req` and `res` are as in Express.
exports.greet = async (req, res) => {
  console.log('greeting', req.params.name);
  res.json({ hello: req.params.name });
};

// Runs every minute, and whenever `wakeful invoke hello --handler tick` asks for it.
exports.tick = async (event, context) => {
  console.log('tick', event.time, 'attempt', context.attempt);
};
";

const IGNORE: &str = ".wakeful/\nnode_modules/\n.env\n";

fn manifest(name: &ProjectName) -> String {
    format!(
        "#:schema .wakeful/schema.json
name = \"{name}\"

[function.hello]
code = \"functions/hello.js\"
auth = \"none\"                     # who may call its routes: none or key

[function.hello.routes]
\"GET /hello/{{name}}\" = \"greet\"

[[function.hello.on]]
schedule = \"every 1m\"
handler  = \"tick\"
"
    )
}

pub(super) fn run(args: &InitArgs) -> Result<(), CliError> {
    let dir = &args.dir;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(dir)?,
    };
    if dir.join(MANIFEST).exists() {
        return Err(CliError::Input {
            message: format!("{} is there already", dir.join(MANIFEST).display()),
            help: Some("choose another folder, or go on with what is there".to_owned()),
        });
    }
    let schema = serde_json::to_string_pretty(&wakeful_core::manifest::schema())
        .map_err(|error| CliError::input(error.to_string()))?;
    // The manifest comes last: a folder without one is no project, and `init` can be run again.
    let files = [
        ("functions/hello.js", FUNCTION.to_owned()),
        (".gitignore", IGNORE.to_owned()),
        (".wakeful/schema.json", schema),
        (MANIFEST, manifest(&name)),
    ];
    let mut made = Vec::new();
    for (file, text) in files {
        if write_new(&dir.join(file), &text)? {
            made.push(file);
        }
    }
    let mut out = out(args.json);
    if out.format == Format::Json {
        return out.json(&serde_json::json!({ "project": name, "folder": dir, "files": made }));
    }
    for file in made {
        out.line(&format!("made {}", dir.join(file).display()))?;
    }
    let shown = dir.display();
    out.line(&format!("\nNow:  wakeful dev {shown}"))?;
    out.line("then  curl http://127.0.0.1:8080/hello/world")
}

/// Writes a file unless it is there; whether it was written.
fn write_new(path: &Path, text: &str) -> Result<bool, CliError> {
    let failed = |path: &Path| CliError::file(format!("write {}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed(folder))?;
    }
    if path.exists() {
        return Ok(false);
    }
    fs::write(path, text).map_err(failed(path))?;
    Ok(true)
}

/// The folder's name, with what no name may have left out.
fn name_of(dir: &Path) -> Result<ProjectName, CliError> {
    let shown = dir.display();
    let full = std::path::absolute(dir)
        .map_err(CliError::file(format!("find out the full path of {shown}")))?;
    let folder = full.file_name().unwrap_or_default().to_string_lossy();
    let plain: String = folder
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let plain = plain.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let plain: String = plain.trim_end_matches('-').chars().take(63).collect();
    plain.parse().map_err(|_| CliError::Input {
        message: format!("no project name can be made of the folder's name `{folder}`"),
        help: Some("give one with --name".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use wakeful_core::manifest::{Files, Found, Source, load};

    use super::*;

    struct Made;

    impl Files for Made {
        fn look(&self, path: &Path) -> Found {
            match path.to_str() {
                Some("functions/hello.js") => Found::File,
                _ => Found::Nothing,
            }
        }
    }

    #[test]
    fn what_is_made_is_a_good_manifest() {
        let source = Source {
            name: MANIFEST.into(),
            text: manifest(&"my-app".parse().unwrap()),
        };
        for environment in ["dev", "production"] {
            let loaded = load(&source, &environment.parse().unwrap(), &Made);
            let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            assert_eq!(loaded.project.triggers().count(), 2);
        }
    }

    #[test]
    fn names_of_folders() {
        for (folder, expected) in [
            ("/srv/photos", Some("photos")),
            ("/srv/my app.v2", Some("my-app-v2")),
            ("/srv/9lives", Some("lives")),
            ("/srv/123", None),
            ("/", None),
        ] {
            let name = name_of(Path::new(folder)).ok();
            assert_eq!(name.as_ref().map(ProjectName::as_str), expected, "{folder}");
        }
    }
}
