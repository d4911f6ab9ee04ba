//! The table of settings.

use sandbucket_plugin::settings::{Setting, SettingKind};

/// All settings, in display order.
pub const TABLE: &[Setting] = &[
    Setting::new("bucket", SettingKind::Text, None, "The bucket with the blobs.").required(),
    Setting::new(
        "region",
        SettingKind::Text,
        Some("us-east-1"),
        "The region that requests are signed for and, without an endpoint, sent to.",
    ),
    Setting::new(
        "endpoint",
        SettingKind::Url,
        None,
        "The service: a host, host:port (both https) or an http or https URL. Blank is Amazon S3 in the region.",
    ),
    Setting::new(
        "access-key",
        SettingKind::Text,
        None,
        "The access key's id. Blank, with secret-key blank too, is anonymous access.",
    ),
    Setting::new("secret-key", SettingKind::Text, None, "The access key's secret.").secret(),
    Setting::new("security-token", SettingKind::Text, None, "The token that temporary credentials come with.")
        .aliases(&["session-token"])
        .secret(),
    Setting::TIMEOUT,
    Setting::new(
        "completion-timeout",
        SettingKind::Duration,
        Some("5m"),
        "Maximum time until the response to a completed upload or a copy, which may take the service minutes: above 0, at \
         most 24h. Such a request is not retried after it. If timeout is longer, it applies instead.",
    ),
    Setting::MAX_RETRIES,
    Setting::RETRY_MODE,
    Setting::new(
        "key-prefix",
        SettingKind::Text,
        None,
        "Prefix of every key, used unchanged, such as tenant-7/. A leading / is part of the key: clients that drop it use \
         different keys. It counts towards the 1,024 bytes of a key.",
    ),
    Setting::new(
        "verify-after-write",
        SettingKind::Boolean,
        Some("false"),
        "Whether a HEAD verifies each write before it returns.",
    ),
    Setting::new(
        "check-conditions",
        SettingKind::Boolean,
        Some("true"),
        "Whether a HEAD checks the condition of a completed upload or a copy before, as some services (Ceph) ignore it there.",
    ),
    Setting::new(
        "addressing-style",
        SettingKind::Choice,
        Some("auto"),
        "Where the bucket's name goes: path, virtual (before the host name), or auto: virtual on AWS if it can be, else path.",
    ),
    Setting::new(
        "payload-signing",
        SettingKind::Choice,
        Some("auto"),
        "Whether bodies are hashed and signed: signed, unsigned, or auto: signed over http, unsigned over https.",
    ),
    Setting::new(
        "checksum",
        SettingKind::Choice,
        Some("auto"),
        "What is sent with a body and verified by the service: none, crc64nvme, crc32c, crc32, sha256, md5, or auto: \
         crc64nvme on AWS, else none.",
    ),
    Setting::new(
        "dual-stack",
        SettingKind::Boolean,
        Some("false"),
        "Whether to use AWS's hosts that have IPv6 addresses too. For no other service.",
    ),
    Setting::new(
        "fips",
        SettingKind::Boolean,
        Some("false"),
        "Whether to use AWS's hosts with FIPS 140 cryptography. For no other service.",
    ),
    Setting::new(
        "accelerate",
        SettingKind::Boolean,
        Some("false"),
        "Whether to use S3 Transfer Acceleration, which the bucket must have switched on. For no other service.",
    ),
    Setting::new(
        "storage-class",
        SettingKind::Text,
        None,
        "The storage class of what is written, such as STANDARD_IA.",
    ),
    Setting::new(
        "acl",
        SettingKind::Text,
        None,
        "The canned ACL of what is written, such as bucket-owner-full-control.",
    ),
    Setting::new(
        "server-side-encryption",
        SettingKind::Text,
        None,
        "How the service encrypts what is written: AES256, aws:kms or aws:kms:dsse. Blank is the bucket's own way.",
    ),
    Setting::new("sse-kms-key-id", SettingKind::Text, None, "The KMS key to encrypt with: its id, ARN or alias."),
    Setting::new(
        "sse-bucket-key",
        SettingKind::Boolean,
        None,
        "Whether to use an S3 Bucket Key with KMS, which asks KMS less often. Blank is the bucket's own way.",
    ),
    Setting::new(
        "sse-customer-key",
        SettingKind::Text,
        None,
        "A key of 32 bytes, in base64, that every blob is encrypted and decrypted with (SSE-C). Needs https.",
    )
    .secret(),
    Setting::new(
        "allow-insecure-sse-customer-key",
        SettingKind::Boolean,
        Some("false"),
        "Whether sse-customer-key, as a setting or an attribute, may be sent over plain http, where others can read it.",
    ),
    Setting::new(
        "request-payer",
        SettingKind::Boolean,
        Some("false"),
        "Whether the requester pays, which a Requester Pays bucket requires.",
    ),
    Setting::new(
        "expected-bucket-owner",
        SettingKind::Text,
        None,
        "The AWS account, 12 digits, that the bucket must belong to: a request to another's bucket fails.",
    ),
];
