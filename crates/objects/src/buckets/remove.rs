//! Removing objects.

use wakeful_core::name::BucketName;

use super::Buckets;
use crate::{error::ObjectError, model::Expect};

impl Buckets {
    /// Removes an object; `false`, and no event, when there is none.
    pub async fn remove(&self, bucket: &BucketName, key: &str) -> Result<bool, ObjectError> {
        self.remove_if(bucket, key, Expect::Anything).await
    }

    /// Removes an object under a condition.
    pub async fn remove_if(
        &self,
        bucket: &BucketName,
        key: &str,
        expect: Expect,
    ) -> Result<bool, ObjectError> {
        let at = self.place(bucket, key)?;
        let inner = self.0.clone();
        self.see_through(inner.withdraw(at, expect, self.1)).await
    }
}
