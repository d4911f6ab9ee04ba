//! Signatures in the query, for presigned requests.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use crate::settings::Credentials;
use crate::time::AmzTime;
use sandbucket_plugin::http::headers::Headers;
use sandbucket_plugin::http::request::Request;
use sandbucket_plugin::rt::hex::hex;
use sandbucket_plugin::rt::text_builder::TextBuilder;

use super::{ALGORITHM, Parts, Signer, UNSIGNED_PAYLOAD, sort};

impl Signer {
    /// Signs a request by appending parameters to its query. Signs `host` and all headers, but not the body. Valid for `expires`
    /// seconds from `now`.
    pub fn presign(&mut self, request: &mut Request, credentials: &Credentials, expires: u64, now: AmzTime) {
        let mut headers: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        headers.push(("host", &request.authority));
        let parts = Parts {
            method: request.method.as_str(),
            path: &request.path,
            query: &[],
            headers,
            payload: UNSIGNED_PAYLOAD,
        };
        self.sign_query(parts, &mut request.query, credentials, expires, &now.text());
    }

    /// Appends the parameters of a signature to `query`, which replaces that of `parts`. `date` is [`AmzTime::text`].
    pub fn sign_query(
        &mut self,
        mut parts: Parts<'_>,
        query: &mut Headers,
        credentials: &Credentials,
        expires: u64,
        date: &str,
    ) {
        let scope = &self.signing_key(&credentials.secret_key, &date[..8]).scope;
        let credential = format!("{}/{scope}", credentials.access_key);
        sort(&mut parts.headers, |one, other| one.0 < other.0);
        let mut names = TextBuilder::default();
        parts.push_header_names(&mut names);
        let mut add = |name: &'static str, value: String| query.push((name.into(), value));
        add("X-Amz-Algorithm", ALGORITHM.to_owned());
        add("X-Amz-Credential", credential);
        add("X-Amz-Date", date.to_owned());
        add("X-Amz-Expires", expires.to_string());
        if let Some(token) = &credentials.security_token {
            add("X-Amz-Security-Token", token.expose().to_owned());
        }
        add("X-Amz-SignedHeaders", names.into_string());
        let signature = self.signature(&mut Parts { query, ..parts }, credentials, date);
        query.push(("X-Amz-Signature".into(), hex(&signature)));
    }
}
