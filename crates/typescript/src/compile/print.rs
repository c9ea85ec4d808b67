//! Writing the result down, with a map of where its lines came from.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use swc_common::{FileName, SourceMap, source_map::SourceMapGenConfig, sync::Lrc};
use swc_ecma_ast::Program;
use swc_ecma_codegen::{Config, Emitter, text_writer::JsWriter};

use super::imports::{DYNAMIC_IMPORT, DYNAMIC_IMPORT_NAME};
use crate::options::Format;

/// The text of a program, with its map at the end.
pub(super) fn print(map: &Lrc<SourceMap>, program: &Program, name: &str, format: Format) -> String {
    let mut text = Vec::new();
    let mut mappings = Vec::new();
    let writer = JsWriter::new(Lrc::clone(map), "\n", &mut text, Some(&mut mappings));
    let mut emitter = Emitter {
        cfg: Config::default(),
        cm: Lrc::clone(map),
        comments: None,
        wr: writer,
    };
    // Only writing can fail, and memory takes all.
    let _ = emitter.emit_program(program);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if format == Format::CommonJs && text.contains(DYNAMIC_IMPORT_NAME) {
        text += DYNAMIC_IMPORT;
    }
    let mut json = Vec::new();
    let built = map.build_source_map(&mappings, None, Sources { name });
    if built.to_writer(&mut json).is_ok() {
        text += "\n//# sourceMappingURL=data:application/json;base64,";
        STANDARD.encode_string(&json, &mut text);
        text.push('\n');
    }
    text
}

/// The map names the file by its last name: both lie in the same folder, as Node sees it.
struct Sources<'a> {
    name: &'a str,
}

impl SourceMapGenConfig for Sources<'_> {
    fn file_name_to_source(&self, _: &FileName) -> String {
        // The name is part of a URL there.
        let mut url = String::with_capacity(self.name.len());
        for byte in self.name.bytes() {
            match byte {
                b'%' | b'?' | b'#' | b'\\' | b'"' | b':' => url += &format!("%{byte:02X}"),
                0..=b' ' | 127.. => url += &format!("%{byte:02X}"),
                _ => url.push(char::from(byte)),
            }
        }
        url
    }

    fn inline_sources_content(&self, _: &FileName) -> bool {
        false
    }
}
