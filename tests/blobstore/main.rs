//! `wasi:blobstore` for a guest component, on the dev server and on moto.

mod bounds;
mod host;
mod isolation;
mod operations;
