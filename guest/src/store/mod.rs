//! The operations: what is sent, in which order, and what becomes of the answers.
//!
//! Everything here works on any [`Transport`] and [`Clock`], so that each promise of the contract is tested natively.

#![allow(clippy::result_large_err, reason = "a failure is rare, and the contract hands it out by value")]

mod call;
mod outcome;
mod read;
mod write;

use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::env::{Clock, Transport};
use crate::error::{Failure, Fault};
use crate::key;
use crate::model::{Blob, BlobInfo, DeleteOptions, HeadOptions, Pair, ReadOptions, WriteOptions, Written};
use crate::request;
use crate::retry::Rng;
use crate::settings::{self, Settings};
use crate::sigv4::Signer;

use call::Call;

/// How long a call may take where its options do not say.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(180);

/// An open store.
pub struct Store {
    settings: Settings,
    signer: Signer,
    /// Seconds to add to this machine's clock to have the service's.
    skew: i64,
    rng: Rng,
}

impl Store {
    /// Understands the settings. Sends nothing.
    ///
    /// `seed` starts the jitter of the pauses: anything that differs between instances will do.
    pub fn open(pairs: &[Pair], seed: u64) -> Result<Store, Failure> {
        let settings = settings::parse(pairs).map_err(Fault::into_settings)?;
        let signer = Signer::new(&settings.region);
        Ok(Store { settings, signer, skew: 0, rng: Rng::new(seed) })
    }

    /// What is known of a blob.
    pub fn head<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &HeadOptions,
    ) -> Result<BlobInfo, Failure> {
        let mut call = Call::start(self, env, "head", key, &options.call);
        let mut request = call.prepare(|endpoint, key| request::head(endpoint, key, options))?;
        call.head(&mut request).map(|(info, _)| info)
    }

    /// Reads a blob or a part of it.
    pub fn get<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &ReadOptions,
    ) -> Result<Blob, Failure> {
        Call::start(self, env, "get", key, &options.call).get(options)
    }

    /// Writes a blob.
    pub fn put<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        body: &[u8],
        options: &WriteOptions,
    ) -> Result<Written, Failure> {
        Call::start(self, env, "put", key, &options.call).put(body, options)
    }

    /// Deletes a blob, or sees that it is not there.
    pub fn delete<E: Transport + Clock>(
        &mut self,
        env: &mut E,
        key: &str,
        options: &DeleteOptions,
    ) -> Result<(), Failure> {
        Call::start(self, env, "delete", key, &options.call).delete(options)
    }

    /// The whole key: the prefix and the caller's.
    fn full_key(&self, key: &str) -> Result<String, Fault> {
        key::check(key, &self.settings.key_prefix)
    }

    fn endpoint(&self) -> &Endpoint {
        &self.settings.endpoint
    }

    /// The service's time, in seconds since 1970, as well as it is known.
    fn service_time(&self, wall: u64) -> u64 {
        wall.saturating_add_signed(self.skew)
    }
}

#[cfg(test)]
mod tests;
