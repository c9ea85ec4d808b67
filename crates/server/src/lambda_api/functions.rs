//! `ListFunctions`, `GetFunction`, `GetFunctionConfiguration`: what functions are and how they
//! stand. Only what is true here is told; docs/lambda-api.md says what is left out.

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{Response, StatusCode};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wakeful_core::{delivery::Failure, name::FunctionName};

use super::{
    Admitted, Found, LambdaApi,
    answer::{AnswerBody, whole},
    error::ApiError,
    reference,
    route::parameter,
};
use crate::{control::FunctionState, live::Version, vault::Principal};

/// Functions in one page: what Lambda returns at most, whatever is asked for.
const PAGE: usize = 50;
/// The most that `MaxItems` may be.
const MOST_ITEMS: usize = 10_000;
const MIB: u64 = 1024 * 1024;

impl LambdaApi {
    pub(super) fn list(&self, admitted: &Admitted) -> Result<Response<AnswerBody>, ApiError> {
        let uri = &admitted.head.uri;
        let items = match parameter(uri, "MaxItems") {
            None => PAGE,
            Some(text) => items(&text)?,
        };
        let marker = parameter(uri, "Marker");
        let live = self.parts.live.load();
        let mut versions: Vec<_> = live
            .versions()
            .filter(|version| self.sees(admitted, &version.function.name))
            .filter(|version| {
                let name = version.function.name.as_str();
                marker.as_deref().is_none_or(|marker| name > marker)
            })
            .collect();
        versions.sort_by(|a, b| a.function.name.cmp(&b.function.name));
        let is_last = versions.len() <= items;
        versions.truncate(items);
        let next = versions.last().filter(|_| !is_last);
        let next = next.map(|version| version.function.name.to_string());
        let shown = versions
            .iter()
            .map(|version| self.configuration(version, None, admitted));
        let body = json!({ "Functions": shown.collect::<Vec<_>>(), "NextMarker": next });
        Ok(whole(StatusCode::OK, body.to_string()))
    }

    pub(super) fn get(
        &self,
        name: &str,
        admitted: &Admitted,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let found = self.visible(name, admitted)?;
        let body = json!({
            "Configuration": self.configuration_of(&found, admitted),
            "Concurrency": {
                "ReservedConcurrentExecutions": found.version.function.concurrency,
            },
        });
        Ok(whole(StatusCode::OK, body.to_string()))
    }

    pub(super) fn get_configuration(
        &self,
        name: &str,
        admitted: &Admitted,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let found = self.visible(name, admitted)?;
        let body = self.configuration_of(&found, admitted);
        Ok(whole(StatusCode::OK, body.to_string()))
    }

    fn visible(&self, name: &str, admitted: &Admitted) -> Result<Found, ApiError> {
        let found = self.find(name, admitted)?;
        match self.sees(admitted, &found.name) {
            true => Ok(found),
            false => Err(ApiError::Denied(format!(
                "this key may not look at `{0}`: if it should, add access = {{ function = [\"{0}\"] \
                 }} to its function in wakeful.toml",
                found.name
            ))),
        }
    }

    /// A function sees itself and what it may invoke.
    fn sees(&self, admitted: &Admitted, name: &FunctionName) -> bool {
        match &admitted.principal {
            Principal::Project => true,
            Principal::Function(own) => own == name || self.parts.grants.reaches(own, name),
        }
    }

    fn configuration_of(&self, found: &Found, admitted: &Admitted) -> Value {
        self.configuration(&found.version, found.qualifier.as_deref(), admitted)
    }

    fn configuration(
        &self,
        version: &Version,
        qualifier: Option<&str>,
        admitted: &Admitted,
    ) -> Value {
        let function = &version.function;
        let arn = reference::arn(&admitted.region, &function.name);
        let mut configuration = json!({
            "FunctionName": function.name,
            "FunctionArn": match qualifier {
                Some(qualifier) => format!("{arn}:{qualifier}"),
                None => arn,
            },
            "Runtime": format!("nodejs{}.x", function.node),
            "Handler": handler(version),
            "Description": "",
            "Timeout": function.timeout.as_millis().div_ceil(1000),
            "MemorySize": function.memory / MIB,
            "LastModified": made_at(version),
            "CodeSha256": BASE64_STANDARD.encode(Sha256::digest(&version.id)),
            "Version": version.id,
            "PackageType": "Zip",
            "Architectures": [architecture()],
            "LoggingConfig": {
                "LogFormat": "Text",
                "LogGroup": format!("/aws/lambda/{}", function.name),
            },
        });
        let (state, _) = self.parts.states.get(&function.name);
        let tell = |failure| self.parts.recorder.redacted(failure).message;
        for (key, value) in standing(state, tell) {
            configuration[key] = value.into();
        }
        configuration
    }
}

fn items(text: &str) -> Result<usize, ApiError> {
    let number: Option<usize> = text.parse().ok();
    let number = number.filter(|number| (1..=MOST_ITEMS).contains(number));
    number.map(|number| number.min(PAGE)).ok_or_else(|| {
        ApiError::InvalidParameter(format!(
            "MaxItems must be a number from 1 to {MOST_ITEMS}, not `{text}`"
        ))
    })
}

/// The state in Lambda's words.
fn standing(state: FunctionState, tell: impl Fn(Failure) -> String) -> Vec<(&'static str, String)> {
    let pairs = |pairs: &[(&'static str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| (*key, (*value).to_owned()));
        pairs.collect::<Vec<_>>()
    };
    match state {
        FunctionState::Live => pairs(&[("State", "Active"), ("LastUpdateStatus", "Successful")]),
        FunctionState::Loading => pairs(&[
            ("State", "Pending"),
            ("StateReason", "The function is being loaded."),
            ("StateReasonCode", "Creating"),
            ("LastUpdateStatus", "InProgress"),
        ]),
        FunctionState::Outdated(failure) => pairs(&[
            ("State", "Active"),
            ("LastUpdateStatus", "Failed"),
            ("LastUpdateStatusReason", &tell(failure)),
            ("LastUpdateStatusReasonCode", "FunctionError"),
        ]),
        FunctionState::Broken(failure) => pairs(&[
            ("State", "Failed"),
            ("StateReason", &tell(failure)),
            ("StateReasonCode", "FunctionError"),
            ("LastUpdateStatus", "Failed"),
        ]),
    }
}

/// `folder/file.export`, as `_HANDLER` has it in the function.
fn handler(version: &Version) -> String {
    let named = version.handlers().iter().flatten().next();
    let export = named.map_or("handler", |name| name.as_str());
    let code = &version.function.code;
    let file = match version.pool.spec().entry.is_dir() {
        true => code.join("index"),
        false => code.with_extension(""),
    };
    format!("{}.{export}", file.display())
}

/// When the copy was made that this version runs from.
fn made_at(version: &Version) -> Option<String> {
    let copy = std::fs::metadata(&version.pool.spec().root).ok()?;
    let made: Timestamp = copy.modified().ok()?.try_into().ok()?;
    let made = made.to_zoned(TimeZone::UTC);
    Some(made.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string())
}

const fn architecture() -> &'static str {
    match cfg!(target_arch = "aarch64") {
        true => "arm64",
        false => "x86_64",
    }
}

#[cfg(test)]
mod tests {
    use wakeful_core::delivery::FailureKind;

    use super::*;

    #[test]
    fn pages_have_fifty_functions_at_most() {
        for (text, expected) in [
            ("1", Some(1)),
            ("50", Some(50)),
            ("10000", Some(50)),
            ("0", None),
            ("10001", None),
            ("many", None),
        ] {
            assert_eq!(items(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn states_are_told_in_words_of_lambda() {
        let why = Failure::ours(FailureKind::Load, "no such file");
        for (state, active, update) in [
            (FunctionState::Live, "Active", "Successful"),
            (FunctionState::Loading, "Pending", "InProgress"),
            (FunctionState::Outdated(why.clone()), "Active", "Failed"),
            (FunctionState::Broken(why), "Failed", "Failed"),
        ] {
            let told = standing(state, |failure| failure.message);
            let value = |key| {
                told.iter()
                    .find(|(found, _)| *found == key)
                    .map(|(_, v)| v.as_str())
            };
            assert_eq!(value("State"), Some(active));
            assert_eq!(value("LastUpdateStatus"), Some(update));
        }
    }
}
