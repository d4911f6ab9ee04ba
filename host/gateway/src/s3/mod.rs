//! The S3 protocol in front of the tenants' stores.
//!
//! The crate `s3s` parses requests, verifies signatures and writes responses; [`access`] authorizes; each operation asks for a
//! [`Scope`], which is a virtual bucket of the key's tenant, and maps keys through it: no operation sees a key of the store
//! that the front-end key does not grant.

mod access;
mod acl;
mod attributes;
mod body;
mod copy;
mod delete;
mod error;
mod list;
mod multipart;
mod read;
mod tags;
pub(crate) mod wire;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::*;
use s3s::host::MultiDomain;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use sandbucket::Store;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::ServeConfig;
use crate::directory::{Directory, Grant, VirtualBucket};
use crate::stats::Stats;
use access::{Keys, Policy, denied};

/// Unit of the permits of [`Buffers`].
const BUFFER_UNIT: u64 = 64 << 10;
/// Tenants above which the semaphores of idle ones are dropped.
const MAX_IDLE_TENANTS: usize = 256;
/// Maximum size of an XML document in a request: a bulk delete of 1,000 keys of 1,024 bytes, some escaped, takes 1 to 2 MiB,
/// and a completion of 10,000 parts as much.
const MAX_DOCUMENT: usize = 4 << 20;
/// Maximum size of a file in a form (`PostObject`), which s3s gathers in memory.
const MAX_FORM_FILE: u64 = 16 << 20;
/// Maximum size of the other fields of a form, together and each.
const MAX_FORM_FIELDS: usize = 256 << 10;

/// What the requests of a gateway share.
pub(crate) struct Shared {
    pub directory: ArcSwap<Directory>,
    pub stats: Arc<Stats>,
    /// Tenants whose new requests are rejected.
    drained: RwLock<HashSet<String>>,
    /// Requests of a tenant in flight.
    pub requests_per_tenant: u64,
    buffers: Buffers,
    region: String,
    redirect: Option<Redirect>,
}

/// Reads that are redirected to the tenant's service.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    /// Minimum length of the read in bytes.
    pub above: u64,
    /// Validity of the URL.
    pub expires: Duration,
}

impl Shared {
    pub(crate) fn new(stats: Arc<Stats>, config: &ServeConfig) -> Shared {
        let limits = &config.limits;
        let redirect = config.redirect.as_ref();
        Shared {
            directory: ArcSwap::default(),
            stats,
            drained: RwLock::default(),
            requests_per_tenant: limits.requests_per_tenant,
            buffers: Buffers::new(limits.buffers, limits.buffers_per_tenant, limits.buffer_wait),
            region: config.region.clone(),
            redirect: redirect.map(|redirect| Redirect { above: redirect.above, expires: redirect.expires }),
        }
    }

    /// Begins or ends to reject a tenant's new requests.
    pub(crate) fn set_drained(&self, tenant: &str, drained: bool) {
        let mut all = self.drained.write().unwrap_or_else(PoisonError::into_inner);
        if drained {
            all.insert(tenant.to_owned());
        } else {
            all.remove(tenant);
        }
    }

    pub(crate) fn is_drained(&self, tenant: &str) -> bool {
        self.drained.read().unwrap_or_else(PoisonError::into_inner).contains(tenant)
    }
}

/// Memory for bodies that are gathered before they are sent: of each tenant, and of all together.
pub(crate) struct Buffers {
    permits: Arc<Semaphore>,
    /// Of tenants with such bodies in flight, or a few that had some.
    tenants: Mutex<HashMap<String, Arc<Semaphore>>>,
    per_tenant: usize,
    wait: Duration,
}

/// Memory of a request, given back on drop.
pub(crate) struct Memory {
    _all: OwnedSemaphorePermit,
    _tenant: OwnedSemaphorePermit,
}

impl Buffers {
    /// `total` bytes for all tenants and `per_tenant` for each; a request waits `wait` at most for its share.
    pub(crate) fn new(total: u64, per_tenant: u64, wait: Duration) -> Buffers {
        let units = |bytes: u64| usize::try_from(bytes / BUFFER_UNIT).unwrap_or(usize::MAX);
        let total = units(total).clamp(1, Semaphore::MAX_PERMITS);
        let per_tenant = units(per_tenant).clamp(1, total);
        Buffers { permits: Arc::new(Semaphore::new(total)), tenants: Mutex::default(), per_tenant, wait }
    }

    /// Waits for memory.
    ///
    /// # Errors
    /// `EntityTooLarge` if the tenant never has so much, `SlowDown` after the time.
    async fn acquire(&self, tenant: &str, bytes: u64) -> S3Result<Memory> {
        let units = u32::try_from(bytes.div_ceil(BUFFER_UNIT)).unwrap_or(u32::MAX);
        if units as usize > self.per_tenant {
            return Err(s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed size"));
        }
        let own = self.tenant(tenant);
        let acquire = async {
            // The tenant's own first: one that waits for itself takes nothing from others.
            let tenant = own.acquire_many_owned(units).await.ok()?;
            let all = self.permits.clone().acquire_many_owned(units).await.ok()?;
            Some(Memory { _all: all, _tenant: tenant })
        };
        let acquired = tokio::time::timeout(self.wait, acquire).await.ok().flatten();
        acquired.ok_or_else(|| s3_error!(SlowDown, "Please reduce your request rate."))
    }

    fn tenant(&self, name: &str) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() > MAX_IDLE_TENANTS {
            // Those that nobody holds or waits for.
            tenants
                .retain(|_, permits| Arc::strong_count(permits) > 1 || permits.available_permits() < self.per_tenant);
        }
        let new = || Arc::new(Semaphore::new(self.per_tenant));
        tenants.entry(name.to_owned()).or_insert_with(new).clone()
    }
}

/// Builds the service. `domains` are the names whose subdomains are buckets.
///
/// # Errors
/// If a domain is malformed, or below another one.
pub(crate) fn service(shared: &Arc<Shared>, domains: &[String]) -> Result<S3Service, s3s::host::DomainError> {
    let mut builder = S3ServiceBuilder::new(Front { shared: shared.clone() });
    builder.set_auth(Keys(shared.clone()));
    builder.set_access(Policy(shared.clone()));
    if !domains.is_empty() {
        builder.set_host(MultiDomain::new(domains)?);
    }
    let mut config = S3Config::default();
    config.xml_max_body_size = MAX_DOCUMENT;
    config.post_object_max_file_size = MAX_FORM_FILE;
    config.form_max_field_size = MAX_FORM_FIELDS;
    config.form_max_fields_size = MAX_FORM_FIELDS;
    config.form_max_parts = 100;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    Ok(builder.build())
}

/// A virtual bucket as a key may use it.
struct Scope {
    grant: Arc<Grant>,
    bucket: Arc<VirtualBucket>,
    store: Store,
    operation: &'static str,
}

impl Scope {
    /// The key in the store.
    ///
    /// # Errors
    /// `AccessDenied` if the front-end key does not grant it.
    fn key(&self, key: &str) -> S3Result<String> {
        if !self.grant.permits_key(key) {
            return Err(denied());
        }
        Ok(self.inside(key))
    }

    /// A text in the place of a key in the store, such as the prefix of a listing.
    fn inside(&self, key: &str) -> String {
        format!("{}{key}", self.bucket.prefix)
    }

    /// The client's key of one of the store; `None` if it is outside of the bucket.
    fn outside(&self, key: &str) -> Option<String> {
        key.strip_prefix(self.bucket.prefix.as_str()).map(str::to_owned)
    }

    fn error(&self, error: &sandbucket::Error) -> S3Error {
        error::convert(error, self.grant.tenant.name(), self.operation)
    }
}

/// The error of a field or header that has no counterpart.
fn not_implemented() -> S3Error {
    s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented")
}

/// An error with one of S3's codes that s3s does not know.
fn custom(code: &'static str, status: StatusCode, message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

struct Front {
    shared: Arc<Shared>,
}

impl Front {
    fn grant<T>(&self, request: &S3Request<T>) -> S3Result<Arc<Grant>> {
        request.extensions.get::<Arc<Grant>>().cloned().ok_or_else(denied)
    }

    /// Opens a bucket for an operation.
    async fn scope<T>(&self, request: &S3Request<T>, bucket: &str, operation: &'static str) -> S3Result<Scope> {
        let grant = self.grant(request)?;
        let bucket = grant.buckets.get(bucket).cloned().ok_or_else(denied)?;
        let store = grant.tenant.store().await;
        let store = store.map_err(|error| error::convert(&error, grant.tenant.name(), operation))?;
        Ok(Scope { grant, bucket, store, operation })
    }
}

macro_rules! operations {
    ($($name:ident: $input:ident => $output:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for Front {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                Front::$name(self, request).await
            })*
        }
    };
}

operations! {
    abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput;
    complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput;
    copy_object: CopyObjectInput => CopyObjectOutput;
    create_bucket: CreateBucketInput => CreateBucketOutput;
    create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput;
    delete_bucket: DeleteBucketInput => DeleteBucketOutput;
    delete_object: DeleteObjectInput => DeleteObjectOutput;
    delete_object_tagging: DeleteObjectTaggingInput => DeleteObjectTaggingOutput;
    delete_objects: DeleteObjectsInput => DeleteObjectsOutput;
    get_bucket_acl: GetBucketAclInput => GetBucketAclOutput;
    get_bucket_location: GetBucketLocationInput => GetBucketLocationOutput;
    get_object: GetObjectInput => GetObjectOutput;
    get_object_acl: GetObjectAclInput => GetObjectAclOutput;
    get_object_attributes: GetObjectAttributesInput => GetObjectAttributesOutput;
    get_object_tagging: GetObjectTaggingInput => GetObjectTaggingOutput;
    head_bucket: HeadBucketInput => HeadBucketOutput;
    head_object: HeadObjectInput => HeadObjectOutput;
    list_buckets: ListBucketsInput => ListBucketsOutput;
    list_multipart_uploads: ListMultipartUploadsInput => ListMultipartUploadsOutput;
    list_object_versions: ListObjectVersionsInput => ListObjectVersionsOutput;
    list_objects: ListObjectsInput => ListObjectsOutput;
    list_objects_v2: ListObjectsV2Input => ListObjectsV2Output;
    list_parts: ListPartsInput => ListPartsOutput;
    put_bucket_acl: PutBucketAclInput => PutBucketAclOutput;
    put_object: PutObjectInput => PutObjectOutput;
    put_object_acl: PutObjectAclInput => PutObjectAclOutput;
    put_object_tagging: PutObjectTaggingInput => PutObjectTaggingOutput;
    upload_part: UploadPartInput => UploadPartOutput;
    upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput;
}

/// Buckets, which the configuration makes.
impl Front {
    async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let grant = self.grant(&request)?;
        let ListBucketsInput { continuation_token, max_buckets, prefix, bucket_region } = request.input;
        let limit = match max_buckets {
            None => usize::MAX,
            Some(count @ 1..=10_000) => count as usize,
            Some(_) => {
                return Err(s3_error!(InvalidArgument, "Argument max-buckets must be an integer between 1 and 10000"));
            }
        };
        let here = bucket_region.is_none_or(|region| region == self.shared.region);
        let after = continuation_token.as_deref();
        let mut names = grant.buckets.keys().filter(|name| {
            here && prefix.as_deref().is_none_or(|prefix| name.starts_with(prefix))
                && after.is_none_or(|after| name.as_str() > after)
        });
        let listed: Vec<String> = names.by_ref().take(limit).cloned().collect();
        let next = names.next().and(listed.last().cloned());
        let buckets = listed.into_iter().map(|name| Bucket {
            name: Some(name),
            creation_date: attributes::timestamp(grant.since),
            bucket_region: Some(self.shared.region.clone()),
        });
        let output = ListBucketsOutput {
            buckets: Some(buckets.collect()),
            continuation_token: next,
            owner: Some(list::owner()),
            prefix,
        };
        Ok(S3Response::new(output))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.own(&request, &request.input.bucket)?;
        let bucket_region = Some(self.shared.region.clone());
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..HeadBucketOutput::default() }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.own(&request, &request.input.bucket)?;
        // S3's first region has no name here.
        let region = Some(self.shared.region.as_str()).filter(|region| *region != "us-east-1");
        let location_constraint = region.map(|region| BucketLocationConstraint::from(region.to_owned()));
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = &request.input.bucket;
        self.own(&request, bucket)?;
        let input = &request.input;
        let acl = input.acl.as_ref().map(|acl| acl.as_str());
        let grants = [
            &input.grant_full_control,
            &input.grant_read,
            &input.grant_read_acp,
            &input.grant_write,
            &input.grant_write_acp,
        ];
        if attributes::check_acl(acl).is_err() || grants.iter().any(|grant| grant.is_some()) {
            return Err(custom(
                "InvalidBucketAclWithObjectOwnership",
                StatusCode::BAD_REQUEST,
                "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
            ));
        }
        // In S3's first region, and there alone, one may create a bucket that one has.
        if self.shared.region == "us-east-1" {
            let location = Some(format!("/{bucket}"));
            return Ok(S3Response::new(CreateBucketOutput { location }));
        }
        Err(s3_error!(
            BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it."
        ))
    }

    async fn delete_bucket(&self, _: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        Err(denied())
    }

    /// Whether the key has this bucket.
    fn own<T>(&self, request: &S3Request<T>, bucket: &str) -> S3Result<()> {
        if self.grant(request)?.buckets.contains_key(bucket) { Ok(()) } else { Err(denied()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn buffers_are_bounded_by_tenant_and_in_all() {
        let buffers = Buffers::new(4 * BUFFER_UNIT, 3 * BUFFER_UNIT, Duration::from_millis(10));
        let code = async |tenant: &str, units: u64| {
            let acquired = buffers.acquire(tenant, units * BUFFER_UNIT).await;
            acquired.err().map(|error| error.code().as_str().to_owned())
        };
        let held = buffers.acquire("a", 3 * BUFFER_UNIT).await.unwrap();
        assert_eq!(code("a", 1).await.as_deref(), Some("SlowDown"));
        assert_eq!(code("b", 1).await, None);
        assert_eq!(code("b", 2).await.as_deref(), Some("SlowDown"));
        assert_eq!(code("b", 4).await.as_deref(), Some("EntityTooLarge"));
        drop(held);
        assert_eq!(code("b", 3).await, None);
    }
}
