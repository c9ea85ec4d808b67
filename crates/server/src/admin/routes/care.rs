//! Backups.

use axum::{Json, extract::State};
use wakeful_store::backup::WithHistory;

use crate::admin::{
    Admin,
    error::ApiError,
    extract::Input,
    model::{BackupInfo, BackupOrder, ErrorBody},
};

/// Make a backup
///
/// A consistent copy of the data folder, as of one commit, while everything goes on. It answers
/// when the copy is whole and checked.
#[utoipa::path(
    post, operation_id = "make_backup", path = "/v1/backups", tag = "server",
    request_body = BackupOrder,
    responses(
        (status = 200, description = "It is made", body = BackupInfo),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn backup(
    State(admin): State<Admin>,
    Input(order): Input<BackupOrder>,
) -> Result<Json<BackupInfo>, ApiError> {
    if !order.to.is_absolute() {
        let text = "`to` must be a path from the root of the server's machine";
        return Err(ApiError::Invalid(text.to_owned()));
    }
    let history = match order.history {
        true => WithHistory::Yes,
        false => WithHistory::No,
    };
    let summary = admin.operations.backup(order.to.clone(), history).await?;
    Ok(Json(BackupInfo::of(&order.to, summary)))
}
