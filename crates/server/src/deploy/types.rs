//! The types of the `wakeful` module, where editors find them: `DATA/types/wakeful.d.ts`, named by
//! `"include"` in the user's `tsconfig.json`.

use std::{fs, io, path::Path};

use wakeful_workers::module_types;

/// Writes them, unless they are there. They are a help: without them all else works.
pub(super) fn write_types(data: &Path) {
    let file = data.join("types/wakeful.d.ts");
    if let Err(error) = write(&file) {
        tracing::warn!(path = %file.display(), %error, "the types of the `wakeful` module cannot be written");
    }
}

fn write(file: &Path) -> io::Result<()> {
    let types = module_types();
    if fs::read(file).is_ok_and(|there| *there == *types) {
        return Ok(());
    }
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    // An editor that reads it meanwhile reads it whole.
    let beside = file.with_extension("ts.new");
    fs::write(&beside, types)?;
    fs::rename(beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_written_once() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("types/wakeful.d.ts");
        write(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("declare module 'wakeful'"), "{text}");
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        write(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
        fs::write(&file, "of another version").unwrap();
        write(&file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}
