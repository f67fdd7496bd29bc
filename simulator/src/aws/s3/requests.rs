//! The S3 API over HTTP: which operation a call asks for, and the answers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::bucket::{Bucket, Content, Versioning};
use super::listing::{self, Asked, Entry, PAGE_LIMIT};
use super::refusal::Refusal;
use super::state::{S3, check_id, content, find, new_id};
use crate::aws::wire::{Call, Reply, element, http_date};
use crate::aws::xml::Element;
use crate::environment::Environment;
use crate::lock::lock;

/// The most keys that one `DeleteObjects` takes.
const DELETE_LIMIT: usize = 1000;

/// Headers of an object that come back with it, beside the user's metadata.
const KEPT_HEADERS: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

/// The beginning of the names of the user's metadata.
const METADATA: &str = "x-amz-meta-";

/// What headers beginning with `x-amz-` do no more than to sign a call, to name its client or to guard its transport.
const OF_TRANSPORT: [&str; 8] = [
    "x-amz-checksum-",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-sdk-",
    "x-amz-security-token",
    "x-amz-trailer",
    "x-amz-user-agent",
    METADATA,
];

/// A call, read.
pub(super) struct Request<'c> {
    pub bucket: &'c str,
    /// Empty for the bucket itself.
    pub key: Cow<'c, str>,
    query: BTreeMap<String, String>,
}

impl<'c> Request<'c> {
    pub fn of(call: &'c Call) -> Self {
        let path = call.path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let (_, query) = call.uri.split_once('?').unwrap_or_default();
        Self {
            bucket,
            key: percent_decode_str(key).decode_utf8_lossy(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        }
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub fn operation(&self, call: &Call) -> Option<&'static str> {
        let has = |name| self.query.contains_key(name);
        Some(match (call.method.as_str(), self.key.is_empty()) {
            ("PUT", false) if call.headers.contains_key("x-amz-copy-source") => "CopyObject",
            ("PUT", false) => "PutObject",
            ("GET", false) => "GetObject",
            ("HEAD", false) => "HeadObject",
            ("DELETE", false) => "DeleteObject",
            ("HEAD", true) if !self.bucket.is_empty() => "HeadBucket",
            ("POST", true) if has("delete") => "DeleteObjects",
            ("GET", true) if self.query("list-type") == Some("2") => "ListObjectsV2",
            ("GET", true) if has("versions") => "ListObjectVersions",
            ("GET", true) if has("versioning") => "GetBucketVersioning",
            ("PUT", true) if has("versioning") => "PutBucketVersioning",
            ("GET", true) if has("lifecycle") => "GetBucketLifecycleConfiguration",
            ("PUT", true) if has("lifecycle") => "PutBucketLifecycleConfiguration",
            ("DELETE", true) if has("lifecycle") => "DeleteBucketLifecycle",
            ("GET", true) if has("policy") => "GetBucketPolicy",
            ("PUT", true) if has("policy") => "PutBucketPolicy",
            ("DELETE", true) if has("policy") => "DeleteBucketPolicy",
            _ => return None,
        })
    }

    /// What of a call the simulator would not heed.
    fn unheeded(&self, call: &Call, operation: &str) -> Option<String> {
        let heeded: &[&str] = match operation {
            "GetObject" | "HeadObject" | "DeleteObject" => &["versionId"],
            "DeleteObjects" => &["delete"],
            "ListObjectsV2" => &[
                "list-type",
                "prefix",
                "delimiter",
                "max-keys",
                "continuation-token",
                "start-after",
                "encoding-type",
            ],
            "ListObjectVersions" => &[
                "versions",
                "prefix",
                "delimiter",
                "max-keys",
                "key-marker",
                "version-id-marker",
                "encoding-type",
            ],
            "GetBucketVersioning" | "PutBucketVersioning" => &["versioning"],
            "GetBucketLifecycleConfiguration" | "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => {
                &["lifecycle"]
            }
            "GetBucketPolicy" | "PutBucketPolicy" | "DeleteBucketPolicy" => &["policy"],
            _ => &[],
        };
        let mut asked = self.query.keys();
        let asked = asked.find(|name| *name != "x-id" && !heeded.contains(&name.as_str()));
        let of_copies = ["x-amz-copy-source", "x-amz-metadata-directive"];
        let mut headers = call.headers.keys().map(http::HeaderName::as_str);
        let header = headers.find(|name| {
            let is_known = OF_TRANSPORT.iter().any(|beginning| name.starts_with(beginning))
                || (operation == "CopyObject" && of_copies.contains(name));
            name.starts_with("if-") || *name == "range" || (name.starts_with("x-amz-") && !is_known)
        });
        asked.cloned().or(header.map(str::to_owned))
    }

    /// The version that is asked for.
    pub fn version_id(&self) -> Option<&str> {
        self.query("versionId")
    }
}

impl S3 {
    pub(super) fn reply_to(&self, environment: &Environment, call: &Call, operation: &str) -> Reply {
        let request = Request::of(call);
        let answer = match (request.operation(call), request.unheeded(call, operation)) {
            (None, _) => Err(not_implemented("this operation")),
            (_, Some(what)) => Err(not_implemented(&what)),
            _ => self.perform(environment, call, operation, &request),
        };
        let mut reply = answer.unwrap_or_else(|refusal| refusal.reply());
        // An answer to HEAD has no body, so S3 can give no code.
        if call.method == "HEAD" {
            reply.body.clear();
        }
        reply
    }

    fn perform(
        &self,
        environment: &Environment,
        call: &Call,
        operation: &str,
        request: &Request<'_>,
    ) -> Result<Reply, Refusal> {
        let mut buckets = lock(&self.buckets);
        let (key, now) = (&*request.key, environment.now());
        let id = || new_id(environment);
        if operation == "CopyObject" {
            return copy(&mut buckets, environment, call, request);
        }
        let bucket = find(&mut buckets, &call.region, request.bucket)?;
        match operation {
            "HeadBucket" => Ok(xml(200, "")),
            "PutObject" => {
                let content = Content::new(call.body.clone(), kept_headers(call));
                let etag = content.etag.clone();
                let version = bucket.put(key, content, now, id);
                Ok(xml(200, "").with("etag", etag).with_version(bucket, &version))
            }
            "GetObject" | "HeadObject" => get(bucket, key, request.version_id()),
            "DeleteObject" => delete(bucket, environment, key, request.version_id()),
            "DeleteObjects" => delete_all(bucket, environment, &call.body),
            "ListObjectsV2" => list_objects(bucket, request),
            "ListObjectVersions" => list_versions(bucket, request),
            "GetBucketVersioning" => {
                let status = bucket.versioning.status().map(|status| element("Status", status));
                let status = status.unwrap_or_default();
                Ok(xml(
                    200,
                    &format!("<VersioningConfiguration>{status}</VersioningConfiguration>"),
                ))
            }
            "PutBucketVersioning" => {
                bucket.versioning = versioning(&call.body)?;
                Ok(xml(200, ""))
            }
            "GetBucketLifecycleConfiguration" => match &bucket.lifecycle {
                Some(document) => Ok(Reply::new(200, "application/xml", document.to_vec())),
                None => {
                    let message = "The lifecycle configuration does not exist";
                    Err(Refusal::new(404, "NoSuchLifecycleConfiguration", message))
                }
            },
            "PutBucketLifecycleConfiguration" => {
                read_xml(&call.body, "LifecycleConfiguration")?;
                bucket.lifecycle = Some(call.body.clone());
                Ok(xml(200, ""))
            }
            "DeleteBucketLifecycle" => {
                bucket.lifecycle = None;
                Ok(xml(204, ""))
            }
            "GetBucketPolicy" => match &bucket.policy {
                Some(document) => Ok(Reply::new(200, "application/json", document.to_vec())),
                None => Err(Refusal::new(
                    404,
                    "NoSuchBucketPolicy",
                    "The bucket policy does not exist",
                )),
            },
            "PutBucketPolicy" => {
                if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&call.body).is_err() {
                    let message = "Policies must be valid JSON and the first byte must be '{'";
                    return Err(Refusal::new(400, "MalformedPolicy", message));
                }
                bucket.policy = Some(call.body.clone());
                Ok(xml(204, ""))
            }
            "DeleteBucketPolicy" => {
                bucket.policy = None;
                Ok(xml(204, ""))
            }
            _ => Err(not_implemented(operation)),
        }
    }
}

fn get(bucket: &Bucket, key: &str, id: Option<&str>) -> Result<Reply, Refusal> {
    let (version, content) = content(bucket, key, id)?;
    let has_type = content.headers.iter().any(|(name, _)| name == "content-type");
    let mut reply = Reply::new(200, "application/octet-stream", content.body.to_vec());
    if has_type {
        reply.headers.clear();
    }
    for (name, value) in &content.headers {
        reply.headers.push((Cow::Owned(name.clone()), value.clone()));
    }
    let reply = reply
        .with("content-length", content.body.len().to_string())
        .with("etag", content.etag.clone())
        .with("last-modified", http_date(version.last_modified));
    Ok(match bucket.versioning {
        Versioning::Unversioned => reply,
        Versioning::Enabled | Versioning::Suspended => reply.with("x-amz-version-id", version.id.clone()),
    })
}

/// Deletes an object, or a version of it for good; gives the ID of the delete marker that was made or deleted, if one was.
fn remove(
    bucket: &mut Bucket,
    environment: &Environment,
    key: &str,
    id: Option<&str>,
) -> Result<Option<String>, Refusal> {
    match id {
        None => Ok(bucket.delete(key, environment.now(), || new_id(environment))),
        Some(id) => Ok(bucket.delete_version(key, id)?.then(|| id.to_owned())),
    }
}

fn delete(bucket: &mut Bucket, environment: &Environment, key: &str, id: Option<&str>) -> Result<Reply, Refusal> {
    id.map_or(Ok(()), check_id)?;
    let marker = remove(bucket, environment, key, id)?;
    let mut reply = xml(204, "");
    if marker.is_some() {
        reply = reply.with("x-amz-delete-marker", "true");
    }
    Ok(match id.map(str::to_owned).or(marker) {
        Some(id) => reply.with("x-amz-version-id", id),
        None => reply,
    })
}

/// Answers 200 whatever became of the keys: those that could not be deleted are among the answers.
fn delete_all(bucket: &mut Bucket, environment: &Environment, body: &Bytes) -> Result<Reply, Refusal> {
    let document = read_xml(body, "Delete")?;
    let is_quiet = document.text_of("Quiet") == Some("true");
    let objects: Vec<&Element> = document
        .children
        .iter()
        .filter(|child| child.name == "Object")
        .collect();
    if objects.is_empty() || objects.len() > DELETE_LIMIT {
        return Err(malformed_xml());
    }
    if let Some(what) = unheeded_element(&document, &["Object", "Quiet"]).or_else(|| {
        objects
            .iter()
            .find_map(|object| unheeded_element(object, &["Key", "VersionId"]))
    }) {
        return Err(not_implemented(what));
    }
    let mut result = String::new();
    for object in objects {
        let key = object.text_of("Key").ok_or_else(malformed_xml)?;
        let id = object.text_of("VersionId");
        let mut told = element("Key", key);
        if let Some(id) = id {
            told += &element("VersionId", id);
        }
        let is_no_id = id.is_some_and(|id| check_id(id).is_err());
        let deleted = match is_no_id {
            true => Err(Refusal::no_such_version()),
            false => remove(bucket, environment, key, id),
        };
        match deleted {
            Ok(_) if is_quiet => {}
            Ok(marker) => {
                if let Some(marker) = marker {
                    told += "<DeleteMarker>true</DeleteMarker>";
                    told += &element("DeleteMarkerVersionId", &marker);
                }
                result += &format!("<Deleted>{told}</Deleted>");
            }
            Err(refusal) => {
                told += &element("Code", refusal.code);
                told += &element("Message", &refusal.message);
                result += &format!("<Error>{told}</Error>");
            }
        }
    }
    Ok(xml(200, &format!("<DeleteResult>{result}</DeleteResult>")))
}

fn copy(
    buckets: &mut BTreeMap<String, Bucket>,
    environment: &Environment,
    call: &Call,
    request: &Request<'_>,
) -> Result<Reply, Refusal> {
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
    let CopySource {
        bucket: from_bucket,
        key: from_key,
        version_id,
    } = copy_source(call).ok_or_else(|| {
        let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
        Refusal::new(400, "InvalidArgument", message)
    })?;
    let id = version_id.as_deref();
    let replaces = match header("x-amz-metadata-directive") {
        None | Some("COPY") => false,
        Some("REPLACE") => true,
        Some(_) => return Err(Refusal::new(400, "InvalidArgument", "Unknown metadata directive.")),
    };
    // Its destination's Region takes the call; the source may be in another one.
    find(buckets, &call.region, request.bucket)?;
    let source = buckets
        .get(&from_bucket)
        .ok_or_else(|| Refusal::new(404, "NoSuchBucket", "The specified bucket does not exist"))?;
    let (version, content) = content(source, &from_key, id).map_err(|refusal| match refusal.status {
        405 => {
            let message = "The source of a copy request may not specifically refer to a delete marker by version id.";
            Refusal::new(400, "InvalidRequest", message)
        }
        _ => Refusal {
            headers: Vec::new(),
            ..refusal
        },
    })?;
    if id.is_none() && !replaces && (&*from_bucket, &*from_key) == (request.bucket, &*request.key) {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing the \
                       object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(Refusal::new(400, "InvalidRequest", message));
    }
    let from_id = (source.versioning != Versioning::Unversioned).then(|| version.id.clone());
    let mut copied = content.clone();
    if replaces {
        copied.headers = kept_headers(call);
    }
    let etag = copied.etag.clone();
    let bucket = find(buckets, &call.region, request.bucket)?;
    let id = bucket.put(&request.key, copied, environment.now(), || new_id(environment));
    let modified = bucket.version(&request.key, &id).map(|version| version.last_modified);
    let result = element("ETag", &etag) + &element("LastModified", &iso_date(modified.unwrap_or_default()));
    let reply = xml(200, &format!("<CopyObjectResult>{result}</CopyObjectResult>")).with_version(bucket, &id);
    Ok(match from_id {
        Some(id) => reply.with("x-amz-copy-source-version-id", id),
        None => reply,
    })
}

/// What a copy is made of.
pub(super) struct CopySource {
    pub bucket: String,
    pub key: String,
    pub version_id: Option<String>,
}

pub(super) fn copy_source(call: &Call) -> Option<CopySource> {
    let source = call.headers.get("x-amz-copy-source")?.to_str().ok()?;
    let (path, id) = match source.split_once("?versionId=") {
        Some((path, id)) => (path, Some(id)),
        None => (source, None),
    };
    let path = percent_decode_str(path.trim_start_matches('/')).decode_utf8().ok()?;
    let (bucket, key) = path.split_once('/').filter(|(_, key)| !key.is_empty())?;
    Some(CopySource {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version_id: id.map(str::to_owned),
    })
}

/// The keys that `DeleteObjects` deletes, and whether a version of each.
pub(super) fn deleted(call: &Call) -> Option<Vec<(String, bool)>> {
    let document = read_xml(&call.body, "Delete").ok()?;
    let objects = document.children.iter().filter(|child| child.name == "Object");
    let each = objects.map(|object| {
        let key = object.text_of("Key")?.to_owned();
        Some((key, object.child("VersionId").is_some()))
    });
    each.collect()
}

/// How a listing writes its keys.
fn writer(request: &Request<'_>) -> Result<fn(&str) -> String, Refusal> {
    match request.query("encoding-type") {
        None => Ok(str::to_owned),
        // The slash stays as it is.
        Some("url") => Ok(|text| {
            let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            encoded.replace("%2F", "/")
        }),
        Some(_) => Err(Refusal::new(
            400,
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
        )),
    }
}

fn asked(request: &Request<'_>) -> Result<Asked, Refusal> {
    let limit = match request.query("max-keys") {
        None => PAGE_LIMIT,
        Some(text) => text.parse().map_err(|_| {
            Refusal::new(
                400,
                "InvalidArgument",
                "Provided max-keys not an integer or within integer range",
            )
        })?,
    };
    Ok(Asked {
        prefix: request.query("prefix").unwrap_or_default().to_owned(),
        delimiter: request.query("delimiter").map(str::to_owned),
        limit,
    })
}

fn list_objects(bucket: &Bucket, request: &Request<'_>) -> Result<Reply, Refusal> {
    let (asked, written) = (asked(request)?, writer(request)?);
    let token = request.query("continuation-token");
    let resumed = token.map(read_token).transpose()?;
    let after = resumed.as_deref().or(request.query("start-after"));
    let page = listing::objects(bucket, &asked, after);
    let mut result = element("Name", request.bucket)
        + &element("Prefix", &written(&asked.prefix))
        + &element("KeyCount", &page.entries.len().to_string())
        + &element("MaxKeys", &asked.limit.min(PAGE_LIMIT).to_string())
        + &element("IsTruncated", &page.is_truncated.to_string());
    for (name, value) in [
        ("Delimiter", asked.delimiter.as_deref().map(written)),
        ("ContinuationToken", token.map(str::to_owned)),
        ("StartAfter", request.query("start-after").map(written)),
        ("EncodingType", request.query("encoding-type").map(str::to_owned)),
        (
            "NextContinuationToken",
            page.entries
                .last()
                .filter(|_| page.is_truncated)
                .map(|last| write_token(last.name())),
        ),
    ] {
        if let Some(value) = value {
            result += &element(name, &value);
        }
    }
    for entry in &page.entries {
        if let Entry::Version { key, version, .. } = entry
            && let Some(content) = &version.content
        {
            let object = element("Key", &written(key))
                + &element("LastModified", &iso_date(version.last_modified))
                + &of_content(content);
            result += &format!("<Contents>{object}</Contents>");
        }
    }
    result += &common_prefixes(&page.entries, written);
    Ok(xml(200, &format!("<ListBucketResult>{result}</ListBucketResult>")))
}

fn list_versions(bucket: &Bucket, request: &Request<'_>) -> Result<Reply, Refusal> {
    let (asked, written) = (asked(request)?, writer(request)?);
    let key_marker = request.query("key-marker").filter(|marker| !marker.is_empty());
    let id_marker = request.query("version-id-marker");
    let invalid = |message: &str| Err(Refusal::new(400, "InvalidArgument", message));
    let after = match (key_marker, id_marker) {
        (None, Some(_)) => return invalid("A version-id marker cannot be specified without a key marker."),
        (_, Some("")) => return invalid("A version-id marker cannot be empty."),
        (key, id) => key.map(|key| (key, id)),
    };
    let page = listing::versions(bucket, &asked, after)?;
    let mut result = element("Name", request.bucket)
        + &element("Prefix", &written(&asked.prefix))
        + &element("KeyMarker", &written(key_marker.unwrap_or_default()))
        + &element("VersionIdMarker", id_marker.unwrap_or_default())
        + &element("MaxKeys", &asked.limit.min(PAGE_LIMIT).to_string())
        + &element("IsTruncated", &page.is_truncated.to_string());
    for (name, value) in [
        ("Delimiter", asked.delimiter.as_deref().map(written)),
        ("EncodingType", request.query("encoding-type").map(str::to_owned)),
    ] {
        if let Some(value) = value {
            result += &element(name, &value);
        }
    }
    if page.is_truncated
        && let Some(last) = page.entries.last()
    {
        result += &element("NextKeyMarker", &written(last.name()));
        if let Entry::Version { version, .. } = last {
            result += &element("NextVersionIdMarker", &version.id);
        }
    }
    for entry in &page.entries {
        let Entry::Version {
            key,
            version,
            is_latest,
        } = entry
        else {
            continue;
        };
        let told = element("Key", &written(key))
            + &element("VersionId", &version.id)
            + &element("IsLatest", &is_latest.to_string())
            + &element("LastModified", &iso_date(version.last_modified));
        result += &match &version.content {
            Some(content) => format!("<Version>{told}{}</Version>", of_content(content)),
            None => format!("<DeleteMarker>{told}</DeleteMarker>"),
        };
    }
    result += &common_prefixes(&page.entries, written);
    Ok(xml(200, &format!("<ListVersionsResult>{result}</ListVersionsResult>")))
}

fn of_content(content: &Content) -> String {
    element("ETag", &content.etag)
        + &element("Size", &content.body.len().to_string())
        + &element("StorageClass", "STANDARD")
}

fn common_prefixes(entries: &[Entry<'_>], written: fn(&str) -> String) -> String {
    let prefixes = entries.iter().filter_map(|entry| match entry {
        Entry::CommonPrefix(prefix) => Some(format!(
            "<CommonPrefixes>{}</CommonPrefixes>",
            element("Prefix", &written(prefix))
        )),
        Entry::Version { .. } => None,
    });
    prefixes.collect()
}

/// A continuation token: the name that the page before ended with, in hexadecimal digits.
fn write_token(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn read_token(token: &str) -> Result<String, Refusal> {
    let digits = token.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = digits
        .map(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok())
        .collect();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Refusal::new(400, "InvalidArgument", "The continuation token provided is incorrect"))
}

fn versioning(body: &Bytes) -> Result<Versioning, Refusal> {
    let document = read_xml(body, "VersioningConfiguration")?;
    if let Some(what) = unheeded_element(&document, &["Status"]) {
        return Err(not_implemented(what));
    }
    match document.text_of("Status") {
        Some("Enabled") => Ok(Versioning::Enabled),
        Some("Suspended") => Ok(Versioning::Suspended),
        _ => Err(Refusal::new(
            400,
            "IllegalVersioningConfigurationException",
            "The Versioning element must be specified",
        )),
    }
}

fn read_xml(body: &Bytes, root: &str) -> Result<Element, Refusal> {
    let document = str::from_utf8(body).ok().and_then(Element::read);
    document
        .filter(|document| document.name == root)
        .ok_or_else(malformed_xml)
}

/// A child of an element that is none of these.
fn unheeded_element<'e>(element: &'e Element, heeded: &[&str]) -> Option<&'e str> {
    let mut names = element.children.iter().map(|child| child.name.as_str());
    names.find(|name| !heeded.contains(name))
}

fn malformed_xml() -> Refusal {
    let message = "The XML you provided was not well-formed or did not validate against our published schema";
    Refusal::new(400, "MalformedXML", message)
}

fn not_implemented(what: &str) -> Refusal {
    Refusal::new(501, "NotImplemented", format!("the simulated S3 does not know {what}"))
}

fn kept_headers(call: &Call) -> Vec<(String, String)> {
    let headers = call.headers.iter().filter_map(|(name, value)| {
        let is_kept = KEPT_HEADERS.contains(&name.as_str()) || name.as_str().starts_with(METADATA);
        let value = value.to_str().ok().filter(|_| is_kept)?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    headers.collect()
}

/// A moment as listings have it.
fn iso_date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn xml(status: u16, body: &str) -> Reply {
    Reply::new(status, "application/xml", body)
}

impl Reply {
    fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header.into(), value.into()));
        self
    }

    /// With the ID of a version that was put, which S3 tells as long as versioning is enabled.
    fn with_version(self, bucket: &Bucket, id: &str) -> Self {
        match bucket.versioning {
            Versioning::Enabled => self.with("x-amz-version-id", id),
            Versioning::Unversioned | Versioning::Suspended => self,
        }
    }
}

impl Refusal {
    pub(super) fn reply(self) -> Reply {
        let body = format!(
            "<Error>{}{}</Error>",
            element("Code", self.code),
            element("Message", &self.message)
        );
        let mut reply = xml(self.status, &body);
        for (name, value) in self.headers {
            reply = reply.with(name, value);
        }
        reply
    }
}
