//! Authentication: the key pair, the session token, and the bucket in the host name.

use std::net::IpAddr;
use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use s3s::{S3Result, s3_error};

/// What a request must present.
pub(super) struct Access {
    pub access_key: String,
    pub secret_key: SecretKey,
    pub session_token: Option<String>,
    pub anonymous: bool,
}

/// Looks up the secret key for signature verification.
pub(super) struct Keys(pub Arc<Access>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.0.access_key {
            return Ok(self.0.secret_key.clone());
        }
        Err(s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records."))
    }
}

/// Authorises a request after its signature was verified or found absent.
pub(super) struct Policy(pub Arc<Access>);

#[async_trait::async_trait]
impl S3Access for Policy {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return if self.0.anonymous { Ok(()) } else { Err(s3_error!(AccessDenied, "Access Denied")) };
        }
        let Some(wanted) = &self.0.session_token else {
            return Ok(());
        };
        match context.headers().get("x-amz-security-token") {
            Some(given) if given.as_bytes() == wanted.as_bytes() => Ok(()),
            _ => Err(s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid.")),
        }
    }
}

/// `bucket.localhost` names a bucket; every other host uses path style.
pub(super) struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        if name.parse::<IpAddr>().is_err()
            && let Some(bucket) = name.strip_suffix(".localhost")
        {
            return Ok(VirtualHost::new("localhost").with_bucket(bucket));
        }
        Ok(VirtualHost::new(host))
    }
}
