//! The table of settings.

use sandbucket_plugin::settings::{Setting, SettingKind};

/// All settings, in display order.
pub const TABLE: &[Setting] = &[
    Setting::new("container", SettingKind::Text, None, "The container with the blobs.").required().aliases(&["bucket"]),
    Setting::new(
        "account",
        SettingKind::Text,
        None,
        "The storage account's name. Blank if it is part of the endpoint, as in NAME.blob.core.windows.net.",
    )
    .aliases(&["account-name"]),
    Setting::new(
        "access-key",
        SettingKind::Text,
        None,
        "One of the account's keys, in base64. Blank, with sas-token blank too, is anonymous access.",
    )
    .aliases(&["account-key"])
    .secret(),
    Setting::new(
        "sas-token",
        SettingKind::Text,
        None,
        "A shared access signature, in place of the access-key: the query of a URL, such as sv=...&sp=r&sig=...",
    )
    .secret(),
    Setting::new(
        "endpoint",
        SettingKind::Url,
        None,
        "The account's address: a host, host:port (both https) or an http or https URL. Blank is ACCOUNT.blob.core.windows.net.",
    ),
    Setting::TIMEOUT,
    Setting::new(
        "completion-timeout",
        SettingKind::Duration,
        Some("5m"),
        "Maximum time until the response to a completed upload or a copy, which may take the service minutes: above 0, at \
         most 24h. If timeout is longer, it applies instead.",
    ),
    Setting::MAX_RETRIES,
    Setting::RETRY_MODE,
    Setting::new(
        "key-prefix",
        SettingKind::Text,
        None,
        "Prefix of every key, used unchanged, such as tenant-7/. It counts towards the 1,024 characters of a key, and may have \
         no segments of one or two dots.",
    ),
    Setting::new(
        "checksum",
        SettingKind::Choice,
        Some("none"),
        "What is sent with a body and verified by the service, and verified of a blob that is read as a whole: none or md5.",
    ),
    Setting::new(
        "access-tier",
        SettingKind::Text,
        None,
        "The access tier of what is written: Hot, Cool, Cold or Archive. Blank is the account's own.",
    ),
    Setting::new(
        "encryption-scope",
        SettingKind::Text,
        None,
        "The encryption scope of what is written. Blank is the container's own.",
    ),
];
