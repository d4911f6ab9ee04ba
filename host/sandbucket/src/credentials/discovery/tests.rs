use std::fs;

use super::*;

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new(credentials: &str, config: &str) -> Home {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".aws")).unwrap();
        fs::write(folder.path().join(".aws/credentials"), credentials).unwrap();
        fs::write(folder.path().join(".aws/config"), config).unwrap();
        Home { folder }
    }

    /// The completed settings, sorted.
    fn complete(&self, settings: &[(&str, &str)], profile: Option<&str>, variables: &[(&str, &str)]) -> Outcome {
        let home = self.folder.path().to_str().unwrap();
        let mut all = vec![("HOME", home)];
        all.extend(variables);
        let mut all_settings = Settings::default();
        settings.iter().for_each(|(name, value)| all_settings.push(name.to_string(), value.to_string()));
        complete(&mut all_settings, profile, &Environment::of(&all), Keys::Wanted).map(drop)?;
        let mut settings = all_settings.to_vec();
        settings.sort();
        Ok(settings.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }
}

type Outcome = Result<Vec<String>, String>;

const CREDENTIALS: &str = "[default]\naws_access_key_id = DK\naws_secret_access_key = DS\n\
    [temp]\naws_access_key_id=TK\naws_secret_access_key=TS\naws_session_token=TT\n\
    [half]\naws_access_key_id = HK\n";
const CONFIG: &str =
    "[default]\nregion = d-region\n[profile temp]\nregion = t-region\n[profile role]\nrole_arn = arn:x\n";
const VARIABLES: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "EK"), ("AWS_SECRET_ACCESS_KEY", "ES"), ("AWS_SESSION_TOKEN", "ET")];

#[test]
fn keys_of_the_section_take_precedence() {
    let home = Home::new(CREDENTIALS, CONFIG);
    let own = [("access-key", "K"), ("secret-key", "S"), ("region", "r")];
    let expected = vec!["access-key=K".to_owned(), "region=r".to_owned(), "secret-key=S".to_owned()];
    assert_eq!(home.complete(&own, None, &VARIABLES), Ok(expected.clone()));
    assert_eq!(home.complete(&own, Some("temp"), &VARIABLES), Ok(expected));
}

#[test]
fn profile_environment_and_default_profile_follow_in_order() {
    let home = Home::new(CREDENTIALS, CONFIG);
    let of = |profile, variables: &[(&str, &str)]| home.complete(&[], profile, variables).unwrap().join(" ");
    assert_eq!(of(Some("temp"), &VARIABLES), "access-key=TK region=t-region secret-key=TS security-token=TT");
    assert_eq!(of(None, &VARIABLES), "access-key=EK secret-key=ES security-token=ET");
    let mut with_region = VARIABLES.to_vec();
    with_region.extend([("AWS_DEFAULT_REGION", "two"), ("AWS_PROFILE", "temp")]);
    assert_eq!(of(None, &with_region), "access-key=EK region=two secret-key=ES security-token=ET");
    with_region.push(("AWS_REGION", "one"));
    assert_eq!(of(None, &with_region), "access-key=EK region=one secret-key=ES security-token=ET");
    assert_eq!(of(None, &[("AWS_PROFILE", "temp")]), "access-key=TK region=t-region secret-key=TS security-token=TT");
    assert_eq!(of(None, &[]), "access-key=DK region=d-region secret-key=DS");
}

#[test]
fn requests_without_any_credentials_are_anonymous() {
    let home = Home::new("", "[default]\nregion = d-region\n");
    assert_eq!(home.complete(&[], None, &[]), Ok(vec!["region=d-region".to_owned()]));
    let nowhere = Environment::of(&[("HOME", "/no/such/home")]);
    assert_eq!(complete(&mut Settings::default(), None, &nowhere, Keys::Wanted), Ok(Found::default()));
}

#[test]
fn variables_select_other_files() {
    let home = Home::new("", "");
    let other_file = home.folder.path().join("keys");
    fs::write(&other_file, CREDENTIALS).unwrap();
    let variables = [("AWS_SHARED_CREDENTIALS_FILE", other_file.to_str().unwrap())];
    assert_eq!(home.complete(&[], None, &variables).unwrap(), ["access-key=DK", "secret-key=DS"]);
    assert_eq!(home.complete(&[], None, &[("AWS_SHARED_CREDENTIALS_FILE", "~/keys")]).unwrap().len(), 2);
}

#[test]
fn errors_name_missing_settings_and_no_secret() {
    let home = Home::new(CREDENTIALS, CONFIG);
    let error = |profile, variables: &[(&str, &str)]| home.complete(&[], profile, variables).unwrap_err();
    let missing = error(Some("nobody"), &[]);
    assert!(missing.contains("\"nobody\"") && missing.contains("default, half, role, temp"), "{missing}");
    assert!(error(None, &[("AWS_PROFILE", "nobody")]).starts_with("AWS_PROFILE: "));
    assert!(error(Some("half"), &[]).contains("no aws_secret_access_key"));
    assert!(error(Some("role"), &[]).contains("role_arn"));
    assert!(error(None, &[("AWS_ACCESS_KEY_ID", "EK")]).contains("AWS_SECRET_ACCESS_KEY"));
    for words in [missing, error(Some("half"), &[]), error(None, &[("AWS_ACCESS_KEY_ID", "EK")])] {
        assert!(!["HK", "EK", "DS", "TS"].iter().any(|secret| words.contains(secret)), "{words}");
    }
}

#[test]
fn file_that_cannot_be_read_is_an_error_if_a_variable_names_it() {
    let home = Home::new("", "");
    let folder = home.folder.path().to_str().unwrap();
    for variable in ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"] {
        let error = home.complete(&[], None, &[(variable, folder)]).unwrap_err();
        assert!(error.contains(variable) && error.contains(folder) && error.contains("a folder"), "{error}");
    }
    // In its default place, unrequested, it counts as absent.
    fs::remove_file(home.folder.path().join(".aws/credentials")).unwrap();
    fs::create_dir(home.folder.path().join(".aws/credentials")).unwrap();
    assert_eq!(home.complete(&[], None, &[]), Ok(vec![]));
    let error = home.complete(&[], Some("p"), &[]).unwrap_err();
    assert!(error.contains(".aws/credentials") && error.contains("a folder"), "{error}");
}

#[test]
fn error_about_profiles_is_short_and_has_no_control_characters() {
    let many: String = (0..10_000).map(|n| format!("[p\u{1b}{n}]\n")).collect();
    let error = Home::new(&many, "").complete(&[], Some("none\u{1b}"), &[]).unwrap_err();
    assert!(error.len() < 1000 && error.contains("and 9980 more") && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn files_and_variables_are_read_as_botocore_reads_them() {
    // The table says what botocore makes of each; `tests/interop_clients.rs` verifies it against botocore.
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../../../tests/interop/profiles.json")).unwrap();
    for case in cases {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let home = Home::new(text("credentials"), text("config"));
        let path = home.folder.path().to_str().unwrap();
        let mut variables = vec![("HOME", path)];
        let given = case["variables"].as_object().cloned().unwrap_or_default();
        variables.extend(given.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        let mut settings = Settings::default();
        let found = complete(&mut settings, case["profile"].as_str(), &Environment::of(&variables), Keys::Wanted);
        let expected = case["expected"].as_object().unwrap();
        if expected.contains_key("error") {
            let error = found.expect_err(text("name"));
            assert!(!error.contains("SK"), "{error}");
            continue;
        }
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", text("name")));
        let mut read = serde_json::Map::new();
        for (name, value) in settings.iter() {
            let name = if name == "security-token" { "token".to_owned() } else { name.replace('-', "_") };
            read.insert(name, value.as_str().into());
        }
        read.extend(found.ca_file.map(|file| ("ca_bundle".to_owned(), file.to_str().unwrap().into())));
        assert_eq!(&read, expected, "{}", text("name"));
    }
}

#[test]
fn spellings_beyond_botocores_are_read() {
    let pair = "aws_access_key_id = AK\naws_secret_access_key = SK\n";
    let is_read = |home: &Home, profile: Option<&str>| {
        assert_eq!(home.complete(&[], profile, &[]).unwrap(), ["access-key=AK", "secret-key=SK"]);
    };
    // A byte order mark, and Windows line ends.
    is_read(&Home::new(&format!("\u{feff}[default]\r\n{}", pair.replace('\n', "\r\n")), ""), None);
    is_read(&Home::new("", &format!("\u{feff}[default]\n{pair}")), None);
    // Names with spaces and no quotes, with an apostrophe, in quotes, and surrounded by spaces.
    is_read(&Home::new("", &format!("[profile my work]\n{pair}")), Some("my work"));
    is_read(&Home::new("", &format!("[profile bob's]\n{pair}")), Some("bob's"));
    is_read(&Home::new(&format!("[my work]\n{pair}"), ""), Some("my work"));
    is_read(&Home::new(&format!("[\"my work\"]\n{pair}"), ""), Some("my work"));
    is_read(&Home::new(&format!("[ work ]\n{pair}"), ""), Some("work"));
    is_read(&Home::new(&format!("[a\\b]\n{pair}"), ""), Some("a\\b"));
    // Lines that belong to no key, elsewhere, and repeated sections.
    is_read(&Home::new(&format!("[x]\noops\n[default]\n{pair}oops\n[default]\n{pair}"), ""), None);
}

#[test]
fn requests_are_anonymous_only_if_nothing_suggests_credentials() {
    for (config, credentials, words) in [
        ("[default]\nrole_arn = arn:x\nsource_profile = p\n", "", "role_arn"),
        ("[default]\nsso_session = x\n", "", "sso_session"),
        ("[default]\nweb_identity_token_file = x\n", "", "web_identity_token_file"),
        ("[default]\ncredential_process = false\n", "", "credential_process"),
        ("", "[default]\naws_secret_access_key = hush\n", "no aws_access_key_id"),
        ("", "[default]\naws_session_token = hush\n", "no aws_access_key_id"),
        // Only a role that keys would be for.
        ("[default]\nrole_arn = arn:x\n", CREDENTIALS, "role_arn"),
        // Malformed lines, which may have been credentials.
        ("", "aws_access_key_id = hush\naws_secret_access_key = hush\n", ".aws/credentials:1: "),
        ("", "[default]\naws_access_key_id hush\naws_secret_access_key hush\n", ".aws/credentials:2: "),
        ("oops\n", "", ".aws/config:1: "),
    ] {
        let error = Home::new(credentials, config).complete(&[], None, &[]).unwrap_err();
        assert!(error.contains(words) && error.contains("/dev/null") && !error.contains("hush"), "{words}: {error}");
    }
    let home = Home::new("[default]\n", "[default]\nregion = r\nendpoint_url = http://a:1\n[profile p]\nregion = q\n");
    assert_eq!(home.complete(&[], None, &[]).unwrap(), ["endpoint=http://a:1", "region=r"]);
    let home = Home::new("", "");
    for (variables, words) in [
        ([("AWS_SECRET_ACCESS_KEY", "hush")], "AWS_ACCESS_KEY_ID is not"),
        ([("AWS_SESSION_TOKEN", "hush")], "AWS_ACCESS_KEY_ID is not"),
        ([("AWS_SHARED_CREDENTIALS_FILE", "/no/such")], "there is no file /no/such"),
        ([("AWS_CONFIG_FILE", "/no/such")], "there is no file /no/such"),
        ([("AWS_DEFAULT_PROFILE", "p")], "AWS_DEFAULT_PROFILE: there is no profile"),
        ([("AWS_PROFILE", "default")], "AWS_PROFILE: there is no profile"),
    ] {
        let error = home.complete(&[], None, &variables).unwrap_err();
        assert!(error.contains(words) && !error.contains("hush"), "{words}: {error}");
    }
    let home = Home::new(CREDENTIALS, "[default]\nrole_arn = arn:x\n");
    let no_files = [("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"), ("AWS_CONFIG_FILE", "/dev/null")];
    assert_eq!(home.complete(&[], None, &no_files), Ok(vec![]));
}

#[test]
fn default_files_that_cannot_be_understood_are_an_error() {
    let home = Home::new("", "");
    fs::write(home.folder.path().join(".aws/credentials"), b"[default]\naws_access_key_id = hush\xff\n").unwrap();
    for variables in [&[][..], &VARIABLES] {
        let error = home.complete(&[], None, variables).unwrap_err();
        assert!(error.contains(".aws/credentials is not UTF-8 text") && !error.contains("hush"), "{error}");
    }
    // If the section has keys, nothing else is read.
    assert!(home.complete(&[("access-key", "K"), ("secret-key", "S")], None, &[]).is_ok());
}

#[test]
fn keys_of_a_profile_go_to_its_endpoint() {
    let config = "[default]\nendpoint_url = http://default:1\n[profile p]\nendpoint_url = http://p:2\n\
        aws_access_key_id = AK\naws_secret_access_key = SK\n";
    let home = Home::new("", config);
    let endpoint = |settings: &[(&str, &str)], profile, variables: &[(&str, &str)]| {
        let found = home.complete(settings, profile, variables).unwrap();
        found.iter().find_map(|setting| setting.strip_prefix("endpoint=").map(str::to_owned))
    };
    let own = [("access-key", "K"), ("secret-key", "S")];
    let p2 = Some("http://p:2".to_owned());
    assert_eq!(endpoint(&[], Some("p"), &VARIABLES), p2);
    assert_eq!(endpoint(&[], None, &[("AWS_PROFILE", "p")]), p2);
    assert_eq!(endpoint(&own, Some("p"), &[]), p2);
    // Keys from variables, as in botocore.
    assert_eq!(endpoint(&[], None, &VARIABLES).as_deref(), Some("http://default:1"));
    let mut variables = VARIABLES.to_vec();
    variables.push(("AWS_PROFILE", "p"));
    assert_eq!(endpoint(&[], None, &variables), p2);
    // The section's own endpoint takes precedence, and a section with its own keys has no profile.
    assert_eq!(endpoint(&[("endpoint", "mine")], Some("p"), &[("AWS_ENDPOINT_URL", "x")]).as_deref(), Some("mine"));
    assert_eq!(endpoint(&own, None, &[]), None);
    assert_eq!(endpoint(&own, None, &[("AWS_ENDPOINT_URL", "http://e:3")]).as_deref(), Some("http://e:3"));
}

#[test]
fn section_without_the_word_profile_is_pointed_out() {
    let error = Home::new("", "[work]\naws_access_key_id = AK\n").complete(&[], Some("work"), &[]).unwrap_err();
    assert!(error.contains("it must be [profile work]"), "{error}");
}
