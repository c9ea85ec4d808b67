//! Refusals of the admin API: one exhaustive match from error to status and code.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use wakeful_core::{
    limits,
    port::{StoreError, SubmitError},
};
use wakeful_objects::ObjectError;
use wakeful_store::{HistoryError, backup::BackupError};

use super::model::{ErrorBody, ErrorInfo};
use crate::{control::InvokeError, tools::ToolError, vault::VaultError};

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("an admin key is needed")]
    Unauthorized,
    #[error("this admin key is not known")]
    UnknownKey,
    #[error("this server does not go by the name `{0}`")]
    WrongHost(String),
    #[error("there is no {what} `{name}`")]
    NotFound { what: &'static str, name: String },
    #[error("there is no such route")]
    NoSuchRoute,
    #[error("this route does not take that method")]
    MethodNotAllowed,
    #[error("{0}")]
    Invalid(String),
    #[error("the body is larger than {} KiB", .0 / 1024)]
    TooLarge(usize),
    #[error("the server did not answer in {} s", limits::ADMIN_TIMEOUT.as_secs())]
    Timeout,
    #[error("too many clients follow the logs: at most {}", limits::LOG_FOLLOWERS)]
    TooManyFollowers,
    #[error("the server failed while {0}")]
    Internal(&'static str),
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// A status and the word for it that programs rely on.
type Answer = (StatusCode, &'static str);

const NOT_FOUND: Answer = (StatusCode::NOT_FOUND, "not_found");
const INVALID: Answer = (StatusCode::BAD_REQUEST, "invalid_request");
const TOO_LARGE: Answer = (StatusCode::PAYLOAD_TOO_LARGE, "too_large");
const CONFLICT: Answer = (StatusCode::CONFLICT, "conflict");
const OVERLOADED: Answer = (StatusCode::SERVICE_UNAVAILABLE, "overloaded");
const STOPPING: Answer = (StatusCode::SERVICE_UNAVAILABLE, "stopping");
const DISK_FULL: Answer = (StatusCode::INSUFFICIENT_STORAGE, "disk_full");
const STORE: Answer = (StatusCode::INTERNAL_SERVER_ERROR, "store_failed");
const DAMAGED: Answer = (StatusCode::INTERNAL_SERVER_ERROR, "damaged");
const UNKNOWN: Answer = (StatusCode::INTERNAL_SERVER_ERROR, "outcome_unknown");
const INTERNAL: Answer = (StatusCode::INTERNAL_SERVER_ERROR, "internal");

impl ApiError {
    pub(super) fn not_found(what: &'static str, name: impl ToString) -> Self {
        let name = name.to_string();
        Self::NotFound { what, name }
    }

    fn answer(&self) -> Answer {
        match self {
            Self::Unauthorized | Self::UnknownKey => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::WrongHost(_) => (StatusCode::MISDIRECTED_REQUEST, "wrong_host"),
            Self::NotFound { .. } => NOT_FOUND,
            Self::NoSuchRoute => (StatusCode::NOT_FOUND, "no_such_route"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Invalid(_) => INVALID,
            Self::TooLarge(_) => TOO_LARGE,
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Self::TooManyFollowers => OVERLOADED,
            Self::Internal(_) => INTERNAL,
            Self::Invoke(error) => of_invoke(error),
            Self::Store(error) => of_store(error),
            Self::History(_) => (StatusCode::INTERNAL_SERVER_ERROR, "history_failed"),
            Self::Object(error) => of_object(error),
            Self::Vault(error) => of_vault(error),
            Self::Tool(error) => of_tool(error),
            Self::Backup(error) => of_backup(error),
        }
    }

    /// What to do, where the message does not say it already.
    fn help(&self) -> Option<String> {
        match self {
            Self::Tool(ToolError::NotFound { help, .. }) => help.clone(),
            _ => self.fixed_help().map(str::to_owned),
        }
    }

    fn fixed_help(&self) -> Option<&'static str> {
        match self {
            Self::Unauthorized => Some(
                "send `Authorization: Bearer <admin key>`; the commands take it from WAKEFUL_KEY, \
                 or from the data folder of a server on this machine",
            ),
            Self::UnknownKey => Some(
                "it was removed, or it is another server's; the commands take it from WAKEFUL_KEY \
                 where that is set, and otherwise from the data folder of a server on this machine",
            ),
            Self::WrongHost(_) => {
                Some("reach it by its IP address, by `localhost`, or by the name it was given")
            }
            Self::NoSuchRoute | Self::MethodNotAllowed => {
                Some("GET /openapi.json lists every route")
            }
            Self::Timeout => Some("a change may have taken effect: look before trying again"),
            Self::TooManyFollowers => Some("end one of them first"),
            Self::Object(error) if error.may_have_happened() => {
                Some("the change may have taken effect: look before trying again")
            }
            Self::Invoke(InvokeError::Store(StoreError::Unknown(_)))
            | Self::Store(StoreError::Unknown(_))
            | Self::Tool(
                ToolError::Store(StoreError::Unknown(_))
                | ToolError::Submit(SubmitError::Store(StoreError::Unknown(_))),
            ) => Some("the change may have taken effect: look once the server was restarted"),
            _ => None,
        }
    }
}

fn of_invoke(error: &InvokeError) -> Answer {
    match error {
        InvokeError::NoSuchFunction(_) => NOT_FOUND,
        InvokeError::NoSuchHandler { .. } => NOT_FOUND,
        InvokeError::Payload(_) | InvokeError::OnlyHttp(_) => INVALID,
        InvokeError::Overloaded(_) => OVERLOADED,
        InvokeError::Store(error) => of_store(error),
        InvokeError::Stopping => STOPPING,
    }
}

fn of_store(error: &StoreError) -> Answer {
    match error {
        StoreError::Conflict(_) => CONFLICT,
        StoreError::DiskFull => DISK_FULL,
        StoreError::ReadOnly(_) | StoreError::Failed(_) => STORE,
        StoreError::Damaged(_) => DAMAGED,
        StoreError::Unknown(_) => UNKNOWN,
        StoreError::Closed => STOPPING,
    }
}

fn of_submit(error: &SubmitError) -> Answer {
    match error {
        SubmitError::Store(error) => of_store(error),
        SubmitError::NoSuchFunction(_) | SubmitError::NoSuchTopic(_) => NOT_FOUND,
        SubmitError::Stopping => STOPPING,
    }
}

fn of_tool(error: &ToolError) -> Answer {
    match error {
        ToolError::NotFound { .. } => NOT_FOUND,
        ToolError::Invalid(_) => INVALID,
        ToolError::Stopping => STOPPING,
        ToolError::Store(error) => of_store(error),
        ToolError::History(_) => (StatusCode::INTERNAL_SERVER_ERROR, "history_failed"),
        ToolError::Submit(error) => of_submit(error),
        ToolError::Internal(_) => INTERNAL,
    }
}

fn of_backup(error: &BackupError) -> Answer {
    match error {
        BackupError::Occupied { .. } | BackupError::InUse { .. } => CONFLICT,
        BackupError::NoBackup { .. } | BackupError::NotAFolder { .. } => NOT_FOUND,
        BackupError::Newer { .. } => INVALID,
        BackupError::Damaged { .. } => DAMAGED,
        BackupError::Full { .. } => DISK_FULL,
        BackupError::Stopped { .. } => STOPPING,
        BackupError::Failed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "backup_failed"),
    }
}

fn of_object(error: &ObjectError) -> Answer {
    match error {
        ObjectError::NoSuchBucket { .. }
        | ObjectError::NoSuchKey { .. }
        | ObjectError::NoSuchUpload { .. } => NOT_FOUND,
        ObjectError::Precondition { .. } => (StatusCode::PRECONDITION_FAILED, "precondition"),
        ObjectError::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "range"),
        ObjectError::TooLarge { .. } | ObjectError::MetadataTooLarge { .. } => TOO_LARGE,
        ObjectError::Idle => (StatusCode::REQUEST_TIMEOUT, "idle"),
        ObjectError::Key { .. }
        | ObjectError::Header { .. }
        | ObjectError::Body(_)
        | ObjectError::Length { .. }
        | ObjectError::Md5
        | ObjectError::Checksum { .. }
        | ObjectError::MalformedChecksum { .. }
        | ObjectError::Coverage { .. }
        | ObjectError::PartNumber { .. }
        | ObjectError::InvalidPart { .. }
        | ObjectError::PartOrder { .. }
        | ObjectError::NoParts
        | ObjectError::PartTooSmall { .. } => INVALID,
        ObjectError::Contended { .. } => CONFLICT,
        ObjectError::DiskFull => DISK_FULL,
        ObjectError::Disk { .. } => STORE,
        ObjectError::Damaged { .. } | ObjectError::Metadata(_) => DAMAGED,
        ObjectError::Submit(error) => of_submit(error),
        ObjectError::Store(error) => of_store(error),
        ObjectError::Stopping => STOPPING,
    }
}

fn of_vault(error: &VaultError) -> Answer {
    match error {
        VaultError::InvalidValue(_) => INVALID,
        VaultError::KeyExists(_) | VaultError::Full { .. } => CONFLICT,
        VaultError::InUse { .. }
        | VaultError::Newer { .. }
        | VaultError::WrongKey { .. }
        | VaultError::NoKey { .. }
        | VaultError::InvalidKey { .. }
        | VaultError::Damaged { .. }
        | VaultError::Io { .. }
        | VaultError::Random(_)
        | VaultError::Seal => (StatusCode::INTERNAL_SERVER_ERROR, "vault_failed"),
    }
}

/// The message with everything that caused it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl ApiError {
    pub(super) fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorInfo {
                code: self.answer().1.to_owned(),
                message: chain(self),
                help: self.help(),
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.answer();
        if status.is_server_error() {
            tracing::warn!(code, "admin request failed: {}", chain(&self));
        }
        let mut response = (status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        match &self {
            Self::Unauthorized | Self::UnknownKey => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"wakeful\""),
                );
            }
            Self::Object(ObjectError::Range { size }) => {
                if let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}")) {
                    headers.insert(header::CONTENT_RANGE, range);
                }
            }
            _ => {}
        }
        response
    }
}
