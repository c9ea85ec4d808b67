//! Lambda's own API on the AWS listener, so that its clients call us: `Invoke`,
//! `InvokeWithResponseStream`, `ListFunctions`, `GetFunction` and `GetFunctionConfiguration`.
//!
//! `door` tells its requests apart from those of S3. A request is *admitted* when its signature
//! counts (`signature`), then routed (`route`, `reference`), and answered: `invoke` and `stream`
//! run functions through the dispatcher, as `wakeful invoke` does; `functions` describes them.
//! Errors of requests stand in `error`, errors of functions in `failure`. What is asynchronous
//! is a delivery like any other: nothing here knows how it is retried, or where its outcome goes.

mod answer;
mod door;
mod error;
mod eventstream;
mod failure;
mod functions;
mod invoke;
mod lineage;
mod reference;
mod route;
mod signature;
mod stream;
mod tail;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, request};
use hyper::body::Incoming;
use wakeful_core::{id::IdSource, name::FunctionName, port::Clock};
use wakeful_store::History;
use wakeful_workers::Workers;

pub use door::AwsDoor;

use crate::{
    attempts::Attempts,
    deploy::States,
    dispatcher::Dispatcher,
    gateway::{Memory, linger},
    host::Grants,
    live::{LiveCell, Version},
    recorder::Recorder,
    vault::{Principal, Vault},
};
use answer::{AnswerBody, name_request};
use error::{ApiError, of_body};
use reference::Reference;
use route::Operation;
use signature::Signature;

/// The memory that payloads may take while their signatures are checked, bytes.
const PAYLOAD_BYTES: usize = 64 * 1024 * 1024;

/// What the API works with.
pub struct Parts {
    /// What is live.
    pub live: LiveCell,
    /// Runs functions.
    pub dispatcher: Dispatcher,
    /// The attempts that run, some of which call.
    pub attempts: Attempts,
    /// Knows what must not be shown.
    pub recorder: Recorder,
    /// Where the log lines of runs are.
    pub history: History,
    /// Whose keys are whose.
    pub vault: Arc<Vault>,
    /// What functions may invoke.
    pub grants: Grants,
    /// How functions stand.
    pub states: States,
    /// The worker processes.
    pub workers: Workers,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<IdSource>,
}

/// Lambda's API. Cheap to clone.
#[derive(Clone)]
pub struct LambdaApi {
    parts: Arc<Parts>,
    memory: Memory,
}

/// A request whose signature counts.
struct Admitted {
    head: request::Parts,
    body: Bytes,
    /// Who signed it.
    principal: Principal,
    /// The region that it was signed for.
    region: String,
}

impl LambdaApi {
    /// The API to what is live.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            memory: Memory::new(PAYLOAD_BYTES),
        }
    }

    /// Answers one request.
    async fn serve(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let answered = match self.admit(head, body).await {
            Ok(admitted) => self.answer(admitted).await,
            Err(error) => Err(error),
        };
        let mut response = answered.unwrap_or_else(|error| error.response());
        let drawn = self.parts.ids.draw(self.parts.clock.now());
        name_request(&mut response, drawn);
        tracing::debug!(%method, path, status = response.status().as_u16(), "Lambda request");
        response
    }

    /// Reads the body of a request that is signed by somebody who is known, and checks it.
    async fn admit(&self, head: request::Parts, body: Incoming) -> Result<Admitted, ApiError> {
        let signer = self.signer(&head);
        let (signature, principal, secret) = match signer {
            Ok(signer) => signer,
            Err(error) => {
                linger(&head.headers, body);
                return Err(error);
            }
        };
        let most = invoke::most_payload(&head.headers);
        let read = self
            .memory
            .read(&head.headers, body, most, crate::gateway::Refusal::TooLarge);
        let held = read.await.map_err(|refusal| of_body(refusal, most))?;
        signature.check(&secret, &head, &held.bytes)?;
        Ok(Admitted {
            head,
            body: held.bytes,
            principal,
            region: signature.region,
        })
    }

    /// Whose signature it claims to be, and the secret to check it with.
    fn signer(&self, head: &request::Parts) -> Result<(Signature, Principal, String), ApiError> {
        let signature = Signature::of(&head.headers)?;
        let known = self.parts.vault.identify(&signature.access_key);
        let (principal, keys) = known.ok_or(ApiError::UnknownKey)?;
        signature.plausible(head, self.parts.clock.now())?;
        Ok((signature, principal, keys.secret_key))
    }

    async fn answer(&self, admitted: Admitted) -> Result<Response<AnswerBody>, ApiError> {
        let (method, path) = (&admitted.head.method, admitted.head.uri.path());
        let operation = Operation::of(method, path).ok_or_else(|| ApiError::UnknownOperation {
            method: method.to_string(),
            path: path.to_owned(),
        })?;
        match operation {
            Operation::Invoke(name) => self.invoke(&name, admitted).await,
            Operation::InvokeWithResponseStream(name) => self.stream(&name, admitted).await,
            Operation::ListFunctions => self.list(&admitted),
            Operation::GetFunction(name) => self.get(&name, &admitted),
            Operation::GetFunctionConfiguration(name) => self.get_configuration(&name, &admitted),
        }
    }

    /// The function that a request names, as it is live.
    fn find(&self, name: &str, admitted: &Admitted) -> Result<Found, ApiError> {
        let qualifier = route::parameter(&admitted.head.uri, "Qualifier");
        let Reference { name, qualifier } = Reference::parse(name, qualifier)?;
        let live = self.parts.live.load();
        let version = live
            .version(&name)
            .ok_or_else(|| ApiError::NoSuchFunction(reference::arn(&admitted.region, &name)))?;
        match &qualifier {
            Some(asked) if *asked != version.id => Err(ApiError::NoSuchVersion {
                function: reference::arn(&admitted.region, &name),
                qualifier: asked.clone(),
                live: version.id.clone(),
            }),
            _ => Ok(Found {
                version: Arc::clone(version),
                qualifier,
                name,
            }),
        }
    }
}

/// A function that a request names.
struct Found {
    name: FunctionName,
    version: Arc<Version>,
    /// As it was asked for; `None` is what is live.
    qualifier: Option<String>,
}
