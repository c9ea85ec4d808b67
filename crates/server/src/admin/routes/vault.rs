//! Secrets and keys.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use wakeful_core::name::{KeyName, SecretName};

use crate::{
    admin::{
        Admin,
        error::ApiError,
        extract::{Input, Place},
        model::{
            ErrorBody, KeyEntry, KeyList, NewKey, NewKeyReply, SecretEntry, SecretList, SecretValue,
        },
    },
    vault::{Vault, VaultError},
};

/// The secrets
///
/// Their names; no request reads a value.
#[utoipa::path(
    get, operation_id = "list_secrets", path = "/v1/secrets", tag = "secrets",
    responses(
        (status = 200, description = "It worked", body = SecretList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn secrets(State(admin): State<Admin>) -> Json<SecretList> {
    let names = admin.control.vault.secret_names();
    let entry = |(name, at)| SecretEntry {
        name,
        updated_at: at,
    };
    let names = names.into_iter().map(|(name, at)| (name, at.into()));
    Json(SecretList {
        secrets: names.map(entry).collect(),
    })
}

/// Set a secret
///
/// Functions get the new value with their next version or start.
#[utoipa::path(
    put, operation_id = "set_secret", path = "/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path)),
    request_body = SecretValue,
    responses(
        (status = 204, description = "It is set"),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn set_secret(
    State(admin): State<Admin>,
    Place(name): Place<SecretName>,
    Input(secret): Input<SecretValue>,
) -> Result<StatusCode, ApiError> {
    let now = admin.control.clock.now();
    change(&admin, move |vault| {
        vault.set_secret(&name, &secret.value, now)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a secret
#[utoipa::path(
    delete, operation_id = "delete_secret", path = "/v1/secrets/{name}", tag = "secrets",
    params(("name" = String, Path)),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn remove_secret(
    State(admin): State<Admin>,
    Place(name): Place<SecretName>,
) -> Result<StatusCode, ApiError> {
    let wanted = name.clone();
    if change(&admin, move |vault| vault.remove_secret(&wanted)).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("secret", name))
    }
}

/// The keys
///
/// Their names and what they open; the keys themselves are kept nowhere.
#[utoipa::path(
    get, operation_id = "list_keys", path = "/v1/keys", tag = "secrets",
    responses(
        (status = 200, description = "It worked", body = KeyList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn keys(State(admin): State<Admin>) -> Json<KeyList> {
    let keys = admin.control.vault.keys();
    Json(KeyList {
        keys: keys.into_iter().map(KeyEntry::from).collect(),
    })
}

/// Make a key
///
/// The answer is the only place where the key itself ever stands.
#[utoipa::path(
    post, operation_id = "create_key", path = "/v1/keys", tag = "secrets",
    request_body = NewKey,
    responses(
        (status = 201, description = "It is made", body = NewKeyReply),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn create_key(
    State(admin): State<Admin>,
    Input(NewKey { name, kind }): Input<NewKey>,
) -> Result<(StatusCode, Json<NewKeyReply>), ApiError> {
    let now = admin.control.clock.now();
    let wanted = name.clone();
    let key = change(&admin, move |vault| vault.create_key(&wanted, kind, now)).await?;
    let reply = NewKeyReply { name, kind, key };
    Ok((StatusCode::CREATED, Json(reply)))
}

/// Remove a key
///
/// It is refused from now on.
#[utoipa::path(
    delete, operation_id = "delete_key", path = "/v1/keys/{name}", tag = "secrets",
    params(("name" = String, Path)),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn remove_key(
    State(admin): State<Admin>,
    Place(name): Place<KeyName>,
) -> Result<StatusCode, ApiError> {
    let wanted = name.clone();
    if change(&admin, move |vault| vault.remove_key(&wanted)).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("key", name))
    }
}

/// Changes the vault, which waits for the disk, where waiting is allowed.
async fn change<T: Send + 'static>(
    admin: &Admin,
    act: impl FnOnce(&Vault) -> Result<T, VaultError> + Send + 'static,
) -> Result<T, ApiError> {
    let vault = Arc::clone(&admin.control.vault);
    let done = tokio::task::spawn_blocking(move || act(&vault)).await;
    Ok(done.map_err(|_| ApiError::Internal("changing the vault"))??)
}
