//! Buckets and objects. Bodies are streamed both ways.

use std::ops::Range;

use axum::{
    Json,
    body::Body as HttpBody,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::prelude::{BASE64_STANDARD, Engine};
use futures::TryStreamExt;
use serde::Deserialize;
use utoipa::IntoParams;
use wakeful_core::name::BucketName;
use wakeful_objects::{Body, BodyError, ByteRange, Expect, Headers, ListQuery, ObjectInfo};

use super::page;
use crate::admin::{
    Admin,
    error::ApiError,
    extract::{Params, Place},
    lingering::Lingering,
    model::{BucketInfo, BucketList, ErrorBody, ObjectEntry, ObjectList},
};

/// The buckets
///
/// All that the manifest declares.
#[utoipa::path(
    get, operation_id = "list_buckets", path = "/v1/buckets", tag = "buckets",
    responses(
        (status = 200, description = "It worked", body = BucketList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn buckets(State(admin): State<Admin>) -> Json<BucketList> {
    let names = admin.control.buckets.buckets();
    let buckets = names.into_iter().map(|name| BucketInfo { name }).collect();
    Json(BucketList { buckets })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only keys that begin with this.
    #[serde(default)]
    #[param(required = false)]
    prefix: String,
    /// Keys that have this after the prefix are folded into one entry of `prefixes`.
    delimiter: Option<String>,
    /// Only keys after this one: the `next` of the page before.
    after: Option<String>,
    /// 1 to 1,000; 100 if not given.
    limit: Option<usize>,
}

/// Objects of a bucket
///
/// In the byte order of their keys.
#[utoipa::path(
    get, operation_id = "list_objects", path = "/v1/buckets/{bucket}/objects", tag = "buckets",
    params(("bucket" = String, Path), ListParams),
    responses(
        (status = 200, description = "It worked", body = ObjectList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn list(
    State(admin): State<Admin>,
    Place(bucket): Place<BucketName>,
    Params(params): Params<ListParams>,
) -> Result<Json<ObjectList>, ApiError> {
    let query = ListQuery {
        prefix: params.prefix,
        delimiter: params.delimiter.filter(|text| !text.is_empty()),
        after: params.after,
        limit: page(params.limit)?,
    };
    let listing = admin.control.buckets.list(&bucket, query).await?;
    Ok(Json(ObjectList {
        objects: listing.objects.into_iter().map(ObjectEntry::from).collect(),
        prefixes: listing.prefixes,
        next: listing.next,
    }))
}

/// Get an object
///
/// Streamed; a `Range` header with one range is honoured.
#[utoipa::path(
    get, operation_id = "get_object", path = "/v1/buckets/{bucket}/objects/{*key}", tag = "buckets",
    params(("bucket" = String, Path), ("key" = String, Path, description = "May contain `/`")),
    responses(
        (status = 200, description = "The object", content_type = "application/octet-stream"),
        (status = 206, description = "A range of it", content_type = "application/octet-stream"),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn get(
    State(admin): State<Admin>,
    Place((bucket, key)): Place<(BucketName, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let range = headers.get(header::RANGE).and_then(parse_range);
    let read = admin.control.buckets.get(&bucket, &key, range).await?;
    let read = read.ok_or_else(|| ApiError::not_found("object", &key))?;
    let mut response = HttpBody::from_stream(read.body).into_response();
    describe(&mut response, &read.info, &read.range);
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let Range { start, end } = read.range;
        let text = format!("bytes {start}-{}/{}", end.saturating_sub(1), read.info.size);
        put(response.headers_mut(), header::CONTENT_RANGE, &text);
    }
    Ok(response)
}

/// What an object is
///
/// The headers of a get, without the body.
#[utoipa::path(
    head, operation_id = "head_object", path = "/v1/buckets/{bucket}/objects/{*key}", tag = "buckets",
    params(("bucket" = String, Path), ("key" = String, Path, description = "May contain `/`")),
    responses(
        (status = 200, description = "The object's headers"),
        (status = "default", description = "Refused")
    )
)]
pub(super) async fn head(
    State(admin): State<Admin>,
    Place((bucket, key)): Place<(BucketName, String)>,
) -> Result<Response, ApiError> {
    let info = admin.control.buckets.head(&bucket, &key).await?;
    let info = info.ok_or_else(|| ApiError::not_found("object", &key))?;
    let mut response = ().into_response();
    describe(&mut response, &info, &(0..info.size));
    Ok(response)
}

/// Put an object
///
/// Streamed; it becomes visible, and its event is owed, once all of it is on disk. `Content-Type`
/// and `Cache-Control` are kept with it; `Content-MD5` is verified; `If-None-Match: *` demands
/// that there is none, `If-Match` that there is one with this ETag.
#[utoipa::path(
    put, operation_id = "put_object", path = "/v1/buckets/{bucket}/objects/{*key}", tag = "buckets",
    params(("bucket" = String, Path), ("key" = String, Path, description = "May contain `/`")),
    request_body(content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It replaced another", body = ObjectEntry),
        (status = 201, description = "It is new", body = ObjectEntry),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn put_object(
    State(admin): State<Admin>,
    Place((bucket, key)): Place<(BucketName, String)>,
    headers: HeaderMap,
    body: HttpBody,
) -> Result<Response, ApiError> {
    let kept = Headers {
        content_type: text_of(&headers, header::CONTENT_TYPE),
        cache_control: text_of(&headers, header::CACHE_CONTROL),
        ..Headers::default()
    };
    let expect = expectation(&headers)?;
    let awaited = headers.contains_key(header::EXPECT);
    let stream = Lingering::new(body.into_data_stream(), awaited)
        .map_err(|error| BodyError::Broken(error.to_string()));
    let body = Body::new(stream)
        .with_size(length(&headers)?)
        .with_md5(md5(&headers)?);
    let written = admin
        .control
        .buckets
        .put(&bucket, &key, kept, body, expect)
        .await?;
    let status = if written.replaced {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, Json(ObjectEntry::from(written.info))).into_response())
}

/// Delete an object
#[utoipa::path(
    delete, operation_id = "delete_object", path = "/v1/buckets/{bucket}/objects/{*key}", tag = "buckets",
    params(("bucket" = String, Path), ("key" = String, Path, description = "May contain `/`")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn remove(
    State(admin): State<Admin>,
    Place((bucket, key)): Place<(BucketName, String)>,
) -> Result<StatusCode, ApiError> {
    if admin.control.buckets.remove(&bucket, &key).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("object", key))
    }
}

/// One range of bytes; anything else in the header is ignored, as RFC 9110 allows.
fn parse_range(value: &HeaderValue) -> Option<ByteRange> {
    let (first, last) = value
        .to_str()
        .ok()?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", last) => Some(ByteRange::Last(number(last)?)),
        (first, "") => Some(ByteRange::From {
            first: number(first)?,
            last: None,
        }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::From {
                first,
                last: Some(last),
            })
        }
    }
}

fn expectation(headers: &HeaderMap) -> Result<Expect, ApiError> {
    let none = text_of(headers, header::IF_NONE_MATCH);
    let some = text_of(headers, header::IF_MATCH);
    match (none.as_deref(), some.as_deref()) {
        (None, None) => Ok(Expect::Anything),
        (Some("*"), None) => Ok(Expect::Absent),
        (None, Some("*")) => Ok(Expect::Present),
        (None, Some(etag)) => Ok(Expect::ETag(etag.trim_matches('"').to_owned())),
        _ => Err(ApiError::Invalid(
            "`If-None-Match: *` or `If-Match` is expected, not both".to_owned(),
        )),
    }
}

fn length(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(text) = text_of(headers, header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let wrong = |_| ApiError::Invalid("Content-Length is no number".to_owned());
    text.parse().map(Some).map_err(wrong)
}

fn md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, ApiError> {
    let Some(text) = text_of(headers, HeaderName::from_static("content-md5")) else {
        return Ok(None);
    };
    let bytes = BASE64_STANDARD.decode(text).ok();
    let digest = bytes.and_then(|bytes| bytes.try_into().ok());
    digest
        .map(Some)
        .ok_or_else(|| ApiError::Invalid("Content-MD5 must be base64 of 16 bytes".to_owned()))
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// The headers that tell what an object is.
fn describe(response: &mut Response, info: &ObjectInfo, range: &Range<u64>) {
    let headers = response.headers_mut();
    let kind = info.headers.content_type.as_deref();
    put(
        headers,
        header::CONTENT_TYPE,
        kind.unwrap_or("application/octet-stream"),
    );
    let length = range.end - range.start;
    put(headers, header::CONTENT_LENGTH, &length.to_string());
    put(headers, header::ETAG, &format!("\"{}\"", info.etag));
    put(headers, header::ACCEPT_RANGES, "bytes");
    // An object is anything that anyone put there: a browser must not run it on our origin.
    put(headers, header::CONTENT_SECURITY_POLICY, "sandbox");
    put(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if let Ok(at) = jiff::Timestamp::from_millisecond(info.modified.as_millis()) {
        let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        put(headers, header::LAST_MODIFIED, &text);
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let from = |first, last| Some(ByteRange::From { first, last });
        for (text, expected) in [
            ("bytes=0-4", from(0, Some(4))),
            ("bytes=5-", from(5, None)),
            ("bytes=-3", Some(ByteRange::Last(3))),
            ("bytes=4-2", None),
            ("bytes=0-1,3-4", None),
            ("items=0-4", None),
            ("bytes=-", None),
        ] {
            let value = HeaderValue::from_static(text);
            assert_eq!(parse_range(&value), expected, "{text}");
        }
    }
}
