//! Discovery of credentials, region, endpoint and certificate authorities outside the section, in AWS's variables and
//! shared files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::process;
use super::profiles::{Cause, Profile, Profiles};
use super::{Credentials, expiration};
use crate::support::environment::Environment;
use crate::text::shown;
use crate::types::settings::Settings;

/// Kinds of credentials in a profile that are not supported.
const UNSUPPORTED: [&str; 5] =
    ["role_arn", "sso_session", "sso_start_url", "web_identity_token_file", "credential_source"];

/// Keys that show that a profile is meant to supply credentials.
const INTENT: [&str; 5] =
    ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token", "credential_process"];

/// Names of the expiration time in profiles written by tools for temporary credentials: saml2aws, aws-azure-login, and
/// others.
const EXPIRATION: [&str; 4] =
    ["x_security_token_expires", "aws_expiration", "aws_credential_expiration", "aws_session_expiration"];

/// Advice for anonymous requests if the default profile has incomplete credentials.
const HOW_ANONYMOUS: &str =
    "; for anonymous requests, set AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE to /dev/null";

/// What discovery found besides settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// A file with certificate authorities.
    pub(crate) ca_file: Option<PathBuf>,
    /// The origin of each discovered setting, for errors.
    pub(crate) origins: BTreeMap<&'static str, String>,
    /// Expiration of the discovered credentials.
    pub(crate) expires: Option<SystemTime>,
    /// Whether credentials were discovered.
    pub(crate) has_keys: bool,
    /// Whether a program prints them, which was not run: see [`Keys::Later`].
    pub(crate) has_program: bool,
}

/// Whether discovery looks for credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Wanted,
    /// The same, but a `credential_process` is not run: a provider runs it when a store opens.
    Later,
    /// They come from elsewhere, and only region, endpoint and certificate authorities are looked for.
    Elsewhere,
}

/// Which profile to use.
enum Choice<'a> {
    /// No file is read, because the section has its own keys.
    None,
    /// The section names one.
    Section(&'a str),
    /// A variable names one.
    Variable(&'static str, Zeroizing<String>),
    /// The profile `default`, if there is one.
    Default,
}

/// Completes settings with credentials, region and endpoint, in the order documented by [`Config`](crate::Config).
///
/// # Errors
/// A message for people, without secrets.
pub(crate) fn complete(
    settings: &mut Settings,
    profile: Option<&str>,
    environment: &Environment,
    keys_are: Keys,
) -> Result<Found, String> {
    let has = |settings: &Settings, name: &str| settings.iter().any(|(known, _)| known == name);
    // A token belongs to keys as well; if they are missing, the plugin reports it.
    let own = ["access-key", "secret-key", "security-token", "session-token"];
    let is_elsewhere = keys_are == Keys::Elsewhere;
    let has_keys = is_elsewhere || own.iter().any(|name| has(settings, name));
    let mut add =
        |name: &str, mut value: Zeroizing<String>| settings.push(name.to_owned(), std::mem::take(&mut *value));

    let choice = match profile {
        Some(name) => Choice::Section(name),
        None if has_keys && !is_elsewhere => Choice::None,
        None => selected(environment)?,
    };
    // A tenant's section says so itself.
    let how_anonymous = if keys_are == Keys::Later { "" } else { HOW_ANONYMOUS };
    let (mut expires, mut has_program) = (None, false);
    let from_variables = match &choice {
        Choice::Variable(..) | Choice::Default if !has_keys => variables(environment, &mut add, &mut expires)?,
        _ => false,
    };
    let empty = Profile::new();
    let profiles = match &choice {
        Choice::None => Profiles::default(),
        Choice::Section(_) | Choice::Variable(..) => Profiles::read(environment).map_err(|error| error.message)?,
        Choice::Default => unrequested(environment, from_variables || has_keys)?,
    };
    let (found, name) = match &choice {
        Choice::None => (&empty, ""),
        Choice::Section(name) => {
            let found = named(&profiles, name)?;
            if !has_keys {
                has_program = keys(&profiles, found, name, keys_are, &mut add, &mut expires)?;
            }
            (found, *name)
        }
        Choice::Variable(variable, name) => {
            let of_variable = |message: String| format!("{variable}: {message}");
            let found = named(&profiles, name).map_err(of_variable)?;
            if !from_variables && !has_keys {
                has_program = keys(&profiles, found, name, keys_are, &mut add, &mut expires).map_err(of_variable)?;
            }
            (found, name.as_str())
        }
        Choice::Default => {
            let found = profiles.get("default").unwrap_or(&empty);
            // A profile without credentials is no error.
            if from_variables || has_keys {
            } else if INTENT.iter().chain(&UNSUPPORTED).any(|key| found.contains_key(*key)) {
                has_program = keys(&profiles, found, "default", keys_are, &mut add, &mut expires)
                    .map_err(|message| format!("{message}{how_anonymous}"))?;
            } else {
                check_anonymous(&profiles, environment, how_anonymous)?;
            }
            (found, "default")
        }
    };

    if !has(settings, "region") {
        let of_profile = || found.get("region").cloned();
        let region = match &choice {
            Choice::Section(_) => of_profile(),
            _ => None,
        };
        let region = match region {
            Some(region) => Some(region),
            None => match environment.variable("AWS_REGION")? {
                Some(region) => Some(region),
                None => environment.variable("AWS_DEFAULT_REGION")?.or_else(|| match choice {
                    Choice::Variable(..) | Choice::Default if !from_variables => of_profile(),
                    _ => None,
                }),
            },
        };
        if let Some(mut region) = region {
            settings.push("region".to_owned(), std::mem::take(&mut *region));
        }
    }

    let is_discovered = !has_keys && has(settings, "access-key");
    let mut result = Found { expires, has_keys: is_discovered, has_program, ..Found::default() };
    if !has(settings, "endpoint")
        && let Some((mut url, origin)) = endpoint(&profiles, found, name, environment)?
    {
        settings.push("endpoint".to_owned(), std::mem::take(&mut *url));
        result.origins.insert("endpoint", origin);
    }
    let bundle = match environment.variable("AWS_CA_BUNDLE")? {
        Some(path) => Some((path, "AWS_CA_BUNDLE".to_owned())),
        None => found.get("ca_bundle").map(|path| (path.clone(), origin("ca_bundle", name))),
    };
    if let Some((path, origin)) = bundle {
        result.ca_file = Some(environment.expand_home(path.trim().into()));
        result.origins.insert("ca-file", origin);
    }
    Ok(result)
}

/// The profile that a variable selects, in botocore's order.
fn selected(environment: &Environment) -> Result<Choice<'static>, String> {
    for variable in ["AWS_DEFAULT_PROFILE", "AWS_PROFILE"] {
        if let Some(name) = environment.variable(variable)? {
            return Ok(Choice::Variable(variable, name));
        }
    }
    Ok(Choice::Default)
}

/// Takes credentials from variables; returns whether there are any.
fn variables(
    environment: &Environment,
    add: &mut impl FnMut(&str, Zeroizing<String>),
    expires: &mut Option<SystemTime>,
) -> Result<bool, String> {
    let Some(key) = environment.variable("AWS_ACCESS_KEY_ID")? else { return Ok(false) };
    let Some(secret) = environment.variable("AWS_SECRET_ACCESS_KEY")? else {
        return Err("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not".to_owned());
    };
    add("access-key", key);
    add("secret-key", secret);
    if let Some(token) = environment.variable("AWS_SESSION_TOKEN")? {
        add("security-token", token);
        // The name that `aws configure export-credentials --format env` uses.
        *expires = environment.variable("AWS_CREDENTIAL_EXPIRATION")?.and_then(|text| expiration::parse(&text));
    }
    Ok(true)
}

/// The credentials in variables.
///
/// # Errors
/// As [`complete`].
pub(super) fn of_variables(environment: &Environment) -> Result<Option<Credentials>, String> {
    let (mut settings, mut expires) = (Settings::default(), None);
    let mut add =
        |name: &str, mut value: Zeroizing<String>| settings.push(name.to_owned(), std::mem::take(&mut *value));
    variables(environment, &mut add, &mut expires)?;
    Ok(Credentials::of_settings(&settings, expires))
}

/// The profiles, if none is requested explicitly. A file in its default place that cannot be read counts as absent if it is
/// not a regular file, or if there are credentials without it. A file that a variable names is requested.
fn unrequested(environment: &Environment, has_credentials: bool) -> Result<Profiles, String> {
    Profiles::read(environment).or_else(|error| {
        let is_absent = match error.cause {
            Cause::NoFile => true,
            Cause::Unreadable => has_credentials,
            Cause::Content => false,
        };
        if error.is_named || !is_absent {
            return Err(error.message);
        }
        tracing::debug!(message = error.message, "going on without profiles");
        Ok(Profiles::default())
    })
}

/// Rejects anonymous requests if something shows that credentials are intended.
fn check_anonymous(profiles: &Profiles, environment: &Environment, how_anonymous: &str) -> Result<(), String> {
    for variable in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        if environment.variable(variable)?.is_some() {
            return Err(format!("{variable} is set, but AWS_ACCESS_KEY_ID is not"));
        }
    }
    match profiles.missing.as_ref().or(profiles.malformed.as_ref()) {
        Some(why) => Err(format!("no credentials were found, and {why}{how_anonymous}")),
        None => Ok(()),
    }
}

fn named<'a>(profiles: &'a Profiles, name: &str) -> Result<&'a Profile, String> {
    profiles.get(name).ok_or_else(|| {
        let there_are = match profiles.names() {
            none if none.is_empty() => "there are none".to_owned(),
            names => format!("there are {names}"),
        };
        let name = shown(name);
        let bare = match profiles.is_bare(&name) {
            true => format!("; the config file has [{name}], where it must be [profile {name}]"),
            false => String::new(),
        };
        format!(
            "there is no profile \"{name}\" in the shared credentials and config files; {there_are}{bare}{}",
            malformed(profiles)
        )
    })
}

/// The position of the first malformed line of the files, for errors.
fn malformed(profiles: &Profiles) -> String {
    let why = profiles.missing.as_ref().or(profiles.malformed.as_ref());
    why.map_or(String::new(), |why| format!(" ({why})"))
}

/// Takes the credentials of a profile. Returns whether a program prints them, which was not run.
fn keys(
    profiles: &Profiles,
    profile: &Profile,
    name: &str,
    keys_are: Keys,
    add: &mut impl FnMut(&str, Zeroizing<String>),
    expires: &mut Option<SystemTime>,
) -> Result<bool, String> {
    let name = shown(name);
    let of = |key: &str| profile.get(key).cloned();
    // AWS's tools assume the role even if there are keys beside it, which then are the keys to assume it with.
    let unsupported = UNSUPPORTED.into_iter().find(|way| profile.contains_key(*way));
    let is_role = unsupported == Some("role_arn");
    match (of("aws_access_key_id"), of("aws_secret_access_key")) {
        (Some(key), Some(secret)) if !is_role => {
            add("access-key", key);
            add("secret-key", secret);
            if let Some(token) = of("aws_session_token").or_else(|| of("aws_security_token")) {
                add("security-token", token);
                let text = EXPIRATION.iter().find_map(|key| profile.get(*key));
                *expires = text.and_then(|text| expiration::parse(text));
            }
            return Ok(false);
        }
        (Some(_), None) if !is_role => {
            return Err(format!(
                "the profile \"{name}\" has aws_access_key_id but no aws_secret_access_key{}",
                malformed(profiles)
            ));
        }
        (None, Some(_)) if !is_role => {
            return Err(format!(
                "the profile \"{name}\" has aws_secret_access_key but no aws_access_key_id{}",
                malformed(profiles)
            ));
        }
        _ => {}
    }
    if let (Some(command), false) = (profile.get("credential_process"), is_role) {
        if keys_are == Keys::Later {
            return Ok(true);
        }
        let found = process::run(command, process::TIMEOUT)
            .map_err(|message| format!("credential_process of the profile \"{name}\": {message}"))?;
        *expires = found.expires;
        add("access-key", found.access_key);
        add("secret-key", found.secret_key);
        if let Some(token) = found.token {
            add("security-token", token);
        }
        return Ok(false);
    }
    Err(match unsupported {
        Some(way) => format!(
            "the profile \"{name}\" gets its credentials by way of {way}, which needs \
             `credentials = \"aws\"` beside it and the feature `aws-config`; or \
             `aws configure export-credentials --profile {name}` gives a key, secret and token to use"
        ),
        None => {
            format!("the profile \"{name}\" has no aws_access_key_id and aws_secret_access_key{}", malformed(profiles))
        }
    })
}

/// The endpoint that variables or the profile name, and its origin.
fn endpoint(
    profiles: &Profiles,
    profile: &Profile,
    name: &str,
    environment: &Environment,
) -> Result<Option<(Zeroizing<String>, String)>, String> {
    let ignored = match environment.variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")? {
        Some(value) => Some(value),
        None => profile.get("ignore_configured_endpoint_urls").cloned(),
    };
    if ignored.is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    for variable in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        if let Some(url) = environment.variable(variable)? {
            return Ok(Some((url, variable.to_owned())));
        }
    }
    if let Some(services) = profile.get("services") {
        let Some(section) = profiles.services(services) else {
            let (name, services) = (shown(name), shown(services));
            return Err(format!(
                "the profile \"{name}\" has services = {services}, but the config file has no [services {services}]"
            ));
        };
        if let Some(url) = section.get("s3.endpoint_url") {
            let origin = format!("endpoint_url of s3 in [services {}]", shown(services));
            return Ok(Some((url.clone(), origin)));
        }
    }
    Ok(profile.get("endpoint_url").map(|url| (url.clone(), origin("endpoint_url", name))))
}

fn origin(key: &str, profile: &str) -> String {
    format!("{key} of the profile \"{}\"", shown(profile))
}

#[cfg(test)]
mod tests;
