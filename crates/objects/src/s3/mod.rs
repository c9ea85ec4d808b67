//! The S3 protocol over `Buckets`: what a request may do, and how answers look on the wire.
//!
//! The s3s crate parses requests, checks signatures and writes XML; what is stored, and when it is
//! visible, is decided in `buckets`. Bodies are streamed both ways; only XML documents and HTML
//! forms are collected, up to a limit.

mod access;
mod auth;
mod bucket;
mod convert;
mod copy;
mod delete;
mod error;
mod idle;
mod incoming;
mod list;
mod multipart;
mod object;
mod protocol;
mod serve;

use std::sync::Arc;

use futures::future::BoxFuture;
use http::{
    HeaderValue, Method, Request, Response,
    header::{CONNECTION, CONTENT_TYPE, EXPECT},
};
use hyper::{body::Incoming, service::Service};
use s3s::{
    HttpError, S3Error, S3ErrorCode,
    config::{S3Config, StaticConfigProvider},
    service::{S3Service, S3ServiceBuilder},
};
use tokio::sync::Semaphore;
use wakeful_core::limits::{MAX_OBJECT_FORM, MAX_OBJECT_XML, OBJECT_FORMS, OBJECT_IDLE};

use crate::buckets::Buckets;
pub use auth::{Credential, Credentials, Grant};
pub use serve::serve;

/// The answer to an S3 request, on its way.
pub type S3Future = BoxFuture<'static, Result<Response<s3s::Body>, HttpError>>;

/// The S3 protocol as a hyper service. Cheap to clone.
#[derive(Clone)]
pub struct S3 {
    service: S3Service,
    buckets: Buckets,
    forms: Arc<Semaphore>,
}

impl S3 {
    /// Serves these buckets to those who have credentials.
    pub fn new(buckets: Buckets, credentials: Arc<dyn Credentials>) -> Self {
        let mut config = S3Config::default();
        config.xml_max_body_size = MAX_OBJECT_XML;
        config.post_object_max_file_size = MAX_OBJECT_FORM;
        config.form_max_fields_size = MAX_OBJECT_XML;
        let mut builder = S3ServiceBuilder::new(protocol::Protocol {
            buckets: buckets.clone(),
            credentials: credentials.clone(),
        });
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(auth::Secrets(credentials.clone()));
        builder.set_access(access::Grants(credentials));
        builder.set_host(bucket::Hosts);
        builder.set_validation(bucket::Names);
        Self {
            service: builder.build(),
            buckets,
            forms: Arc::new(Semaphore::new(OBJECT_FORMS)),
        }
    }

    /// Answers one request.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<s3s::Body>, HttpError> {
        let form = is_form(&request);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let waits_for_go = request.headers().contains_key(EXPECT);
        let rest = idle::Rest::default();
        let request = request
            .map(|body| s3s::Body::http_body_unsync(idle::IdleBody::new(body, rest.clone())));
        let mut response = if form {
            self.answer_form(request).await?
        } else {
            self.service.call(request).await?
        };
        response = error::with_message(response);
        // A client that waits for `100 Continue` has not begun with its body, and may not at all.
        let reusable = if waits_for_go {
            !rest.is_left()
        } else {
            rest.drain().await
        };
        if !reusable {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let id = format!("{:016X}", self.buckets.draw());
        tracing::debug!(id, %method, path, status = response.status().as_u16(), "S3 request");
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-amz-request-id", id);
        }
        Ok(response)
    }

    /// A form is held in memory before its signature is known: few at once, and not for long.
    async fn answer_form(
        &self,
        request: Request<s3s::Body>,
    ) -> Result<Response<s3s::Body>, HttpError> {
        let Ok(_permit) = self.forms.try_acquire() else {
            return refuse(
                S3ErrorCode::SlowDown,
                "too many HTML forms are being uploaded: try again",
            );
        };
        match tokio::time::timeout(OBJECT_IDLE, self.service.call(request)).await {
            Ok(answer) => answer,
            Err(_) => refuse(
                S3ErrorCode::RequestTimeout,
                "the form took too long: put the object instead",
            ),
        }
    }
}

fn is_form(request: &Request<Incoming>) -> bool {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    request.method() == Method::POST
        && content_type.is_some_and(|value| {
            value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("multipart/form-data")
        })
}

fn refuse(code: S3ErrorCode, message: &'static str) -> Result<Response<s3s::Body>, HttpError> {
    S3Error::with_message(code, message)
        .to_http_response()
        .map_err(|error| HttpError::new(Box::new(error)))
}

impl Service<Request<Incoming>> for S3 {
    type Response = Response<s3s::Body>;
    type Error = HttpError;
    type Future = S3Future;

    fn call(&self, request: Request<Incoming>) -> S3Future {
        let s3 = self.clone();
        Box::pin(async move { s3.answer(request).await })
    }
}
