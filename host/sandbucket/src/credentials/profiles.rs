//! Parser of AWS's shared credentials and config files, compatible with AWS's tools.
//!
//! The rules are those of botocore's parser, which the AWS CLI and boto3 use, and of the SDKs and Tools Reference Guide: a
//! line indented deeper than the key above it belongs to that key, `=` or `:` ends a key, section names may be quoted.
//! Where botocore rejects a whole file because of one line, this parser skips the line, and errors point to it.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::support::environment::Environment;
use crate::support::input::{self, InputError, MAX_CONFIG};
use crate::text::shown;

/// Maximum number of profiles that an error names.
const NAMES: usize = 20;

/// The profiles of both files. If both define a key of a profile, the credentials file takes precedence.
#[derive(Default)]
pub(crate) struct Profiles {
    profiles: BTreeMap<String, Profile>,
    /// The sections `[services NAME]` of the config file.
    services: BTreeMap<String, Profile>,
    /// Sections of the config file without the word `profile` before their name. At most as many as errors name.
    bare: Vec<String>,
    /// The position of the first malformed line, and what is wrong with it.
    pub(super) malformed: Option<String>,
    /// The first missing file that a variable names.
    pub(super) missing: Option<String>,
}

/// A profile's keys, in lower case, with their values, which are wiped on drop. `key = value` nested below `s3 =` is
/// `s3.key`.
pub(super) type Profile = BTreeMap<String, Zeroizing<String>>;

/// A file that exists and cannot be read.
pub(crate) struct ProfilesError {
    pub(crate) message: String,
    /// Whether a variable names the file, instead of the default path.
    pub(crate) is_named: bool,
    /// What prevents reading it.
    pub(super) cause: Cause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A folder or a device, or inside a folder that this process may not enter.
    NoFile,
    /// The file system refuses to open or read it.
    Unreadable,
    /// Too long, or not text.
    Content,
}

impl Profiles {
    /// Reads both files. A missing file counts as empty, and so does `/dev/null`.
    pub(crate) fn read(environment: &Environment) -> Result<Profiles, ProfilesError> {
        let mut profiles = Profiles::default();
        for (variable, name, is_config) in
            [("AWS_CONFIG_FILE", "config", true), ("AWS_SHARED_CREDENTIALS_FILE", "credentials", false)]
        {
            let Some((path, is_named)) = environment.aws_file(variable, name) else { continue };
            if path.as_os_str() == "/dev/null" {
                continue;
            }
            let shown_path = shown(&path.to_string_lossy());
            match input::read_text(&path, MAX_CONFIG) {
                Ok(text) => profiles.add(&text, &shown_path, is_config),
                Err(error) if error.is_not_found() => {
                    if is_named {
                        profiles.missing.get_or_insert(format!("{variable}: there is no file {shown_path}"));
                    }
                }
                Err(error) => {
                    let by = if is_named { format!("{variable}: ") } else { String::new() };
                    let cause = match &error {
                        InputError::Io(_) if path.is_file() => Cause::Unreadable,
                        InputError::Io(_) | InputError::Kind(..) => Cause::NoFile,
                        InputError::TooLong(_) | InputError::NotText => Cause::Content,
                    };
                    let message = format!("{by}{} {error}", path.display());
                    return Err(ProfilesError { message, is_named, cause });
                }
            }
        }
        Ok(profiles)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    /// The section `[services NAME]` of the config file.
    pub(super) fn services(&self, name: &str) -> Option<&Profile> {
        self.services.get(name)
    }

    /// Whether the config file has a section of this name that lacks the word `profile`.
    pub(super) fn is_bare(&self, name: &str) -> bool {
        self.bare.iter().any(|bare| bare == name)
    }

    /// The profiles' names, for error messages.
    pub(super) fn names(&self) -> String {
        let mut names: Vec<String> = self.profiles.keys().take(NAMES).map(|name| shown(name)).collect();
        if let more @ 1.. = self.profiles.len().saturating_sub(NAMES) {
            names.push(format!("and {more} more"));
        }
        names.join(", ")
    }

    fn add(&mut self, text: &str, file: &str, is_config: bool) {
        let Profiles { profiles, services, bare, malformed, .. } = self;
        let mut mark = |line: usize, what: &str| {
            malformed.get_or_insert_with(|| format!("{file}:{line}: {what}"));
        };
        let mut section = Section::Before;
        // The key that deeper lines belong to, and whether they are keys themselves, as after `s3 =`.
        let mut option: Option<(String, bool)> = None;
        let mut level = 0;
        // Windows editors prepend a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, whole) in text.lines().enumerate() {
            let line = whole.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let indent = whole.chars().take_while(|c| c.is_whitespace()).count();
            if let (Some((outer, is_nested)), true) = (&option, indent > level) {
                match (pair(line), &mut section) {
                    (Some((key, value)), Section::Keys(keys)) if *is_nested => {
                        insert(keys, &format!("{outer}.{key}"), value)
                    }
                    (_, Section::Other) => {}
                    _ if *is_nested => mark(index + 1, "this is no `KEY = VALUE`"),
                    _ => mark(
                        index + 1,
                        "this line is indented deeper than the key above it, and so it is part of that key's value",
                    ),
                }
                continue;
            }
            level = indent;
            if let Some(header) = line.strip_prefix('[') {
                option = None;
                let header = header.split(']').next().unwrap_or_default().trim();
                section = match name(header, is_config) {
                    Name::Profile(name) => Section::Keys(profiles.entry(name).or_default()),
                    Name::Services(name) => Section::Keys(services.entry(name).or_default()),
                    Name::Other => {
                        if bare.len() < NAMES {
                            bare.push(header.to_owned());
                        }
                        Section::Other
                    }
                };
                continue;
            }
            match (pair(line), &mut section) {
                (_, Section::Before) => mark(index + 1, "this is before the first `[SECTION]`"),
                (Some((key, value)), section) => {
                    option = Some((key.to_ascii_lowercase(), value.is_empty()));
                    if let Section::Keys(keys) = section {
                        insert(keys, key, value);
                    }
                }
                (None, Section::Keys(_)) => mark(index + 1, "this is neither a `[SECTION]` nor `KEY = VALUE`"),
                (None, Section::Other) => {}
            }
        }
    }
}

/// The section of a line.
enum Section<'a> {
    /// Before the first section.
    Before,
    /// A section whose keys are used.
    Keys(&'a mut Profile),
    /// Another, such as `[sso-session x]`.
    Other,
}

enum Name {
    Profile(String),
    Services(String),
    Other,
}

/// Parses the header of a section. In the config file, profiles other than `default` have the word `profile` before their
/// name; the credentials file has only names.
fn name(header: &str, is_config: bool) -> Name {
    if !is_config {
        // There, names are rarely quoted, and a backslash is part of the name.
        let is_quoted = header.starts_with(['"', '\'']);
        return Name::Profile(if is_quoted { unquoted(header) } else { header.to_owned() });
    }
    match header.split_once(char::is_whitespace) {
        Some(("profile", name)) => Name::Profile(unquoted(name.trim())),
        Some(("services", name)) => Name::Services(unquoted(name.trim())),
        None if header == "default" => Name::Profile(header.to_owned()),
        _ => Name::Other,
    }
}

/// A name that may be quoted as in a shell. A name with spaces needs no quotes.
fn unquoted(name: &str) -> String {
    match shlex::split(name).as_deref() {
        Some([word]) => word.clone(),
        _ => name.to_owned(),
    }
}

/// A key and its value, without a trailing comment, which begins with a space.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(['=', ':'])?;
    let key = key.trim_end();
    // A command may contain these marks.
    let value = if key.eq_ignore_ascii_case("credential_process") {
        value
    } else {
        [" #", " ;", "\t#", "\t;"].iter().fold(value, |value, mark| value.split(mark).next().unwrap_or(value))
    };
    (!key.is_empty()).then(|| (key, value.trim()))
}

fn insert(keys: &mut Profile, key: &str, value: &str) {
    if !value.is_empty() {
        keys.insert(key.to_ascii_lowercase(), Zeroizing::new(value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str, credentials: &str) -> Profiles {
        let mut profiles = Profiles::default();
        profiles.add(config, "config", true);
        profiles.add(credentials, "credentials", false);
        profiles
    }

    #[test]
    fn both_files_are_read_as_aws_reads_them() {
        let profiles = read(
            "# comment\n[default]\nregion = eu-west-1\ns3 =\n    max_concurrent_requests = 20\n[profile  work ]\n\
             Region=us-west-2 ; where\naws_access_key_id = FROMCONFIG\n[stray]\nregion = x\n[sso-session it]\nregion = y\n",
            "[work]\naws_access_key_id = AK\r\naws_secret_access_key = a#b=c\n[other]\nnothing\n",
        );
        let work = profiles.get("work").unwrap();
        let of = |key: &str| work.get(key).map(|value| value.as_str());
        assert_eq!(of("aws_access_key_id"), Some("AK"));
        assert_eq!(of("aws_secret_access_key"), Some("a#b=c"));
        assert_eq!(of("region"), Some("us-west-2"));
        assert_eq!(profiles.get("default").unwrap()["region"].as_str(), "eu-west-1");
        assert_eq!(profiles.get("default").unwrap()["s3.max_concurrent_requests"].as_str(), "20");
        assert_eq!(profiles.names(), "default, other, work");
        assert!(profiles.is_bare("stray"));
        assert_eq!(profiles.malformed.unwrap(), "credentials:5: this is neither a `[SECTION]` nor `KEY = VALUE`");
    }

    #[test]
    fn first_malformed_line_is_pointed_to_and_not_shown() {
        for (text, line) in [
            ("aws_access_key_id = hush", 1),
            ("[p]\na = 1\n\n# c\n  hush = 2\n", 5),
            ("[p]\ns3 =\n  hush\n", 3),
            ("[p]\n= hush\n", 2),
            ("\u{feff}\u{feff}[p]\n", 1),
        ] {
            let malformed = read("", text).malformed.unwrap();
            assert!(
                malformed.starts_with(&format!("credentials:{line}: ")) && !malformed.contains("hush"),
                "{malformed}"
            );
        }
        assert_eq!(read("[other]\nnothing\n  at all\n", "").malformed, None);
    }

    #[test]
    fn long_file_of_odd_lines_is_read_in_linear_time() {
        for line in ["[p]\n", " [p]\n", "a\n", " a=\n", "  a=1\n", "[\"\n", "=\n", ":\n", "[profile 'a b']\n"] {
            let text = format!("[p]\na =\n{}", line.repeat(MAX_CONFIG as usize / line.len()));
            drop(read(&text, &text));
        }
    }
}
