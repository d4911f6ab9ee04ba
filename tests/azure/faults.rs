//! The fault scripts of `tests/drivers` with the plugin for Azure Blob Storage: what is about connections, bodies and retries is the
//! same for every plugin.

#[path = "../drivers/play.rs"]
mod play;

use std::path::Path;

use sandbucket::{BuiltIn, Engine, Proxy};
use sandbucket_tests::azurite::{self, ACCOUNT, KEY};
use sandbucket_tests::faulty::scenario::{Call, Scenario};
use sandbucket_tests::run;

use play::Player;

/// Scenarios whose script or outcome is S3's: its codes, its regions, its checksums.
const OF_S3: [&str; 7] = [
    "archived_blob_is_an_error_of_its_own",
    "clock_skew_is_corrected",
    "forbidden_is_access_denied_with_its_request_id",
    "lasting_throttling_ends_after_the_retries",
    "lost_response_of_a_conditional_put_is_reconciled",
    "wrong_checksum_is_an_error",
    "wrong_region_names_the_right_one",
];

#[test]
fn fault_scripts_have_the_same_outcomes() {
    run(async {
        let public = Engine::builder().cache_dir(Path::new(sandbucket_tests::CACHE)).proxy(Proxy::none());
        let public = public.built_in(BuiltIn::Azure).build().unwrap();
        let played = Player { engines: [azurite::engine(), &public], settings, takes }.play_all().await;
        assert!(played >= 50, "{played} scenarios");
    });
}

/// Operations whose requests and responses are those of any HTTP server.
fn takes(scenario: &Scenario) -> bool {
    let is_plain = matches!(
        scenario.call,
        Call::Get { .. } | Call::Head { .. } | Call::Put { .. } | Call::Delete { .. } | Call::Download { .. }
    );
    is_plain && !OF_S3.contains(&scenario.name.as_str())
}

fn settings(scenario: &Scenario, endpoint: &str) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = scenario.settings(endpoint).into_iter().collect();
    settings.retain(|(name, _)| !matches!(name.as_str(), "region" | "access-key" | "secret-key" | "payload-signing"));
    settings
        .extend([("account", ACCOUNT), ("access-key", KEY)].map(|(name, value)| (name.to_owned(), value.to_owned())));
    settings
}
