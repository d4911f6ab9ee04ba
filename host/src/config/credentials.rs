//! Where credentials come from when the section itself has none.

use zeroize::Zeroizing;

use super::environment::Environment;
use super::profiles::{Profile, Profiles};
use super::shown;
use crate::settings::Settings;

/// Ways to credentials that a profile may describe, and that need more than two files.
const ELSEWHERE: [&str; 6] =
    ["role_arn", "sso_session", "sso_start_url", "credential_process", "web_identity_token_file", "credential_source"];

/// Completes settings with credentials and region, in the order that [`Config`](super::Config) documents.
///
/// # Errors
/// In words for people, of which none is a secret.
pub(super) fn complete(
    settings: &mut Settings,
    profile: Option<&str>,
    environment: &Environment,
) -> Result<(), String> {
    let has = |settings: &Settings, name: &str| settings.iter().any(|(known, _)| known == name);
    // A token too belongs to keys beside it; without them the plugin says so.
    let own = ["access-key", "secret-key", "security-token", "session-token"];
    let has_keys = own.iter().any(|name| has(settings, name));
    let mut region = None;
    let mut last_region = None;
    let mut add =
        |name: &str, mut value: Zeroizing<String>| settings.push(name.to_owned(), std::mem::take(&mut *value));

    if has_keys && profile.is_none() {
        // Nothing to look for, and no file to read.
    } else if let Some(name) = profile {
        let profiles = Profiles::read(environment).map_err(|error| error.message)?;
        let found = named(&profiles, name)?;
        if !has_keys {
            keys(found, name, &mut add)?;
        }
        region = found.get("region").cloned();
    } else if let Some(key) = environment.variable("AWS_ACCESS_KEY_ID")? {
        let Some(secret) = environment.variable("AWS_SECRET_ACCESS_KEY")? else {
            return Err("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not".to_owned());
        };
        add("access-key", key);
        add("secret-key", secret);
        if let Some(token) = environment.variable("AWS_SESSION_TOKEN")? {
            add("security-token", token);
        }
    } else if let Some(name) = environment.variable("AWS_PROFILE")? {
        let profiles = Profiles::read(environment).map_err(|error| error.message)?;
        let found = named(&profiles, &name).map_err(|message| format!("AWS_PROFILE: {message}"))?;
        keys(found, &name, &mut add)?;
        last_region = found.get("region").cloned();
    } else if let Some(found) = unasked(environment)?.get("default") {
        // One that has no keys is no error.
        if found.contains_key("aws_access_key_id") {
            keys(found, "default", &mut add)?;
        }
        last_region = found.get("region").cloned();
    }

    if !has(settings, "region") {
        let region = match region {
            Some(region) => Some(region),
            None => match environment.variable("AWS_REGION")? {
                Some(region) => Some(region),
                None => environment.variable("AWS_DEFAULT_REGION")?.or(last_region),
            },
        };
        if let Some(mut region) = region {
            settings.push("region".to_owned(), std::mem::take(&mut *region));
        }
    }
    Ok(())
}

/// The profiles, where nobody asked for any: files in their usual place that cannot be read are as good as absent. Those
/// that a variable names are asked for.
fn unasked(environment: &Environment) -> Result<Profiles, String> {
    Profiles::read(environment).or_else(|error| {
        if error.is_named {
            return Err(error.message);
        }
        tracing::debug!(message = error.message, "going on without profiles");
        Ok(Profiles::default())
    })
}

fn named<'a>(profiles: &'a Profiles, name: &str) -> Result<&'a Profile, String> {
    profiles.get(name).ok_or_else(|| {
        let there_are = match profiles.names() {
            none if none.is_empty() => "there are none".to_owned(),
            names => format!("there are {names}"),
        };
        format!("there is no profile \"{}\" in the shared credentials and config files; {there_are}", shown(name))
    })
}

fn keys(profile: &Profile, name: &str, add: &mut impl FnMut(&str, Zeroizing<String>)) -> Result<(), String> {
    let name = shown(name);
    let of = |key: &str| profile.get(key).cloned();
    match (of("aws_access_key_id"), of("aws_secret_access_key")) {
        (Some(key), Some(secret)) => {
            add("access-key", key);
            add("secret-key", secret);
            if let Some(token) = of("aws_session_token").or_else(|| of("aws_security_token")) {
                add("security-token", token);
            }
            Ok(())
        }
        (Some(_), None) => Err(format!("the profile \"{name}\" has aws_access_key_id but no aws_secret_access_key")),
        (None, Some(_)) => Err(format!("the profile \"{name}\" has aws_secret_access_key but no aws_access_key_id")),
        (None, None) => Err(match ELSEWHERE.into_iter().find(|key| profile.contains_key(*key)) {
            Some(way) => format!(
                "the profile \"{name}\" gets its credentials by way of {way}, which is not supported yet; \
                 `aws configure export-credentials --profile {name}` gives a key, secret and token to use"
            ),
            None => format!("the profile \"{name}\" has no aws_access_key_id and aws_secret_access_key"),
        }),
    }
}

#[cfg(test)]
mod tests;
