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

    /// What these settings are completed to, sorted.
    fn complete(&self, settings: &[(&str, &str)], profile: Option<&str>, variables: &[(&str, &str)]) -> Outcome {
        let home = self.folder.path().to_str().unwrap();
        let mut all = vec![("HOME", home)];
        all.extend(variables);
        let mut all_settings = Settings::default();
        settings.iter().for_each(|(name, value)| all_settings.push(name.to_string(), value.to_string()));
        complete(&mut all_settings, profile, &Environment::of(&all))?;
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
fn the_sections_own_keys_come_first() {
    let home = Home::new(CREDENTIALS, CONFIG);
    let own = [("access-key", "K"), ("secret-key", "S"), ("region", "r")];
    let expected = vec!["access-key=K".to_owned(), "region=r".to_owned(), "secret-key=S".to_owned()];
    assert_eq!(home.complete(&own, None, &VARIABLES), Ok(expected.clone()));
    assert_eq!(home.complete(&own, Some("temp"), &VARIABLES), Ok(expected));
}

#[test]
fn then_its_profile_the_environment_and_the_profiles_named_or_not() {
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
fn nothing_anywhere_is_anonymous() {
    let home = Home::new("", "[default]\nregion = d-region\n");
    assert_eq!(home.complete(&[], None, &[]), Ok(vec!["region=d-region".to_owned()]));
    assert_eq!(complete(&mut Settings::default(), None, &Environment::of(&[("HOME", "/no/such/home")])), Ok(()));
}

#[test]
fn other_files_can_be_named() {
    let home = Home::new("", "");
    let elsewhere = home.folder.path().join("keys");
    fs::write(&elsewhere, CREDENTIALS).unwrap();
    let variables = [("AWS_SHARED_CREDENTIALS_FILE", elsewhere.to_str().unwrap())];
    assert_eq!(home.complete(&[], None, &variables).unwrap(), ["access-key=DK", "secret-key=DS"]);
    assert_eq!(home.complete(&[], None, &[("AWS_SHARED_CREDENTIALS_FILE", "~/keys")]).unwrap().len(), 2);
}

#[test]
fn what_is_missing_is_named_and_no_secret_is() {
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
    // In its usual place, unasked, it is as good as absent.
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
