//! How clients name functions: a name, an ARN or a part of one, each with a qualifier or without.

use wakeful_core::name::FunctionName;

use super::error::ApiError;

/// There are no accounts here; code that takes ARNs apart finds twelve digits where it looks. The
/// same number stands in `context.invokedFunctionArn`.
pub(super) const ACCOUNT: &str = "000000000000";

/// The qualifier of what is live, whichever version that is.
pub(super) const LATEST: &str = "$LATEST";

/// A function as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// The function.
    pub(super) name: FunctionName,
    /// Which version of it; `None` is what is live.
    pub(super) qualifier: Option<String>,
}

impl Reference {
    /// From a path's segment and the `Qualifier` of the query. Region and account of an ARN may be
    /// any: code brings those of its AWS account along.
    pub(super) fn parse(text: &str, qualifier: Option<String>) -> Result<Self, ApiError> {
        let wrong = || {
            ApiError::InvalidParameter(format!(
                "`{text}` names no function: expected NAME, ACCOUNT:function:NAME or \
                 arn:aws:lambda:REGION:ACCOUNT:function:NAME, each with or without :QUALIFIER"
            ))
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (name, own) = match parts.as_slice() {
            [name] => (*name, None),
            ["function", name] => (*name, None),
            [name, own] => (*name, Some(*own)),
            [_, "function", name] => (*name, None),
            ["function", name, own] | [_, "function", name, own] => (*name, Some(*own)),
            ["arn", _, "lambda", _, _, "function", name] => (*name, None),
            ["arn", _, "lambda", _, _, "function", name, own] => (*name, Some(*own)),
            _ => return Err(wrong()),
        };
        let qualifier = match (own, qualifier) {
            (Some(own), Some(other)) if own != other => {
                return Err(ApiError::InvalidParameter(format!(
                    "The derived qualifier from the function name does not match the specified \
                     qualifier: `{own}` and `{other}`"
                )));
            }
            (Some(own), _) => Some(own.to_owned()),
            (None, other) => other,
        };
        let found = name
            .parse()
            .map_err(|_| ApiError::NoSuchFunction(name.to_owned()))?;
        Ok(Self {
            name: found,
            qualifier: qualifier.filter(|it| it != LATEST),
        })
    }
}

/// The ARN of a function.
pub(super) fn arn(region: &str, function: &FunctionName) -> String {
    format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{function}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_as_on_lambda() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:thumbs";
        for (text, qualifier, expected) in [
            ("thumbs", None, Some(None)),
            ("thumbs", Some("$LATEST"), Some(None)),
            ("thumbs:$LATEST", None, Some(None)),
            ("thumbs:7", None, Some(Some("7"))),
            ("thumbs", Some("7"), Some(Some("7"))),
            ("thumbs:7", Some("7"), Some(Some("7"))),
            ("thumbs:7", Some("8"), None),
            (arn, None, Some(None)),
            (
                "arn:aws-cn:lambda:cn-north-1:1:function:thumbs:7",
                None,
                Some(Some("7")),
            ),
            ("123456789012:function:thumbs", None, Some(None)),
            ("123456789012:function:thumbs:7", None, Some(Some("7"))),
            ("function:thumbs", None, Some(None)),
            ("function:thumbs:7", None, Some(Some("7"))),
            ("arn:aws:s3:::bucket", None, None),
            ("no name", None, None),
            ("", None, None),
        ] {
            let parsed = Reference::parse(text, qualifier.map(str::to_owned));
            let expected = expected.map(|qualifier| Reference {
                name: "thumbs".parse().unwrap(),
                qualifier: qualifier.map(str::to_owned),
            });
            assert_eq!(parsed.ok(), expected, "{text} {qualifier:?}");
        }
    }
}
