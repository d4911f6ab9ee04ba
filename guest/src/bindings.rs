//! The contract and wasi:http as Rust sees them, made from `wit/`.

wit_bindgen::generate!({
    path: "../wit",
    world: "plugin",
    generate_all,
    pub_export_macro: true,
});
