//! The AWS listener: which of its services a request is for.

use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::Service};
use wakeful_objects::S3;

use super::{
    LambdaApi,
    answer::{AnswerBody, BodyError},
    route::is_lambda_path,
    signature::{Signature, presigned_service},
};

/// The service name in the scope of Lambda's signatures.
const LAMBDA: &str = "lambda";

/// S3 and Lambda behind one address. Cheap to clone.
#[derive(Clone)]
pub struct AwsDoor {
    s3: S3,
    lambda: LambdaApi,
}

impl AwsDoor {
    /// The door to both.
    pub const fn new(s3: S3, lambda: LambdaApi) -> Self {
        Self { s3, lambda }
    }
}

impl Service<Request<Incoming>> for AwsDoor {
    type Response = Response<AnswerBody>;
    type Error = BodyError;
    type Future = BoxFuture<'static, Result<Response<AnswerBody>, BodyError>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if is_lambda(&request) {
            let lambda = self.lambda.clone();
            return Box::pin(async move { Ok(lambda.serve(request).await) });
        }
        let s3 = self.s3.clone();
        Box::pin(async move {
            let response = s3.answer(request).await?;
            Ok(response.map(|body| body.map_err(BodyError::from).boxed_unsync()))
        })
    }
}

/// A signature names its service. What is not signed is told by its path, so that each client
/// gets an error in its own form.
fn is_lambda<B>(request: &Request<B>) -> bool {
    if let Ok(signature) = Signature::of(request.headers()) {
        return signature.service == LAMBDA;
    }
    match presigned_service(request.uri().query().unwrap_or_default()) {
        Some(service) => service == LAMBDA,
        None => is_lambda_path(request.uri().path()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_of_a_signature_decides() {
        let signed = |service: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/{service}/aws4_request, \
                 SignedHeaders=host, Signature={}",
                "0".repeat(64)
            )
        };
        let list = "/2015-03-31/functions/";
        for (target, authorization, lambda) in [
            (list, Some(signed("lambda")), true),
            (list, Some(signed("s3")), false),
            ("/bucket/key", Some(signed("s3")), false),
            ("/2016-08-19/account-settings", Some(signed("lambda")), true),
            (list, None, true),
            (list, Some("AWS key:signature".to_owned()), true),
            ("/bucket/key", None, false),
            (
                "/2015-03-31/functions/?X-Amz-Credential=k/1/r/s3/aws4_request",
                None,
                false,
            ),
        ] {
            let mut request = Request::builder().uri(target);
            if let Some(authorization) = &authorization {
                request = request.header("authorization", authorization);
            }
            let request = request.body(()).unwrap();
            assert_eq!(is_lambda(&request), lambda, "{target} {authorization:?}");
        }
    }
}
