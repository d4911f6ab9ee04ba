#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sandbucket_fuzz::guest_azure(data));
