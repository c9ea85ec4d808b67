//! Reading what is to be sent: from a file, from standard input, or from the command line.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

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

    /// Whether it is a whole CloudEvent.
    pub(super) fn is_cloud_event(&self) -> bool {
        #[derive(serde::Deserialize)]
        struct Envelope {
            #[serde(rename = "specversion")]
            _version: serde::de::IgnoredAny,
        }
        serde_json::from_slice::<Envelope>(&self.bytes).is_ok()
    }
}
