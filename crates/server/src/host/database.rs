//! `db.*`: SQL of functions.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wakeful_core::{
    manifest::Resource,
    name::{DatabaseName, FunctionName},
    project::Level,
};
use wakeful_databases::{ErrorCode, Owner, Query, QueryError, TxId};
use wakeful_workers::{Body, HostCall, HostError, HostErrorCode, HostReply};

use super::{HostCalls, Nothing, denied, error_of, invalid, owner, params, reply};

#[derive(Deserialize)]
struct QueryParams {
    database: DatabaseName,
    sql: String,
    params: Option<Box<RawValue>>,
    tx: Option<u64>,
}

#[derive(Deserialize)]
struct TxParams {
    database: DatabaseName,
    tx: Option<u64>,
}

#[derive(Serialize)]
struct Begun {
    tx: u64,
}

impl HostCalls {
    pub(super) async fn database(&self, call: HostCall) -> Result<HostReply, HostError> {
        if call.op == "db.query" {
            return self.query(call).await;
        }
        let TxParams { database, tx } = params(&call)?;
        self.may_use(&call.function, &database, Level::Write)?;
        let owner = owner_of(&call)?;
        if call.op == "db.begin" {
            self.open.lock().insert(owner);
            let TxId(tx) = self
                .parts
                .databases
                .begin(&database, owner)
                .await
                .map_err(host_error)?;
            return reply(&Begun { tx });
        }
        let tx = TxId(tx.ok_or_else(|| invalid(format!("{}: `tx` is missing", call.op)))?);
        let attempt = call.run.and_then(|key| self.parts.attempts.find(key));
        if attempt.is_some_and(|attempt| attempt.owns(tx)) {
            return Err(invalid("this transaction ends with its once()"));
        }
        match call.op.as_str() {
            "db.commit" => self.parts.databases.commit(tx, owner).await,
            _ => self.parts.databases.rollback(tx, owner).await,
        }
        .map_err(host_error)?;
        reply(&Nothing {})
    }

    pub(super) fn may_use(
        &self,
        function: &FunctionName,
        database: &DatabaseName,
        level: Level,
    ) -> Result<Level, HostError> {
        let resource = Resource::Database(database.clone());
        let checked = self.parts.grants.check(function, &resource, level);
        checked.map_err(denied)
    }

    /// Reading is tried with reading rights. Where a statement turns out to write, the right to
    /// write must be declared, or is lent and reported in `dev`.
    async fn query(&self, call: HostCall) -> Result<HostReply, HostError> {
        let QueryParams {
            database,
            sql,
            params,
            tx,
        } = params(&call)?;
        let level = self.may_use(&call.function, &database, Level::Read)?;
        let owner = call.run.map_or(Owner(0), owner);
        let query = |access| Query {
            database: &database,
            sql: sql.clone(),
            params: params.clone(),
            access,
            tx: tx.map(TxId),
            owner,
        };
        let databases = &self.parts.databases;
        let result = match databases.query(query(level)).await {
            Err(error) if error.code == ErrorCode::Denied && level == Level::Read => {
                let level = self
                    .may_use(&call.function, &database, Level::Write)
                    .map_err(|why| denied(format!("{}; {why}", error.message)))?;
                databases.query(query(level)).await
            }
            other => other,
        };
        let result = result.map_err(host_error)?;
        Ok(HostReply {
            head: result.json,
            body: Body::empty(),
        })
    }
}

fn owner_of(call: &HostCall) -> Result<Owner, HostError> {
    call.run.map(owner).ok_or_else(|| {
        invalid("a transaction belongs to an attempt: begin it in a handler, not at load time")
    })
}

pub(super) fn host_error(error: QueryError) -> HostError {
    let code = match error.code {
        ErrorCode::NotFound => HostErrorCode::NotFound,
        ErrorCode::Denied => HostErrorCode::Denied,
        ErrorCode::Invalid => HostErrorCode::Invalid,
        ErrorCode::Conflict => HostErrorCode::Conflict,
        ErrorCode::TooLarge => HostErrorCode::TooLarge,
        ErrorCode::Unavailable => HostErrorCode::Unavailable,
        ErrorCode::Failed => HostErrorCode::Failed,
    };
    error_of(code, error.to_string())
}
