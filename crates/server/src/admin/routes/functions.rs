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
        model::{Accepted, ErrorBody, FunctionInfo, FunctionList, InvokeReply, PauseInfo},
    },
    control::{Invocation, Invoked},
    tools::Deferral,
};

use super::duration;

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
pub(super) async fn list(State(admin): State<Admin>) -> Result<Json<FunctionList>, ApiError> {
    Ok(Json(FunctionList {
        functions: all(&admin).await?,
    }))
}

async fn all(admin: &Admin) -> Result<Vec<FunctionInfo>, ApiError> {
    let functions = admin.operations.functions().await.into_iter();
    let mut functions: Vec<_> = functions.map(FunctionInfo::from).collect();
    for function in &mut functions {
        (function.held, function.dead) = admin.tools.held_and_dead(&function.name).await?;
        function.triggers = admin.tools.triggers_of(&function.name);
    }
    for pause in admin.tools.pauses().await? {
        let mut paused = functions.iter_mut();
        if let Some(function) = paused.find(|function| function.name == pause.function) {
            function.pauses.push(PauseInfo::from(pause));
        }
    }
    Ok(functions)
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
    let mut functions = all(&admin).await?.into_iter();
    let function = functions.find(|function| function.name == name);
    if let Some(function) = function {
        return Ok(Json(function));
    }
    admin.tools.known(&name)?;
    Err(ApiError::not_found("function", &name))
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
    /// How long it is not to be started: `5m`. Only with `wait=false`.
    delay: Option<String>,
    /// Its ordering key. Only with `wait=false`.
    key: Option<String>,
    /// A second invocation with this word is left out, for a day. Only with `wait=false`.
    dedup: Option<String>,
}

impl InvokeParams {
    fn wishes(&self) -> Result<Deferral, ApiError> {
        Ok(Deferral {
            delay: duration("delay", self.delay.as_deref())?,
            key: self.key.clone(),
            dedup: self.dedup.clone(),
        })
    }
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
        (status = 202, description = "The event is on disk (`wait=false`)", body = Accepted),
        (status = "default", description = "Refused; no user code was started", body = ErrorBody)
    )
)]
pub(super) async fn invoke(
    State(admin): State<Admin>,
    Place(function): Place<FunctionName>,
    Params(params): Params<InvokeParams>,
    Payload(payload): Payload,
) -> Result<Response, ApiError> {
    let wishes = params.wishes()?;
    if params.wait && wishes != Deferral::default() {
        return Err(ApiError::Invalid(
            "`delay`, `key` and `dedup` are for what is not waited for: say `wait=false`"
                .to_owned(),
        ));
    }
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
    let asked = wishes.asked(admin.control.clock.now())?;
    let receipt = admin.operations.invoke_async(invocation, asked).await?;
    let accepted = Accepted::of(receipt).ok_or(ApiError::Internal("taking the event in"))?;
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
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
