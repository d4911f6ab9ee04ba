//! AWS's shared credentials and config files, as its SDKs and Tools Reference Guide describes them ("Location of the
//! shared config and credentials files", "Format of the config file").

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::environment::Environment;
use super::input::{self, MAX_CONFIG};
use super::shown;

/// How many profiles an error names.
const NAMES: usize = 20;

/// The profiles of both files. Where both have a key of a profile, the credentials file's holds.
#[derive(Default)]
pub(super) struct Profiles(BTreeMap<String, Profile>);

/// A profile's keys, in lower case, and their values, which are wiped when dropped.
pub(super) type Profile = BTreeMap<String, Zeroizing<String>>;

/// A file that is there and cannot be read.
pub(super) struct ProfilesError {
    pub(super) message: String,
    /// Whether a variable names the file: else it is in its usual place.
    pub(super) is_named: bool,
}

impl Profiles {
    /// Reads both files. One that is not there is empty.
    pub(super) fn read(environment: &Environment) -> Result<Profiles, ProfilesError> {
        let mut profiles = Profiles::default();
        for (variable, name, is_config) in
            [("AWS_CONFIG_FILE", "config", true), ("AWS_SHARED_CREDENTIALS_FILE", "credentials", false)]
        {
            let Some((path, is_named)) = environment.aws_file(variable, name) else { continue };
            match input::read_text(&path, MAX_CONFIG) {
                Ok(text) => profiles.add(&text, is_config),
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    let by = if is_named { format!("{variable}: ") } else { String::new() };
                    let message = format!("{by}{} {error}", path.display());
                    return Err(ProfilesError { message, is_named });
                }
            }
        }
        Ok(profiles)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// The profiles' names, for people.
    pub(super) fn names(&self) -> String {
        let mut names: Vec<String> = self.0.keys().take(NAMES).map(|name| shown(name)).collect();
        if let more @ 1.. = self.0.len().saturating_sub(NAMES) {
            names.push(format!("and {more} more"));
        }
        names.join(", ")
    }

    fn add(&mut self, text: &str, is_config: bool) {
        let mut current: Option<&mut Profile> = None;
        for line in text.lines() {
            // What is indented belongs to the key above it (`s3 =` and its kin), and is no concern of ours.
            if line.starts_with([' ', '\t', '#', ';']) {
                continue;
            }
            let line = line.trim_end();
            if let Some(header) = line.strip_prefix('[') {
                let header = header.split(']').next().unwrap_or_default().trim();
                let name = match header.split_once(char::is_whitespace) {
                    Some(("profile", name)) if is_config => Some(name.trim()),
                    None if !is_config || header == "default" => Some(header),
                    // `[sso-session x]`, `[services x]`; a bare name in the config file is not a profile.
                    _ => None,
                };
                current = name.map(|name| self.0.entry(name.to_owned()).or_default());
            } else if let (Some(profile), Some((key, value))) = (&mut current, line.split_once('=')) {
                // A comment behind a value begins with a blank.
                let value = [" #", " ;", "\t#", "\t;"].iter().fold(value, |v, mark| v.split(mark).next().unwrap_or(v));
                let value = value.trim();
                if !value.is_empty() {
                    profile.insert(key.trim().to_ascii_lowercase(), Zeroizing::new(value.to_owned()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read_as_aws_reads_them() {
        let mut profiles = Profiles::default();
        profiles.add(
            "# comment\n[default]\nregion = eu-west-1\ns3 =\n    max_concurrent_requests = 20\n[profile  work ]\n\
             Region=us-west-2 ; where\naws_access_key_id = FROMCONFIG\n[stray]\nregion = x\n[sso-session it]\nregion = y\n",
            true,
        );
        profiles.add("[work]\naws_access_key_id = AK\r\naws_secret_access_key = a#b=c\n[other]\nnothing\n", false);
        let work = profiles.get("work").unwrap();
        let of = |key: &str| work.get(key).map(|value| value.as_str());
        assert_eq!(of("aws_access_key_id"), Some("AK"));
        assert_eq!(of("aws_secret_access_key"), Some("a#b=c"));
        assert_eq!(of("region"), Some("us-west-2"));
        assert_eq!(profiles.get("default").unwrap().len(), 1);
        assert_eq!(profiles.names(), "default, other, work");
    }
}
