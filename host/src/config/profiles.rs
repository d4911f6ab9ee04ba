//! AWS's shared credentials and config files, as its SDKs and Tools Reference Guide describes them ("Location of the
//! shared config and credentials files", "Format of the config file").

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::environment::Environment;

/// The profiles of both files. Where both have a key of a profile, the credentials file's holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Profiles(BTreeMap<String, Profile>);

/// A profile's keys, in lower case, and their values.
pub(super) type Profile = BTreeMap<String, String>;

impl Profiles {
    /// Reads both files. One that is not there is empty.
    pub(super) fn read(environment: &Environment) -> Result<Profiles, String> {
        let mut profiles = Profiles::default();
        for (variable, name, is_config) in
            [("AWS_CONFIG_FILE", "config", true), ("AWS_SHARED_CREDENTIALS_FILE", "credentials", false)]
        {
            let Some(path) = environment.aws_file(variable, name) else { continue };
            match fs::read_to_string(&path) {
                Ok(text) => profiles.add(&text, is_config),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
            }
        }
        Ok(profiles)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// The profiles' names, for people.
    pub(super) fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
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
                    profile.insert(key.trim().to_ascii_lowercase(), value.to_owned());
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
        let of = |key: &str| work.get(key).map(String::as_str);
        assert_eq!(of("aws_access_key_id"), Some("AK"));
        assert_eq!(of("aws_secret_access_key"), Some("a#b=c"));
        assert_eq!(of("region"), Some("us-west-2"));
        assert_eq!(profiles.get("default").unwrap().len(), 1);
        assert_eq!(profiles.names(), "default, other, work");
    }
}
