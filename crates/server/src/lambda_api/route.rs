//! Which operation a request asks for.

use http::{Method, Uri};

use super::signature::decode;

/// An operation, with the function as the path names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    /// `Invoke`.
    Invoke(String),
    /// `InvokeWithResponseStream`.
    InvokeWithResponseStream(String),
    /// `ListFunctions`.
    ListFunctions,
    /// `GetFunction`.
    GetFunction(String),
    /// `GetFunctionConfiguration`.
    GetFunctionConfiguration(String),
}

/// The operations there are, for people.
pub(super) const SUPPORTED: &str = "Invoke, InvokeWithResponseStream, ListFunctions, GetFunction, \
     GetFunctionConfiguration";

/// Lambda's paths begin with the date of an API version.
pub(super) fn is_lambda_path(path: &str) -> bool {
    let mut segments = path.trim_start_matches('/').split('/');
    let version = segments.next().unwrap_or_default();
    let is_date = version.len() == 10
        && version
            .bytes()
            .enumerate()
            .all(|(place, byte)| match place {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
    is_date && segments.next() == Some("functions")
}

impl Operation {
    /// `None` for what there is not.
    pub(super) fn of(method: &Method, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let function = |text: &str| String::from_utf8(decode(text)).ok();
        Some(match (method, segments.as_slice()) {
            (&Method::GET, ["2015-03-31", "functions"]) => Self::ListFunctions,
            (&Method::GET, ["2015-03-31", "functions", name]) => Self::GetFunction(function(name)?),
            (&Method::GET, ["2015-03-31", "functions", name, "configuration"]) => {
                Self::GetFunctionConfiguration(function(name)?)
            }
            (&Method::POST, ["2015-03-31", "functions", name, "invocations"]) => {
                Self::Invoke(function(name)?)
            }
            (
                &Method::POST,
                [
                    "2021-11-15",
                    "functions",
                    name,
                    "response-streaming-invocations",
                ],
            ) => Self::InvokeWithResponseStream(function(name)?),
            _ => return None,
        })
    }
}

/// A parameter of the query, decoded; an empty one is none.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = uri.query()?.split('&').filter_map(|it| it.split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    String::from_utf8(decode(value))
        .ok()
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_told_by_method_and_path() {
        let named = |name: &str| name.to_owned();
        for (method, path, operation) in [
            (
                Method::GET,
                "/2015-03-31/functions/",
                Some(Operation::ListFunctions),
            ),
            (
                Method::GET,
                "/2015-03-31/functions",
                Some(Operation::ListFunctions),
            ),
            (
                Method::GET,
                "/2015-03-31/functions/f",
                Some(Operation::GetFunction(named("f"))),
            ),
            (
                Method::GET,
                "/2015-03-31/functions/f/configuration",
                Some(Operation::GetFunctionConfiguration(named("f"))),
            ),
            (
                Method::POST,
                "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aa%3A0%3Afunction%3Af/invocations",
                Some(Operation::Invoke(named("arn:aws:lambda:a:0:function:f"))),
            ),
            (
                Method::POST,
                "/2021-11-15/functions/f/response-streaming-invocations",
                Some(Operation::InvokeWithResponseStream(named("f"))),
            ),
            (Method::POST, "/2015-03-31/functions", None),
            (Method::DELETE, "/2015-03-31/functions/f", None),
            (Method::GET, "/2016-08-19/account-settings", None),
        ] {
            assert_eq!(Operation::of(&method, path), operation, "{method} {path}");
        }
    }

    #[test]
    fn paths_of_lambda_are_not_taken_for_buckets() {
        for (path, is_lambda) in [
            ("/2015-03-31/functions/", true),
            (
                "/2021-11-15/functions/f/response-streaming-invocations",
                true,
            ),
            ("/photos/functions/", false),
            ("/2015-03-31/other", false),
            ("/", false),
        ] {
            assert_eq!(is_lambda_path(path), is_lambda, "{path}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let uri: Uri = "/x?Qualifier=%24LATEST&Marker=&A=b".parse().unwrap();
        assert_eq!(parameter(&uri, "Qualifier").as_deref(), Some("$LATEST"));
        assert_eq!(parameter(&uri, "Marker"), None);
        assert_eq!(parameter(&uri, "B"), None);
    }
}
