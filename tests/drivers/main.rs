//! The scenarios of `scenarios.json` on this host. The drivers of other languages run the same ones.

mod play;

use std::path::Path;

use sandbucket::Proxy;
use sandbucket_tests::faulty::scenario::Scenario;
use sandbucket_tests::{builder, run};

use play::Player;

#[test]
fn every_scenario_has_its_outcome() {
    run(async {
        let public = sandbucket::Engine::builder().cache_dir(Path::new(sandbucket_tests::CACHE)).proxy(Proxy::none());
        let (private, public) = (builder().build().unwrap(), public.build().unwrap());
        let player = Player { engines: [&private, &public], settings, takes: |_| true };
        let played = player.play_all().await;
        assert!(played >= 25, "{played} scenarios");
    });
}

fn settings(scenario: &Scenario, endpoint: &str) -> Vec<(String, String)> {
    scenario.settings(endpoint).into_iter().collect()
}
