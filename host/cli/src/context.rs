//! The context of every subcommand: configuration, output, and store.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sandbucket::{Config, Engine, EngineBuilder, Error, Limits, Plugin, Store};
use tracing_subscriber::EnvFilter;

use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// The parsed global arguments.
#[derive(Debug)]
pub struct Context {
    pub output: Output,
    pub config_file: PathBuf,
    /// The store's name in the configuration; the default one if there is none.
    pub store: Option<String>,
}

impl Context {
    pub fn new(global: Global, is_server: bool) -> Self {
        log(global.verbose, is_server);
        Context { output: Output::new(global.json), config_file: global.config, store: global.store }
    }

    /// The same, without notes if `quiet`.
    pub fn quiet_if(&self, quiet: bool) -> Context {
        let Context { output, config_file, store } = self;
        Context { output: output.quiet_if(quiet), config_file: config_file.clone(), store: store.clone() }
    }

    /// The configuration of the store.
    pub fn config(&self) -> Result<Config, Failure> {
        self.config_of(self.store.as_deref())
    }

    /// The configuration of the store of this name; of the default one if there is none.
    pub fn config_of(&self, store: Option<&str>) -> Result<Config, Failure> {
        if !self.config_file.exists() {
            let message = format!("there is no configuration file {}", self.config_file.display());
            return Err(Failure::new(Exit::Config, message)
                .with_hint("write one, or name it with --config; `sandbucket dev-server` prints one to begin with"));
        }
        load(&self.config_file, store).map_err(|error| {
            let of_whole_file = matches!(error, Error::Config { line: None, key: None, .. });
            let failure = Failure::from(error);
            if of_whole_file { failure.with_hint("--config or SANDBUCKET_CONFIG names this file") } else { failure }
        })
    }

    /// Opens the configured store, and loads the plugin.
    pub async fn store(&self) -> Result<Store, Failure> {
        let config = self.config()?;
        let engine = engine(Some(&config)).await?;
        Ok(config.open(&engine).await?)
    }
}

/// Reads the configuration of the store of this name; of the default one if there is none.
pub fn load(file: &Path, store: Option<&str>) -> sandbucket::Result<Config> {
    match store {
        None => Config::load(file),
        Some(store) => Config::load_store(file, store),
    }
}

/// The plugin of the configured store, and an engine that has loaded it; without a configuration the built-in plugin for S3.
pub async fn plugin(context: &Context) -> Result<(Engine, Plugin), Failure> {
    if !context.config_file.exists() {
        let engine = engine(None).await?;
        return Ok((engine.clone(), engine.plugin().clone()));
    }
    let config = context.config()?;
    let engine = engine(Some(&config)).await?;
    let plugin = config.plugin(&engine).await?;
    Ok((engine, plugin))
}

/// Builds the engine with the configured limits, and the plugin of `[sandbox]`.
pub async fn engine(config: Option<&Config>) -> Result<Engine, Failure> {
    let builder = match config {
        Some(config) => config.engine(),
        None => Engine::builder().limits(Limits::default()),
    };
    build(builder).await
}

/// Builds an engine. It may have to compile, so not on this thread.
pub async fn build(builder: EngineBuilder) -> Result<Engine, Failure> {
    match tokio::task::spawn_blocking(move || builder.build()).await {
        Ok(engine) => {
            let engine = engine?;
            ENGINES.lock().unwrap_or_else(PoisonError::into_inner).push(engine.clone());
            Ok(engine)
        }
        Err(error) => Err(Failure::new(Exit::Failure, format!("the plugin could not be loaded: {error}"))),
    }
}

/// The engines of this run.
static ENGINES: Mutex<Vec<Engine>> = Mutex::new(Vec::new());

/// Waits for their cleanups.
pub async fn drain() {
    let engines = std::mem::take(&mut *ENGINES.lock().unwrap_or_else(PoisonError::into_inner));
    for engine in engines {
        engine.drain().await;
    }
}

fn log(verbose: u8, is_server: bool) {
    let by_verbosity = match verbose {
        // s3s logs every error response as an error; the gateway logs those that are its own or a service's.
        0 if is_server => Some("info,s3s=off,sandbucket_gateway::requests=warn"),
        1 if is_server => Some("info,s3s=off"),
        0 => None,
        1 => Some("sandbucket=info,warn,s3s=off"),
        2 => Some("sandbucket=debug,info,s3s=warn"),
        _ => Some("sandbucket=trace,debug"),
    };
    let filter = match (EnvFilter::try_from_default_env(), by_verbosity) {
        (Ok(filter), _) => filter,
        (Err(_), Some(filter)) => EnvFilter::new(filter),
        (Err(_), None) => return,
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

/// The setting of this name, trimmed; `None` if blank.
pub fn setting<'a>(settings: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim());
    found.filter(|value| !value.is_empty())
}
