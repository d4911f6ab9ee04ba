//! Signatures compared with those of azure-storage-blob: `azure-storage-blob/vectors.py` writes the vectors.

use sandbucket_azure::sas::{Grant, OVERRIDES};
use sandbucket_azure::shared_key::{self, Key};
use sandbucket_plugin::{Method, Request};
use serde_json::Value;

const ACCOUNT: &str = "devstoreaccount1";

fn key() -> Key {
    Key::from_base64("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")
        .unwrap()
}

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

#[test]
fn shared_key_signs_as_azure_storage_blob_does() {
    let vectors = vectors(include_str!("azure-storage-blob/shared_key.json"));
    assert!(vectors.len() >= 50, "{}", vectors.len());
    for vector in vectors {
        let method = match text(&vector, "method") {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            other => panic!("{other}"),
        };
        let mut request = Request::new(method, false, "127.0.0.1:10000", text(&vector, "path"));
        let pairs = |name: &str| -> Vec<(String, String)> { serde_json::from_value(vector[name].clone()).unwrap() };
        for (name, value) in pairs("query") {
            request.parameter(name, value);
        }
        for (name, value) in pairs("headers") {
            request.header(name, value);
        }
        let length = vector["length"].as_u64().unwrap();
        assert_eq!(shared_key::string_to_sign(&request, length, ACCOUNT), text(&vector, "signed"));
        shared_key::sign(&mut request, length, ACCOUNT, &key());
        assert_eq!(
            request.headers.last().unwrap(),
            &("authorization".into(), text(&vector, "authorization").to_owned())
        );
    }
}

#[test]
fn shared_access_signatures_are_those_of_azure_storage_blob() {
    for vector in vectors(include_str!("azure-storage-blob/sas.json")) {
        let given = &vector["given"];
        let mut overrides = Vec::new();
        for (parameter, attribute) in OVERRIDES {
            let name = attribute.trim_start_matches("response-").replace('-', "_");
            overrides.extend(given[&name].as_str().map(|value| (parameter, value.to_owned())));
        }
        let grant = Grant {
            permissions: text(given, "permission"),
            // 2023-11-14T22:14:20Z
            expires: 1_700_000_060,
            container: "demo",
            key: text(&vector, "key"),
            version: vector["version"].as_str(),
            https_only: text(given, "protocol") == "https",
            overrides,
        };
        assert_eq!(grant.string_to_sign(ACCOUNT), text(&vector, "signed"));
        let query = grant.parameters(ACCOUNT, &key());
        let wanted = vector["query"].as_object().unwrap();
        assert_eq!(query.len(), wanted.len());
        for (name, value) in query {
            assert_eq!(wanted[&*name].as_str(), Some(value.as_str()), "{name}");
        }
    }
}
