//! Reading what is to be sent: from a file, from standard input, or from the command line.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde_json::value::RawValue;
use wakeful_core::limits;

use super::is_dash;
use crate::cli::{error::CliError, words};

/// A payload, and where it came from, in words.
pub(super) struct Payload {
    pub(super) bytes: Vec<u8>,
    pub(super) from: String,
}

impl Payload {
    /// Of a file; `-` is standard input. Larger than a payload may be is refused.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        if is_dash(path) {
            let stdin = io::stdin().lock();
            return Self::take(stdin, "standard input".to_owned());
        }
        let shown = path.display().to_string();
        let unreadable =
            |cause| CliError::input(format!("the payload cannot be read from {shown}: {cause}"));
        let file = File::open(path).map_err(unreadable)?;
        Self::take(file, shown)
    }

    /// Of the command line itself.
    pub(super) fn given(text: &str, flag: &str) -> Result<Self, CliError> {
        Self::take(text.as_bytes(), flag.to_owned())
    }

    fn take(source: impl Read, from: String) -> Result<Self, CliError> {
        let mut bytes = Vec::new();
        let mut source = source.take(limits::MAX_BODY + 1);
        source
            .read_to_end(&mut bytes)
            .map_err(CliError::file(format!("read {from}")))?;
        if bytes.len() as u64 > limits::MAX_BODY {
            return Err(CliError::input(format!(
                "the payload from {from} is larger than {}",
                words::bytes(limits::MAX_BODY)
            )));
        }
        Ok(Self { bytes, from })
    }

    /// Refuses what is no JSON.
    pub(super) fn json(self) -> Result<Self, CliError> {
        match serde_json::from_slice::<serde::de::IgnoredAny>(&self.bytes) {
            Ok(_) => Ok(self),
            Err(error) => Err(CliError::input(format!(
                "the payload from {} is no JSON: {error}",
                self.from
            ))),
        }
    }

    /// What it is to whoever publishes it.
    pub(super) fn shape(&self) -> Shape {
        if is_cloud_event(&self.bytes) {
            return Shape::CloudEvent;
        }
        let elements: Result<Vec<&RawValue>, _> = serde_json::from_slice(&self.bytes);
        let is_event = |element: &&RawValue| is_cloud_event(element.get().as_bytes());
        match elements {
            Ok(elements) if !elements.is_empty() && elements.iter().all(is_event) => Shape::Batch,
            _ => Shape::Data,
        }
    }
}

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A whole CloudEvent.
    CloudEvent,
    /// An array of whole CloudEvents.
    Batch,
    /// Anything else, other arrays too.
    Data,
}

fn is_cloud_event(text: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Envelope {
        #[serde(rename = "specversion")]
        _version: serde::de::IgnoredAny,
    }
    // An array would do for a parser: its first element for the first member.
    text.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<Envelope>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_data_unless_it_is_one_of_cloud_events() {
        for (text, expected) in [
            ("[1]", Shape::Data),
            (" [ \"1.0\" ] ", Shape::Data),
            ("[]", Shape::Data),
            ("[[1]]", Shape::Data),
            (r#"[{"a":1}]"#, Shape::Data),
            (r#"[{"specversion":"1.0"},{"a":1}]"#, Shape::Data),
            (r#"[{"specversion":"1.0"},["1.0"]]"#, Shape::Data),
            (
                r#"[{"specversion":"1.0"},{"specversion":"1.0"}]"#,
                Shape::Batch,
            ),
            (
                "\n {\"id\":\"a\",\"specversion\":\"1.0\"}",
                Shape::CloudEvent,
            ),
            (r#"{"a":1}"#, Shape::Data),
            ("1", Shape::Data),
            ("no JSON", Shape::Data),
        ] {
            let payload = Payload::given(text, "--data").unwrap();
            assert_eq!(payload.shape(), expected, "{text}");
        }
    }
}
