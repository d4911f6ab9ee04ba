//! ACLs as of a bucket whose owner owns all objects: the owner has everything, and nobody else can be granted anything.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::Front;
use super::attributes::{check_acl, no_acl};
use super::list::owner;

/// The grant of all permissions to the owner.
fn grants() -> Option<Vec<Grant>> {
    let Owner { display_name, id } = owner();
    let grantee =
        Grantee { display_name, id, type_: Type::from_static(Type::CANONICAL_USER), email_address: None, uri: None };
    let permission = Some(Permission::from_static(Permission::FULL_CONTROL));
    Some(vec![Grant { grantee: Some(grantee), permission }])
}

/// Accepts what grants nobody else anything.
macro_rules! check {
    ($input:expr) => {{
        let input = &$input;
        let headers = [
            &input.grant_full_control,
            &input.grant_read,
            &input.grant_read_acp,
            &input.grant_write,
            &input.grant_write_acp,
        ];
        if input.access_control_policy.is_some() || headers.iter().any(|grant| grant.is_some()) {
            return Err(no_acl());
        }
        check_acl(input.acl.as_ref().map(|acl| acl.as_str()))?;
    }};
}

impl Front {
    pub(super) async fn get_bucket_acl(
        &self,
        request: S3Request<GetBucketAclInput>,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        self.own(&request, &request.input.bucket)?;
        Ok(S3Response::new(GetBucketAclOutput { grants: grants(), owner: Some(owner()) }))
    }

    pub(super) async fn put_bucket_acl(
        &self,
        request: S3Request<PutBucketAclInput>,
    ) -> S3Result<S3Response<PutBucketAclOutput>> {
        self.own(&request, &request.input.bucket)?;
        check!(request.input);
        Ok(S3Response::new(PutBucketAclOutput::default()))
    }

    pub(super) async fn get_object_acl(
        &self,
        request: S3Request<GetObjectAclInput>,
    ) -> S3Result<S3Response<GetObjectAclOutput>> {
        let input = &request.input;
        self.exists(&request, &input.bucket, &input.key, input.version_id.as_ref(), "GetObjectAcl").await?;
        let output = GetObjectAclOutput { grants: grants(), owner: Some(owner()), ..GetObjectAclOutput::default() };
        Ok(S3Response::new(output))
    }

    pub(super) async fn put_object_acl(
        &self,
        request: S3Request<PutObjectAclInput>,
    ) -> S3Result<S3Response<PutObjectAclOutput>> {
        check!(request.input);
        let input = &request.input;
        self.exists(&request, &input.bucket, &input.key, input.version_id.as_ref(), "PutObjectAcl").await?;
        Ok(S3Response::new(PutObjectAclOutput::default()))
    }

    /// Checks that an object exists.
    async fn exists<T>(
        &self,
        request: &S3Request<T>,
        bucket: &str,
        key: &str,
        version: Option<&String>,
        operation: &'static str,
    ) -> S3Result<()> {
        let scope = self.scope(request, bucket, operation).await?;
        let mut head = scope.store.head(scope.key(key)?);
        if let Some(version) = version {
            head = head.version(version);
        }
        head.await.map(drop).map_err(|error| scope.error(&error))
    }
}
