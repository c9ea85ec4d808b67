//! Listing objects, with keys folded at a delimiter.

use wakeful_core::{
    limits::{MAX_OBJECT_KEY, MAX_OBJECT_PAGE},
    name::BucketName,
    port::{BucketRef, Object, ObjectsQuery},
};

use super::Buckets;
use crate::{
    error::ObjectError,
    model::{ListQuery, Listing, ObjectInfo},
};

impl Buckets {
    /// One page of the objects of a bucket, in the byte order of their keys.
    pub async fn list(
        &self,
        bucket: &BucketName,
        query: ListQuery,
    ) -> Result<Listing, ObjectError> {
        let bucket = self.bucket(bucket)?;
        let limit = query.limit.min(MAX_OBJECT_PAGE);
        let mut page = Page::new(query, limit);
        // Nothing can be listed: no limit, or a key cannot be that long.
        if limit == 0 || page.query.prefix.len() > MAX_OBJECT_KEY {
            return Ok(page.listing);
        }
        let mut after = page.first_after();
        loop {
            let batch = self
                .batch(&bucket, &page.query.prefix, after, limit + 1)
                .await?;
            let full = batch.len() > limit;
            after = batch.last().map(|object| object.at.key.clone());
            for object in &batch {
                if !page.take(object)? {
                    return Ok(page.listing);
                }
            }
            if !full {
                return Ok(page.listing);
            }
            // The rest of a folded group need not be read.
            after = page.past_group().or(after);
        }
    }

    async fn batch(
        &self,
        bucket: &BucketRef,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Object>, ObjectError> {
        let query = ObjectsQuery {
            bucket: bucket.clone(),
            prefix: prefix.to_owned(),
            after,
            limit,
        };
        Ok(self.0.store.objects(query).await?)
    }
}

/// A page as it fills.
struct Page {
    query: ListQuery,
    limit: usize,
    listing: Listing,
    /// The group that was met last; its keys are passed over.
    group: Option<String>,
    /// The key or group that entered the page last.
    last: Option<String>,
}

impl Page {
    fn new(mut query: ListQuery, limit: usize) -> Self {
        query.delimiter = query.delimiter.filter(|delimiter| !delimiter.is_empty());
        // A page that ended with a group goes on after that group.
        let group = query
            .after
            .as_ref()
            .filter(|after| group_of(&query, after).as_ref() == Some(*after))
            .cloned();
        Self {
            query,
            limit,
            listing: Listing::default(),
            group,
            last: None,
        }
    }

    fn first_after(&self) -> Option<String> {
        self.past_group().or_else(|| self.query.after.clone())
    }

    /// A text after all keys of the last group and before all others.
    fn past_group(&self) -> Option<String> {
        self.group.as_ref().map(|group| {
            let most = char::MAX
                .to_string()
                .repeat(MAX_OBJECT_KEY / char::MAX.len_utf8());
            format!("{group}{most}")
        })
    }

    /// Enters an object; `false` when the page is full and this one is the first of the next.
    fn take(&mut self, object: &Object) -> Result<bool, ObjectError> {
        let key = &object.at.key;
        if self
            .group
            .as_ref()
            .is_some_and(|group| key.starts_with(group.as_str()))
        {
            return Ok(true);
        }
        if self.listing.objects.len() + self.listing.prefixes.len() == self.limit {
            self.listing.next = self.last.take();
            return Ok(false);
        }
        match group_of(&self.query, key) {
            Some(group) => {
                self.listing.prefixes.push(group.clone());
                self.last = Some(group.clone());
                self.group = Some(group);
            }
            None => {
                self.listing.objects.push(ObjectInfo::of(object)?.0);
                self.last = Some(key.clone());
                self.group = None;
            }
        }
        Ok(true)
    }
}

/// The group a key is folded into: up to and with the first delimiter after the prefix.
fn group_of(query: &ListQuery, key: &str) -> Option<String> {
    let delimiter = query.delimiter.as_deref()?;
    let rest = key.strip_prefix(query.prefix.as_str())?;
    let at = rest.find(delimiter)?;
    Some(key[..query.prefix.len() + at + delimiter.len()].to_owned())
}
