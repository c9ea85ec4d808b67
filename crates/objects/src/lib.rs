//! The buckets of Wakeful: the S3 protocol and blob storage, indexed through the store's transaction.
