//! The settings: one table of what there is, and how they become a store's.

use std::fmt;
use std::time::Duration;

use crate::duration;
use crate::endpoint::{AddressingStyle, Endpoint};
use crate::error::{Fault, tidy};

/// What a setting's text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A number with a unit.
    Duration,
    /// One of the words that the help lists.
    Choice,
    /// A host, a host and port, or a URL.
    Url,
}

/// A setting that is known.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// What its text looks like.
    pub kind: SettingKind,
    /// What holds without it.
    pub default: Option<&'static str>,
    /// Whether there is no store without it.
    pub required: bool,
    /// Whether it must not be shown.
    pub secret: bool,
    /// What it does, in a line.
    pub help: &'static str,
}

const fn setting(name: &'static str, kind: SettingKind, default: Option<&'static str>, help: &'static str) -> Setting {
    Setting { name, aliases: &[], kind, default, required: false, secret: false, help }
}

/// All settings, in the order in which to show them.
pub const TABLE: &[Setting] = &[
    Setting { required: true, ..setting("bucket", SettingKind::Text, None, "The bucket's name.") },
    setting(
        "region",
        SettingKind::Text,
        Some("us-east-1"),
        "The bucket's region. Services of one's own mostly take the default.",
    ),
    setting(
        "access-key",
        SettingKind::Text,
        None,
        "The access key's id. Without it and secret-key, requests are anonymous.",
    ),
    Setting {
        secret: true,
        ..setting("secret-key", SettingKind::Text, None, "The secret that belongs to access-key.")
    },
    setting(
        "endpoint",
        SettingKind::Url,
        None,
        "The service: a host (over https), host:port, or an http or https URL. Without it, AWS in the region.",
    ),
    Setting {
        aliases: &["session-token"],
        secret: true,
        ..setting("security-token", SettingKind::Text, None, "The token of temporary credentials, with their keys.")
    },
    setting(
        "timeout",
        SettingKind::Duration,
        Some("30s"),
        "How long each try waits for the service without progress. A whole call takes 3 minutes at most unless it says otherwise.",
    ),
    setting("max-retries", SettingKind::Integer, Some("3"), "How often a failed request is tried again: 0 to 100."),
    setting("key-prefix", SettingKind::Text, None, "What every key begins with at the service; callers do not see it."),
    setting(
        "verify-after-write",
        SettingKind::Boolean,
        Some("false"),
        "Whether a write ends only when the blob can be seen, for services that acknowledge earlier.",
    ),
    setting(
        "addressing-style",
        SettingKind::Choice,
        Some("auto"),
        "Where requests name the bucket: path, virtual (in the host), or auto (virtual on AWS, path elsewhere).",
    ),
    setting(
        "payload-signing",
        SettingKind::Choice,
        Some("auto"),
        "Whether bodies are hashed and signed: signed, unsigned, or auto (signed over http, unsigned over https).",
    ),
];

/// Settings, understood.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The bucket.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// None is anonymous.
    pub credentials: Option<Credentials>,
    /// Where requests go.
    pub endpoint: Endpoint,
    /// The longest wait without progress, a try.
    pub timeout: Duration,
    /// How often a request is tried again.
    pub max_retries: u32,
    /// What every key begins with.
    pub key_prefix: String,
    /// Whether a write is looked for before it counts.
    pub verify_after_write: bool,
    /// Whether bodies are hashed.
    pub payload_signing: PayloadSigning,
}

/// Whether bodies are hashed and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadSigning {
    /// Over http only.
    Auto,
    /// Always.
    Signed,
    /// Never.
    Unsigned,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key's id.
    pub access_key: String,
    /// The secret.
    pub secret_key: Secret,
    /// The token of temporary credentials.
    pub security_token: Option<Secret>,
}

/// A text that is never shown: it has no `Display`, and its `Debug` says only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Understands settings. A blank one counts as not given.
///
/// # Errors
/// The first setting that is unknown, doubled, missing, malformed or at odds with another, by its name.
pub fn parse(pairs: &[(String, String)]) -> Result<Settings, Fault> {
    let mut given: Vec<Option<&str>> = vec![None; TABLE.len()];
    for (name, value) in pairs {
        let known = TABLE.iter().position(|known| known.name == name || known.aliases.contains(&name.as_str()));
        let value = value.trim();
        match known {
            None if value.is_empty() && name == "profile" => {}
            None => return Err(unknown(name)),
            Some(_) if value.is_empty() => {}
            Some(at) if given[at].is_some() => {
                let known = TABLE[at].name;
                return Err(Fault::new(known, format!("{known} is given twice (as {name} the second time)")));
            }
            Some(at) => given[at] = Some(value),
        }
    }
    let get = |name: &str| TABLE.iter().position(|known| known.name == name).and_then(|at| given[at]);

    let bucket = get("bucket").ok_or_else(|| Fault::new("bucket", "bucket is missing: name the bucket to use"))?;
    let region = get("region").unwrap_or("us-east-1");
    plain("region", region)?;
    let style = choice(
        "addressing-style",
        get("addressing-style"),
        AddressingStyle::Auto,
        &[("auto", AddressingStyle::Auto), ("path", AddressingStyle::Path), ("virtual", AddressingStyle::Virtual)],
    )?;
    let payload_signing = choice(
        "payload-signing",
        get("payload-signing"),
        PayloadSigning::Auto,
        &[("auto", PayloadSigning::Auto), ("signed", PayloadSigning::Signed), ("unsigned", PayloadSigning::Unsigned)],
    )?;
    let verify_after_write =
        choice("verify-after-write", get("verify-after-write"), false, &[("false", false), ("true", true)])?;
    let timeout = match get("timeout") {
        None => Duration::from_secs(30),
        Some(text) => match duration::parse(text) {
            Ok(time) if !time.is_zero() => time,
            Ok(_) => return Err(Fault::new("timeout", "timeout must be longer than 0")),
            Err(why) => return Err(Fault::new("timeout", format!("timeout: {:?} {why}", tidy(text, 40)))),
        },
    };
    let max_retries = match get("max-retries") {
        None => 3,
        Some(text) => match text.parse::<u32>() {
            Ok(number) if number <= 100 => number,
            _ => {
                let text = tidy(text, 40);
                return Err(Fault::new(
                    "max-retries",
                    format!("max-retries: {text:?} must be a whole number from 0 to 100"),
                ));
            }
        },
    };
    let key_prefix = get("key-prefix").unwrap_or_default();
    if key_prefix.len() >= crate::key::MAX {
        return Err(Fault::new(
            "key-prefix",
            "key-prefix leaves no room for a key: both together may have 1,024 bytes",
        ));
    }
    Ok(Settings {
        endpoint: Endpoint::resolve(get("endpoint"), region, bucket, style)?,
        credentials: credentials(get("access-key"), get("secret-key"), get("security-token"))?,
        bucket: bucket.to_owned(),
        region: region.to_owned(),
        timeout,
        max_retries,
        key_prefix: key_prefix.to_owned(),
        verify_after_write,
        payload_signing,
    })
}

fn credentials(key: Option<&str>, secret: Option<&str>, token: Option<&str>) -> Result<Option<Credentials>, Fault> {
    let (key, secret) = match (key, secret) {
        (Some(key), Some(secret)) => (key, secret),
        (Some(_), None) => {
            return Err(Fault::new(
                "secret-key",
                "access-key is given without secret-key: give both, or neither for anonymous access",
            ));
        }
        (None, Some(_)) => {
            return Err(Fault::new(
                "access-key",
                "secret-key is given without access-key: give both, or neither for anonymous access",
            ));
        }
        (None, None) if token.is_some() => {
            return Err(Fault::new(
                "access-key",
                "security-token is given without access-key and secret-key, which belong to it",
            ));
        }
        (None, None) => return Ok(None),
    };
    plain("access-key", key)?;
    if key.contains(['/', ',', ' ']) {
        return Err(Fault::new("access-key", "access-key has a character that no access key has; is it the secret?"));
    }
    if let Some(token) = token {
        plain("security-token", token)?;
    }
    Ok(Some(Credentials {
        access_key: key.to_owned(),
        secret_key: Secret(secret.to_owned()),
        security_token: token.map(|token| Secret(token.to_owned())),
    }))
}

/// Refuses what cannot stand in a header. The value is not repeated: it may be a secret in the wrong place.
fn plain(name: &'static str, value: &str) -> Result<(), Fault> {
    if value.bytes().all(|b| (b'!'..=b'~').contains(&b)) {
        Ok(())
    } else {
        Err(Fault::new(name, format!("{name} has a space, a line end or another character that cannot be in it")))
    }
}

fn choice<T: Copy>(name: &'static str, given: Option<&str>, default: T, choices: &[(&str, T)]) -> Result<T, Fault> {
    let Some(given) = given else { return Ok(default) };
    match choices.iter().find(|(word, _)| given.eq_ignore_ascii_case(word)) {
        Some((_, value)) => Ok(*value),
        None => {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            Err(Fault::new(name, format!("{name}: {:?} must be one of {}", tidy(given, 40), words.join(", "))))
        }
    }
}

fn unknown(name: &str) -> Fault {
    let shown = tidy(name, 60);
    if name == "profile" {
        return Fault::new(
            "profile",
            "profile names credentials in a file, which the plugin cannot read: the host must resolve it and give \
             access-key, secret-key and security-token",
        );
    }
    let names = TABLE.iter().flat_map(|known| std::iter::once(known.name).chain(known.aliases.iter().copied()));
    let nearest = names
        .map(|known| (strsim::damerau_levenshtein(&shown.to_ascii_lowercase().replace('_', "-"), known), known))
        .min_by_key(|(distance, _)| *distance);
    let advice = match nearest {
        Some((distance, known)) if distance <= 1 + known.len() / 3 => format!("did you mean {known}?"),
        _ => format!("there are {}", TABLE.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")),
    };
    Fault::new(shown.clone(), format!("there is no setting {shown:?}: {advice}"))
}

#[cfg(test)]
mod tests;
