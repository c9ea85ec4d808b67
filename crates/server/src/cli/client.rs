//! Speaks to the admin API.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader, Read},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Agent, Body, SendBody,
    http::{Method, Request, Response, StatusCode, header},
};

use super::error::CliError;
use crate::admin::model::{ErrorBody, ErrorInfo};

/// How long to wait for a connection: the server is near.
const CONNECT: Duration = Duration::from_secs(5);
/// How long to wait for a sign of life.
const ALIVE: Duration = Duration::from_secs(10);
/// The largest JSON answer that is read, bytes.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// A server's admin API.
pub(super) struct Client {
    agent: Agent,
    base: String,
    authorization: String,
}

/// A query, part by part.
#[derive(Default)]
pub(super) struct Query(String);

impl Query {
    /// Adds `name=value`, if there is a value.
    pub(super) fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.0.push(if self.0.is_empty() { '?' } else { '&' });
            self.0.push_str(name);
            self.0.push('=');
            self.0.push_str(&encode(&value.to_string()));
        }
        self
    }
}

impl Client {
    pub(super) fn new(base: String, key: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            // The server is named by its address; a proxy for the web has no part in this.
            .proxy(None)
            .max_redirects(0)
            .build();
        Self {
            agent: config.new_agent(),
            base,
            authorization: format!("Bearer {key}"),
        }
    }

    /// Whether a server is there at all; the error says why not.
    pub(super) fn answers(&self) -> Result<(), String> {
        let request = self
            .agent
            .get(format!("{}/healthz", self.base))
            .config()
            .timeout_global(Some(ALIVE))
            .build();
        match request.call() {
            Ok(response) if response.status() == StatusCode::OK => Ok(()),
            // Something answers; whether it lets us in, the next request tells.
            Ok(response) if response.status() == StatusCode::MISDIRECTED_REQUEST => Ok(()),
            Ok(response) => Err(format!("it answers {}", response.status())),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str, query: Query) -> Result<T, CliError> {
        let response = self.stream(path, query)?;
        self.read(path, response)
    }

    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query,
        body: Vec<u8>,
    ) -> Result<T, CliError> {
        self.post_as(path, query, "application/json", body)
    }

    /// A body of any content type in, JSON out.
    pub(super) fn post_as<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<T, CliError> {
        let path = format!("{path}{}", query.0);
        let request = self.request(Method::POST, &path)?;
        let request = request.header(header::CONTENT_TYPE, content_type);
        let response = self.send(&path, request.body(body))?;
        self.read(&path, response)
    }

    /// The whole body of an answer that is no JSON of ours, of at most `most` bytes.
    pub(super) fn bytes(&self, path: &str, most: u64) -> Result<Vec<u8>, CliError> {
        let response = self.stream(path, Query::default())?;
        let body = response.into_body().into_with_config().limit(most);
        body.read_to_vec().map_err(|error| broken(path, &error))
    }

    pub(super) fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.post(path, Query::default(), self.json(body)?)
    }

    pub(super) fn post_json_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.post(path, query, self.json(body)?)
    }

    /// A change that is answered without a body.
    pub(super) fn put_json(&self, path: &str, body: &impl Serialize) -> Result<(), CliError> {
        let request = self.request(Method::PUT, path)?;
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.send(path, request.body(self.json(body)?)).map(drop)
    }

    pub(super) fn delete(&self, path: &str) -> Result<(), CliError> {
        let request = self.request(Method::DELETE, path)?;
        self.send(path, request.body(())).map(drop)
    }

    /// A streamed body in, JSON out. A length that is known goes along, so that a body that
    /// breaks off is noticed.
    pub(super) fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: Option<&str>,
        length: Option<u64>,
        body: &mut dyn Read,
    ) -> Result<T, CliError> {
        // Nothing is sent before the server wants it: a refusal comes before the body.
        let mut request = self.request(Method::PUT, path)?;
        request = request.header(header::EXPECT, "100-continue");
        if let Some(kind) = content_type {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(length) = length {
            request = request.header(header::CONTENT_LENGTH, length);
        }
        let response = self.send(path, request.body(SendBody::from_reader(body)))?;
        self.read(path, response)
    }

    /// An answer whose body the caller reads.
    pub(super) fn stream(&self, path: &str, query: Query) -> Result<Response<Body>, CliError> {
        let path = format!("{path}{}", query.0);
        let request = self.request(Method::GET, &path)?;
        self.send(&path, request.body(()))
    }

    /// Each line that is not empty of a streamed answer that has no end: when it ends, or breaks
    /// off, the server is gone. A line that says why the server ends it becomes that error.
    pub(super) fn follow<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query,
        mut each: impl FnMut(T) -> Result<(), CliError>,
    ) -> Result<Infallible, CliError> {
        let body = self.stream(path, query)?.into_body();
        let reader = BufReader::new(body.into_with_config().limit(u64::MAX).reader());
        for line in reader.lines() {
            let Ok(line) = line else { break };
            if line.is_empty() {
                continue;
            }
            match serde_json::from_str::<T>(&line) {
                Ok(item) => each(item)?,
                Err(error) => {
                    return Err(match serde_json::from_str::<ErrorBody>(&line) {
                        Ok(body) if body.error.code == "stopping" => break,
                        Ok(body) => CliError::Refused(body.error),
                        Err(_) => broken(path, &error),
                    });
                }
            }
        }
        Err(CliError::NoServer {
            message: "the server stopped".to_owned(),
            help: "once it runs again, ask again".to_owned(),
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
    ) -> Result<ureq::http::request::Builder, CliError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        let request = request.header(header::AUTHORIZATION, &self.authorization);
        match request.headers_ref() {
            Some(_) => Ok(request),
            None => Err(CliError::NoKey(
                "the admin key or the address of the server has characters that cannot be sent"
                    .to_owned(),
            )),
        }
    }

    fn send(
        &self,
        path: &str,
        request: Result<Request<impl ureq::AsSendBody>, ureq::http::Error>,
    ) -> Result<Response<Body>, CliError> {
        let request = request.map_err(|error| broken(path, &error))?;
        let response = self
            .agent
            .run(request)
            .map_err(|error| self.lost(path, error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(CliError::Refused(refusal(response)))
    }

    fn lost(&self, path: &str, error: ureq::Error) -> CliError {
        match error {
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => CliError::NoServer {
                message: format!("no server answers at {}", self.base),
                help: "start it with `wakeful dev` or `wakeful serve`".to_owned(),
            },
            other => broken(path, &other),
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        response: Response<Body>,
    ) -> Result<T, CliError> {
        let text = response
            .into_body()
            .into_with_config()
            .limit(MAX_ANSWER)
            .read_to_vec()
            .map_err(|error| broken(path, &error))?;
        serde_json::from_slice(&text).map_err(|error| broken(path, &error))
    }

    fn json(&self, body: &impl Serialize) -> Result<Vec<u8>, CliError> {
        serde_json::to_vec(body).map_err(|error| broken("", &error))
    }
}

fn broken(path: &str, cause: &dyn std::fmt::Display) -> CliError {
    let path = super::words::brief(path.split('?').next().unwrap_or_default(), 80);
    CliError::Broken {
        doing: format!("the exchange with the server failed ({path})"),
        cause: cause.to_string(),
    }
}

/// What a refusal says; something else than a server of ours may have answered.
fn refusal(response: Response<Body>) -> ErrorInfo {
    let status = response.status();
    let body = response.into_body().read_to_vec().unwrap_or_default();
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(body) => body.error,
        Err(_) => ErrorInfo {
            code: match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "unauthorized",
                StatusCode::NOT_FOUND => "not_found",
                _ => "unknown",
            }
            .to_owned(),
            message: format!("the server answered {status}"),
            help: None,
        },
    }
}

/// A text as one segment of a path, or as a value of a query: everything but RFC 3986's
/// unreserved characters is encoded.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An object's key as the rest of a path: slashes stay. A segment that is only dots is encoded
/// as well, so that nobody on the way takes it for a way up.
pub(super) fn encode_key(key: &str) -> String {
    let segment = |text: &str| match text {
        "." | ".." => text.replace('.', "%2E"),
        _ => encode(text),
    };
    key.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_queries_are_encoded() {
        assert_eq!(
            encode_key("a b/ü?#%/../."),
            "a%20b/%C3%BC%3F%23%25/%2E%2E/%2E"
        );
        assert_eq!(encode("a/b"), "a%2Fb");
        let query = Query::default()
            .with("function", Some("f"))
            .with("state", None::<&str>)
            .with("contains", Some("a&b=c"));
        assert_eq!(query.0, "?function=f&contains=a%26b%3Dc");
    }
}
