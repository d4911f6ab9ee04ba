//! The one table of what can be set.

/// What a setting's text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// As [`crate::settings::duration::parse`] reads it.
    Duration,
    /// One of the words that the help line lists.
    Choice,
    /// As [`crate::s3::endpoint::Endpoint::resolve`] reads it.
    Url,
}

/// A setting that there is.
#[derive(Clone, Debug)]
pub struct Setting {
    /// In kebab-case.
    pub name: &'static str,
    /// Other names that are taken for it.
    pub aliases: &'static [&'static str],
    /// What its text must look like.
    pub kind: SettingKind,
    /// The value that holds where none is given.
    pub default: Option<&'static str>,
    /// Whether a store cannot be opened without it.
    pub required: bool,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// One line for people.
    pub help: &'static str,
}

impl Setting {
    const fn new(name: &'static str, kind: SettingKind, default: Option<&'static str>, help: &'static str) -> Self {
        Setting { name, aliases: &[], kind, default, required: false, secret: false, help }
    }
}

/// All settings there are, in the order in which to show them.
pub const TABLE: &[Setting] = &[
    Setting { required: true, ..Setting::new("bucket", SettingKind::Text, None, "The bucket that the blobs are in.") },
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
    Setting { secret: true, ..Setting::new("secret-key", SettingKind::Text, None, "The access key's secret.") },
    Setting {
        aliases: &["session-token"],
        secret: true,
        ..Setting::new("security-token", SettingKind::Text, None, "The token that temporary credentials come with.")
    },
    Setting::new(
        "timeout",
        SettingKind::Duration,
        Some("30s"),
        "The longest wait for the service without progress, in each try: above 0, at most 24h. A call in all takes 10m at \
         most where it has no time limit of its own.",
    ),
    Setting::new(
        "completion-timeout",
        SettingKind::Duration,
        Some("5m"),
        "The longest wait for the response to a completed upload or a copy, where the service may work for minutes: above 0, at \
         most 24h. Such a request is not repeated after it. Where timeout is longer, that holds.",
    ),
    Setting::new(
        "max-retries",
        SettingKind::Integer,
        Some("8"),
        "How many more times a request is sent that failed and can be repeated safely, from 0 to 100. The pauses before are 0.1 s, \
         0.2 s, 0.4 s and so on up to 20 s, the upper half of each at random: 8 outlast 12 s without the service.",
    ),
    Setting::new(
        "retry-mode",
        SettingKind::Choice,
        Some("standard"),
        "Whether the host also limits the request rate of a store that the service throttles: standard (no) or adaptive.",
    ),
    Setting::new(
        "key-prefix",
        SettingKind::Text,
        None,
        "Text put before every key as it is, such as tenant-7/. A / at its beginning is part of the key: clients that drop one \
         write, and find, other keys. S3's 1,024 bytes for a key include it.",
    ),
    Setting::new(
        "verify-after-write",
        SettingKind::Boolean,
        Some("false"),
        "Whether a write returns only once the blob is seen to be there.",
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
    Setting {
        secret: true,
        ..Setting::new(
            "sse-customer-key",
            SettingKind::Text,
            None,
            "A key of 32 bytes, in base64, that every blob is encrypted and decrypted with (SSE-C). Needs https.",
        )
    },
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
        "Whether the requester pays, which a Requester Pays bucket must be told.",
    ),
    Setting::new(
        "expected-bucket-owner",
        SettingKind::Text,
        None,
        "The AWS account, 12 digits, that the bucket must belong to: a request to another's bucket fails.",
    ),
];
