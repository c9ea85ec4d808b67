//! Every key of the manifest, once: the reader refuses all others, and the schema that helps
//! editors is made from these lists.

pub(super) mod flow;
mod function;
mod project;
mod retry;
mod trigger;

pub(super) use self::{
    function::{ACCESS, FUNCTION},
    project::{ARCHIVE, BUCKET, DATABASE, ENVIRONMENT, EVENTS, PROJECT, REFERENCE, TOPIC},
    retry::{RETRY, RETRY_KIND, RETRY_ON},
    trigger::{ENDPOINT, ROUTE, TRIGGER},
};

pub(super) const LEVELS: &[&str] = &["read", "write"];
const AUTHS: &[&str] = &["none", "key"];
