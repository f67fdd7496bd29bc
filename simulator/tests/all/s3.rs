//! S3 with versions, as the SDK's own client sees it. What AWS does is from the S3 User Guide, "Retaining multiple versions
//! of objects with S3 Versioning", and the S3 API Reference.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketVersioningStatus, Delete, EncodingType, ExpirationStatus, LifecycleRule,
    LifecycleRuleFilter, MetadataDirective, NoncurrentVersionExpiration, ObjectIdentifier, VersioningConfiguration,
};

use crate::common::{WEST as HERE, World};

const SHELF: &str = "shelf";

/// A world with one bucket, and its client.
struct Shelf {
    world: World,
    client: Client,
}

/// A version as a listing tells it: key, ID, whether it is the latest, and whether it is a delete marker.
type Listed = (String, String, bool, bool);

/// The marker of a key and of a version that the next page begins after.
type Marker = (Option<String>, Option<String>);

impl Shelf {
    async fn new() -> Self {
        let world = World::new().await;
        world.cloud.s3.create_bucket(HERE, SHELF, &[]);
        let client = Client::new(&world.aws.config_in(HERE));
        Self { world, client }
    }

    async fn versioned() -> Self {
        let shelf = Self::new().await;
        shelf.set(BucketVersioningStatus::Enabled).await;
        shelf
    }

    async fn set(&self, status: BucketVersioningStatus) {
        let configuration = VersioningConfiguration::builder().status(status).build();
        let call = self.client.put_bucket_versioning().bucket(SHELF);
        call.versioning_configuration(configuration).send().await.unwrap();
    }

    async fn put(&self, key: &str, text: &str) -> Option<String> {
        let body = ByteStream::from(text.as_bytes().to_vec());
        let call = self.client.put_object().bucket(SHELF).key(key).body(body);
        call.send().await.unwrap().version_id
    }

    /// The text of an object, or the error's code.
    async fn get(&self, key: &str, version: Option<&str>) -> Result<String, String> {
        let call = self.client.get_object().bucket(SHELF).key(key);
        let found = call.set_version_id(version.map(str::to_owned)).send().await;
        let found = found.map_err(|error| error.into_service_error().code().unwrap_or_default().to_owned())?;
        let bytes = found.body.collect().await.unwrap().to_vec();
        Ok(String::from_utf8(bytes).unwrap())
    }

    /// Deletes; gives whether AWS speaks of a delete marker, and the ID of a version.
    async fn delete(&self, key: &str, version: Option<&str>) -> (Option<bool>, Option<String>) {
        let call = self.client.delete_object().bucket(SHELF).key(key);
        let done = call.set_version_id(version.map(str::to_owned)).send().await.unwrap();
        (done.delete_marker, done.version_id)
    }

    /// One page of versions after a marker, the common prefixes, and the marker of the next page.
    async fn page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        limit: i32,
        after: Marker,
    ) -> (Vec<Listed>, Vec<String>, Option<Marker>) {
        let call = self
            .client
            .list_object_versions()
            .bucket(SHELF)
            .prefix(prefix)
            .max_keys(limit);
        let call = call.set_key_marker(after.0).set_version_id_marker(after.1);
        let page = call.set_delimiter(delimiter.map(str::to_owned)).send().await.unwrap();
        let mut listed: Vec<Listed> = Vec::new();
        for version in page.versions() {
            let (key, id) = (version.key().unwrap(), version.version_id().unwrap());
            listed.push((key.to_owned(), id.to_owned(), version.is_latest().unwrap(), false));
        }
        for marker in page.delete_markers() {
            let (key, id) = (marker.key().unwrap(), marker.version_id().unwrap());
            listed.push((key.to_owned(), id.to_owned(), marker.is_latest().unwrap(), true));
        }
        let prefixes = page
            .common_prefixes()
            .iter()
            .map(|common| common.prefix().unwrap().to_owned());
        let next = (page.is_truncated() == Some(true)).then(|| {
            (
                page.next_key_marker().map(str::to_owned),
                page.next_version_id_marker().map(str::to_owned),
            )
        });
        (listed, prefixes.collect(), next)
    }

    async fn all(&self) -> Vec<Listed> {
        self.page("", None, 1000, (None, None)).await.0
    }
}

fn owned(key: &str, id: &str, is_latest: bool, is_marker: bool) -> Listed {
    (key.to_owned(), id.to_owned(), is_latest, is_marker)
}

#[tokio::test(start_paused = true)]
async fn each_put_adds_a_version_and_a_deletion_adds_a_marker() {
    let shelf = Shelf::versioned().await;
    let first = shelf.put("k", "one").await.unwrap();
    let second = shelf.put("k", "two").await.unwrap();
    assert_ne!(first, second);
    assert_eq!(shelf.get("k", None).await.as_deref(), Ok("two"));
    assert_eq!(shelf.get("k", Some(&first)).await.as_deref(), Ok("one"));
    let (is_marker, marker) = shelf.delete("k", None).await;
    let marker = marker.unwrap();
    assert_eq!(is_marker, Some(true));
    assert_eq!(shelf.get("k", None).await, Err("NoSuchKey".to_owned()));
    assert_eq!(shelf.get("k", Some(&marker)).await, Err("MethodNotAllowed".to_owned()));
    assert_eq!(shelf.get("k", Some(&second)).await.as_deref(), Ok("two"));
    assert_eq!(
        shelf.all().await,
        [
            owned("k", &second, false, false),
            owned("k", &first, false, false),
            owned("k", &marker, true, true),
        ]
    );
    // Deleting the marker brings the object back.
    assert_eq!(
        shelf.delete("k", Some(&marker)).await,
        (Some(true), Some(marker.clone()))
    );
    assert_eq!(shelf.get("k", None).await.as_deref(), Ok("two"));
    // A version that is deleted is gone for good, and the one below it is the latest.
    assert_eq!(shelf.delete("k", Some(&second)).await, (None, Some(second.clone())));
    assert_eq!(shelf.get("k", Some(&second)).await, Err("NoSuchVersion".to_owned()));
    assert_eq!(shelf.get("k", None).await.as_deref(), Ok("one"));
    assert_eq!(shelf.get("k", Some("no-id")).await, Err("InvalidArgument".to_owned()));
    // Who deletes what is gone, or what never was, is told that it is done.
    assert_eq!(shelf.delete("k", Some(&second)).await, (None, Some(second)));
    let (is_marker, _) = shelf.delete("never", None).await;
    assert_eq!(is_marker, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_head_of_a_deleted_object_says_that_there_is_a_marker() {
    let shelf = Shelf::versioned().await;
    shelf.put("k", "one").await;
    let (_, marker) = shelf.delete("k", None).await;
    let marker = marker.unwrap();
    for (version, status, header) in [
        (None, 404, ("x-amz-version-id", marker.as_str())),
        (Some(&marker), 405, ("allow", "DELETE")),
    ] {
        let call = shelf.client.head_object().bucket(SHELF).key("k");
        let error = call.set_version_id(version.cloned()).send().await.unwrap_err();
        let answer = error.raw_response().unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers().get("x-amz-delete-marker"), Some("true"));
        assert_eq!(answer.headers().get(header.0), Some(header.1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_bucket_replaces_the_null_version_alone() {
    let shelf = Shelf::new().await;
    let status = async || {
        shelf
            .client
            .get_bucket_versioning()
            .bucket(SHELF)
            .send()
            .await
            .unwrap()
            .status
    };
    assert_eq!(status().await, None);
    assert_eq!(shelf.put("k", "before").await, None);
    assert_eq!(shelf.get("k", Some("null")).await.as_deref(), Ok("before"));
    shelf.set(BucketVersioningStatus::Enabled).await;
    let kept = shelf.put("k", "kept").await.unwrap();
    assert_eq!(shelf.get("k", Some("null")).await.as_deref(), Ok("before"));
    shelf.set(BucketVersioningStatus::Suspended).await;
    assert_eq!(status().await, Some(BucketVersioningStatus::Suspended));
    assert_eq!(shelf.put("k", "after").await, None);
    assert_eq!(shelf.get("k", Some("null")).await.as_deref(), Ok("after"));
    assert_eq!(
        shelf.all().await,
        [owned("k", "null", true, false), owned("k", &kept, false, false)]
    );
    assert_eq!(shelf.delete("k", None).await, (Some(true), Some("null".to_owned())));
    assert_eq!(
        shelf.all().await,
        [owned("k", &kept, false, false), owned("k", "null", true, true)]
    );
    assert_eq!(shelf.delete("k", Some("null")).await.0, Some(true));
    assert_eq!(shelf.get("k", None).await.as_deref(), Ok("kept"));
}

#[tokio::test(start_paused = true)]
async fn versions_are_listed_in_pages_newest_first() {
    let shelf = Shelf::versioned().await;
    let mut expected = Vec::new();
    for key in ["a", "b", "c"] {
        let (old, new) = (shelf.put(key, "1").await.unwrap(), shelf.put(key, "2").await.unwrap());
        expected.extend([owned(key, &new, true, false), owned(key, &old, false, false)]);
    }
    let mut listed = Vec::new();
    let mut after = (None, None);
    let mut pages = 0;
    loop {
        let (page, _, next) = shelf.page("", None, 2, after).await;
        // What is deleted of a page that was read does not disturb the next.
        let (key, id, ..) = page.last().unwrap().clone();
        shelf.delete(&key, Some(&id)).await;
        listed.extend(page);
        pages += 1;
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!((pages, &listed), (3, &expected));
    // A key without a version begins after all versions of that key.
    let (page, _, next) = shelf.page("", None, 1000, (Some("a".to_owned()), None)).await;
    assert_eq!(
        page.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>(),
        ["b", "c"]
    );
    assert_eq!(next, None);
    let call = shelf.client.list_object_versions().bucket(SHELF).version_id_marker("x");
    let error = call.send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("InvalidArgument"));
}

#[tokio::test(start_paused = true)]
async fn a_page_has_a_thousand_versions_at_most() {
    let shelf = Shelf::versioned().await;
    for n in 0..1001 {
        shelf.put(&format!("{n:04}"), "").await;
    }
    let (page, _, next) = shelf.page("", None, 5000, (None, None)).await;
    assert_eq!(page.len(), 1000);
    let (page, _, next) = shelf.page("", None, 5000, next.unwrap()).await;
    assert_eq!((page.len(), next), (1, None));
}

#[tokio::test(start_paused = true)]
async fn keys_behind_a_delimiter_are_one_common_prefix() {
    let shelf = Shelf::versioned().await;
    for key in ["in/a/1", "in/a/2", "in/b", "in/c/1", "out"] {
        shelf.put(key, "").await;
    }
    let (page, prefixes, next) = shelf.page("in/", Some("/"), 1000, (None, None)).await;
    assert_eq!(page.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>(), ["in/b"]);
    assert_eq!((prefixes, next), (vec!["in/a/".to_owned(), "in/c/".to_owned()], None));
    // A common prefix counts as one, and the next page begins after all that it stands for.
    let (page, prefixes, next) = shelf.page("in/", Some("/"), 1, (None, None)).await;
    assert_eq!((page, prefixes), (Vec::new(), vec!["in/a/".to_owned()]));
    let next = next.unwrap();
    assert_eq!(next, (Some("in/a/".to_owned()), None));
    let (page, prefixes, _) = shelf.page("in/", Some("/"), 1, next).await;
    assert_eq!((page[0].0.as_str(), prefixes), ("in/b", Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn objects_are_listed_without_those_that_are_deleted() {
    let shelf = Shelf::versioned().await;
    for key in ["a", "b", "c", "d e"] {
        shelf.put(key, "four").await;
    }
    shelf.delete("b", None).await;
    let list = || shelf.client.list_objects_v2().bucket(SHELF);
    let first = list().max_keys(2).send().await.unwrap();
    let keys = |contents: &[aws_sdk_s3::types::Object]| -> Vec<String> {
        contents.iter().map(|object| object.key().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (keys(first.contents()), first.key_count()),
        (vec!["a".to_owned(), "c".to_owned()], Some(2))
    );
    assert_eq!(
        (first.contents()[0].size(), first.is_truncated()),
        (Some(4), Some(true))
    );
    let token = first.next_continuation_token().unwrap();
    let second = list()
        .continuation_token(token)
        .encoding_type(EncodingType::Url)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (keys(second.contents()), second.is_truncated()),
        (vec!["d+e".to_owned()], Some(false))
    );
    let after = list().start_after("a").prefix("c").send().await.unwrap();
    assert_eq!(keys(after.contents()), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn many_are_deleted_at_once_and_errors_are_among_the_answers() {
    let shelf = Shelf::versioned().await;
    let (held, free) = (
        shelf.put("held", "1").await.unwrap(),
        shelf.put("free", "1").await.unwrap(),
    );
    shelf.put("marked", "1").await;
    shelf.world.cloud.s3.hold(SHELF, "held", &held, true);
    let object = |key: &str, version: Option<&str>| {
        let object = ObjectIdentifier::builder().key(key);
        object.set_version_id(version.map(str::to_owned)).build().unwrap()
    };
    let delete = async |quiet: bool, objects: Vec<ObjectIdentifier>| {
        let delete = Delete::builder()
            .set_objects(Some(objects))
            .quiet(quiet)
            .build()
            .unwrap();
        shelf.client.delete_objects().bucket(SHELF).delete(delete).send().await
    };
    let objects = vec![
        object("held", Some(&held)),
        object("free", Some(&free)),
        object("marked", None),
    ];
    let done = delete(false, objects.clone()).await.unwrap();
    let errors: Vec<_> = done
        .errors()
        .iter()
        .map(|error| (error.key(), error.code(), error.version_id()))
        .collect();
    assert_eq!(errors, [(Some("held"), Some("AccessDenied"), Some(held.as_str()))]);
    let deleted = done.deleted();
    assert_eq!(
        (deleted[0].key(), deleted[0].version_id(), deleted[0].delete_marker()),
        (Some("free"), Some(free.as_str()), None)
    );
    assert_eq!(
        (deleted[1].key(), deleted[1].delete_marker()),
        (Some("marked"), Some(true))
    );
    assert!(deleted[1].delete_marker_version_id().is_some());
    let quiet = delete(true, objects).await.unwrap();
    assert_eq!((quiet.deleted().len(), quiet.errors().len()), (0, 1));
    // Alone, the same deletion is an error; a marker is added in spite of the hold.
    let call = shelf.client.delete_object().bucket(SHELF).key("held").version_id(&held);
    let error = call.send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("AccessDenied"));
    assert_eq!(shelf.delete("held", None).await.0, Some(true));
    let many = (0..1001).map(|n| object(&n.to_string(), None)).collect();
    let error = delete(false, many).await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("MalformedXML"));
}

#[tokio::test(start_paused = true)]
async fn an_old_version_is_copied_onto_its_key_with_its_metadata() {
    let shelf = Shelf::versioned().await;
    let call = shelf
        .client
        .put_object()
        .bucket(SHELF)
        .key("a b/ü")
        .body(ByteStream::from_static(b"good"));
    let good = call
        .content_type("text/plain")
        .metadata("owner", "me")
        .send()
        .await
        .unwrap()
        .version_id
        .unwrap();
    shelf.put("a b/ü", "wrong").await;
    let copy = async |source: &str, replace: bool| {
        let call = shelf
            .client
            .copy_object()
            .bucket(SHELF)
            .key("a b/ü")
            .copy_source(source);
        let directive = replace.then_some(MetadataDirective::Replace);
        call.set_metadata_directive(directive).send().await
    };
    let copied = copy(&format!("shelf/a%20b/%C3%BC?versionId={good}"), false)
        .await
        .unwrap();
    assert_eq!(copied.copy_source_version_id(), Some(good.as_str()));
    assert_ne!(copied.version_id().unwrap(), good);
    let found = shelf
        .client
        .get_object()
        .bucket(SHELF)
        .key("a b/ü")
        .send()
        .await
        .unwrap();
    assert_eq!(found.version_id(), copied.version_id());
    assert_eq!(found.content_type(), Some("text/plain"));
    assert_eq!(found.metadata().unwrap()["owner"], "me");
    assert_eq!(shelf.get("a b/ü", None).await.as_deref(), Ok("good"));
    let code = async |source: &str| {
        let error = copy(source, false).await.unwrap_err().into_service_error();
        error.code().unwrap_or_default().to_owned()
    };
    assert_eq!(
        code("shelf/a%20b/%C3%BC").await,
        "InvalidRequest",
        "a copy onto itself changes nothing"
    );
    copy("shelf/a%20b/%C3%BC", true).await.unwrap();
    let (_, marker) = shelf.delete("a b/ü", None).await;
    assert_eq!(code("shelf/a%20b/%C3%BC").await, "NoSuchKey");
    let of_marker = format!("shelf/a%20b/%C3%BC?versionId={}", marker.unwrap());
    assert_eq!(code(&of_marker).await, "InvalidRequest");
    assert_eq!(code("nowhere/k").await, "NoSuchBucket");
}

#[tokio::test(start_paused = true)]
async fn lifecycle_and_policy_come_back_as_they_were_put() {
    let shelf = Shelf::new().await;
    let client = &shelf.client;
    let policy = "{ \"Version\":\"2012-10-17\",\n  \"Statement\": [] }";
    let get = async || {
        let found = client.get_bucket_policy().bucket(SHELF).send().await;
        found
            .map(|found| found.policy.unwrap())
            .map_err(|error| error.into_service_error().code().map(str::to_owned))
    };
    assert_eq!(get().await, Err(Some("NoSuchBucketPolicy".to_owned())));
    let put = async |text: &str| client.put_bucket_policy().bucket(SHELF).policy(text).send().await;
    put(policy).await.unwrap();
    assert_eq!(get().await.as_deref(), Ok(policy));
    let error = put("[]").await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("MalformedPolicy"));
    client.delete_bucket_policy().bucket(SHELF).send().await.unwrap();
    assert!(get().await.is_err());

    let rule = LifecycleRule::builder()
        .id("old")
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("a/").build())
        .noncurrent_version_expiration(NoncurrentVersionExpiration::builder().noncurrent_days(30).build())
        .build()
        .unwrap();
    let get = async || {
        let found = client.get_bucket_lifecycle_configuration().bucket(SHELF).send().await;
        found
            .map(|found| found.rules.unwrap())
            .map_err(|error| error.into_service_error().code().map(str::to_owned))
    };
    assert_eq!(get().await, Err(Some("NoSuchLifecycleConfiguration".to_owned())));
    let configuration = BucketLifecycleConfiguration::builder()
        .rules(rule.clone())
        .build()
        .unwrap();
    let call = client.put_bucket_lifecycle_configuration().bucket(SHELF);
    call.lifecycle_configuration(configuration).send().await.unwrap();
    assert_eq!(get().await, Ok(vec![rule]));
    client.delete_bucket_lifecycle().bucket(SHELF).send().await.unwrap();
    assert!(get().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_simulated_is_refused_by_its_name() {
    let shelf = Shelf::versioned().await;
    let put = || shelf.client.put_object().bucket(SHELF).key("k");
    let refused = |error: &dyn ProvideErrorMetadata| {
        (
            error.code().map(str::to_owned),
            error.message().unwrap_or_default().to_owned(),
        )
    };
    for (call, what) in [
        (put().if_none_match("*"), "if-none-match"),
        (put().tagging("a=b"), "x-amz-tagging"),
        (
            put().storage_class(aws_sdk_s3::types::StorageClass::Glacier),
            "x-amz-storage-class",
        ),
    ] {
        let (code, message) = refused(&call.send().await.unwrap_err().into_service_error());
        assert_eq!(code.as_deref(), Some("NotImplemented"));
        assert!(message.contains(what), "{message}");
    }
    let list = shelf.client.list_objects_v2().bucket(SHELF).fetch_owner(true);
    let (_, message) = refused(&list.send().await.unwrap_err().into_service_error());
    assert!(message.contains("fetch-owner"), "{message}");
    let (code, _) = refused(
        &shelf
            .client
            .list_objects()
            .bucket(SHELF)
            .send()
            .await
            .unwrap_err()
            .into_service_error(),
    );
    assert_eq!(code.as_deref(), Some("NotImplemented"));
    assert!(shelf.all().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_version_needs_the_permission_for_versions() {
    let shelf = Shelf::versioned().await;
    let id = shelf.put("k", "1").await.unwrap();
    shelf.get("k", Some(&id)).await.unwrap();
    let source = format!("shelf/k?versionId={id}");
    let copy = shelf.client.copy_object().bucket(SHELF).key("k2").copy_source(source);
    copy.send().await.unwrap();
    shelf.delete("k", Some(&id)).await;
    shelf.delete("k", None).await;
    let parts = |operation: &str| {
        let touched = shelf.world.cloud.touched();
        let of_it = touched.into_iter().filter(|touched| touched.operation == operation);
        let resources = of_it.flat_map(|touched| touched.resources.unwrap());
        resources
            .map(|resource| (resource.arn, resource.part))
            .collect::<Vec<_>>()
    };
    let object = |key: &str| format!("arn:aws:s3:::shelf/{key}");
    assert_eq!(
        parts("GetObject"),
        [
            ("arn:aws:s3:::shelf".to_owned(), None),
            (object("k"), Some("GetObjectVersion"))
        ]
    );
    assert_eq!(
        parts("CopyObject"),
        [
            (object("k"), Some("GetObjectVersion")),
            (object("k2"), Some("PutObject"))
        ]
    );
    assert_eq!(
        parts("DeleteObject"),
        [(object("k"), None), (object("k"), Some("DeleteObjectVersion"))]
    );
    assert_eq!(parts("PutBucketVersioning"), [("arn:aws:s3:::shelf".to_owned(), None)]);
}
