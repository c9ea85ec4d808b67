//! Functions and their invocation.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;
use wakeful_core::name::{FunctionName, HandlerName};

use crate::{
    admin::{
        Admin,
        error::ApiError,
        extract::{Params, Payload, Place},
        model::{ErrorBody, FunctionInfo, FunctionList, InvokeAccepted, InvokeReply},
    },
    control::{Invocation, Invoked},
};

/// The functions
///
/// All functions of the project, by name, and what wakes them.
#[utoipa::path(
    get, operation_id = "list_functions", path = "/v1/functions", tag = "functions",
    responses(
        (status = 200, description = "It worked", body = FunctionList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn list(State(admin): State<Admin>) -> Json<FunctionList> {
    let functions = admin.operations.functions().await;
    Json(FunctionList {
        functions: functions.into_iter().map(FunctionInfo::from).collect(),
    })
}

/// One function
#[utoipa::path(
    get, operation_id = "get_function", path = "/v1/functions/{name}", tag = "functions",
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "It worked", body = FunctionInfo),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn one(
    State(admin): State<Admin>,
    Place(name): Place<FunctionName>,
) -> Result<Json<FunctionInfo>, ApiError> {
    let mut functions = admin.operations.functions().await.into_iter();
    let status = functions.find(|status| status.name == name);
    let status = status.ok_or_else(|| ApiError::not_found("function", &name))?;
    Ok(Json(status.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InvokeParams {
    /// The export to call; without it the style's default.
    #[param(value_type = Option<String>)]
    handler: Option<HandlerName>,
    /// `false` to store an event and not wait for the function.
    #[serde(default = "yes")]
    #[param(default = true, required = false)]
    wait: bool,
}

fn yes() -> bool {
    true
}

/// Invoke a function
///
/// The body is the payload: a whole CloudEvent (it has `specversion`), or any JSON value, which
/// becomes the data of an event of the type `wakeful.function.invoke`; an empty body is `{}`.
/// A function that fails is answered with 200 and `failure`.
#[utoipa::path(
    post, operation_id = "invoke_function", path = "/v1/functions/{name}/invocations", tag = "functions",
    params(("name" = String, Path), InvokeParams),
    request_body(content = Object, description = "The payload", content_type = "application/json"),
    responses(
        (status = 200, description = "It ran", body = InvokeReply),
        (status = 202, description = "The event is on disk (`wait=false`)", body = InvokeAccepted),
        (status = "default", description = "Refused; no user code was started", body = ErrorBody)
    )
)]
pub(super) async fn invoke(
    State(admin): State<Admin>,
    Place(function): Place<FunctionName>,
    Params(params): Params<InvokeParams>,
    Payload(payload): Payload,
) -> Result<Response, ApiError> {
    let payload = if payload.is_empty() {
        Bytes::from_static(b"{}")
    } else {
        payload
    };
    let invocation = Invocation {
        function,
        handler: params.handler,
        payload,
    };
    if params.wait {
        let invoked = admin.operations.invoke(invocation).await?;
        return Ok(Json(reply(invoked)?).into_response());
    }
    let event = admin.operations.invoke_async(invocation).await?;
    Ok((StatusCode::ACCEPTED, Json(InvokeAccepted { event })).into_response())
}

fn reply(invoked: Invoked) -> Result<InvokeReply, ApiError> {
    let (result, failure) = match invoked.result {
        Ok(json) if json.is_empty() => (None, None),
        Ok(json) => {
            let raw: Box<RawValue> = serde_json::from_slice(&json)
                .map_err(|_| ApiError::Internal("reading the function's result as JSON"))?;
            (Some(raw), None)
        }
        Err(failure) => (None, Some(failure.into())),
    };
    Ok(InvokeReply {
        run: invoked.run,
        result,
        failure,
    })
}
