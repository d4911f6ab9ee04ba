//! A WebDAV server as a blob store: the tutorial plugin, which docs/plugins.md walks through.
//!
//! It puts, gets, heads and deletes files in one folder of the server (RFC 4918), with ranges, conditions and Basic authentication.
//! Everything else is the SDK's: retries, time limits, errors, settings, both interfaces of the contract.

use sandbucket_plugin::checksum::base64;
use sandbucket_plugin::http::encode::key_path;
use sandbucket_plugin::http::request::{READ_CONDITIONS, visible};
use sandbucket_plugin::http::response::{body_range, etag, head_size, properties};
use sandbucket_plugin::http::url::{CredentialSettings, Url};
use sandbucket_plugin::model::{PutOptions, Written};
use sandbucket_plugin::service::blob_head;
use sandbucket_plugin::{
    AttemptError, Config, Error, Failure, Kind, Method, Operation, Outgoing, Output, Request, RequestBody, Response,
    Secret, Service, Setting, SettingKind, SettingValues, Step,
};

/// An open store: a folder of a WebDAV server.
pub struct WebDav {
    folder: Url,
    /// Value of the header `authorization`.
    authorization: Option<Secret>,
}

impl Service for WebDav {
    // Each operation is one request, and nothing is found out on the way.
    type Stage = ();
    type Notes = ();
    type Reply = Output;

    const USER_AGENT: &'static str = concat!("sandbucket-webdav/", env!("CARGO_PKG_VERSION"));

    const SETTINGS: &'static [Setting] = &[
        Setting::new("endpoint", SettingKind::Url, None, "The folder with the blobs: an http or https URL.").required(),
        Setting::new("username", SettingKind::Text, None, "The user. Blank, with password blank too, is no user."),
        Setting::new("password", SettingKind::Text, None, "The user's password.").secret(),
        Setting::TIMEOUT,
        Setting::MAX_RETRIES,
    ];

    fn open(settings: &SettingValues<'_>) -> Result<(WebDav, Config), Failure> {
        let folder = Url::parse(settings.required("endpoint")?, CredentialSettings(&["username", "password"]))?;
        let authorization = match (settings.text("username"), settings.raw_text("password")) {
            (None, None) => None,
            (Some(user), _) if user.contains(':') => {
                return Err(Error::fault("username", "the setting username must not contain a colon"));
            }
            (Some(user), Some(password)) => {
                Some(Secret::new(format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))))
            }
            (Some(_), None) => return Err(Error::fault("password", "there is a username but no password")),
            (None, Some(_)) => return Err(Error::fault("username", "there is a password but no username")),
        };
        let mut config = Config::new(folder.to_string(), folder.https);
        config.timeout = settings.timeout("timeout", config.timeout)?;
        config.max_retries = settings.max_retries()?;
        Ok((WebDav { folder, authorization }, config))
    }

    fn request(&mut self, step: &mut Step<'_, Self>) -> Result<Outgoing, Failure> {
        let mut outgoing = match step.operation() {
            Operation::Head { options, .. } if options.version.is_none() => {
                let mut request = self.file(Method::Head, step)?;
                request.read_conditions(&options.conditions, READ_CONDITIONS)?;
                Outgoing::new(request)
            }
            Operation::Get { options, .. } if options.version.is_none() => {
                let mut request = self.file(Method::Get, step)?;
                request.range(options.range)?;
                request.read_conditions(&options.conditions, READ_CONDITIONS)?;
                Outgoing::new(request).with_stream()
            }
            Operation::Put { length, options, .. } => self.put(*length, options, step)?,
            Operation::Delete { options, .. } if options.version.is_none() => {
                Outgoing::new(self.file(Method::Delete, step)?)
            }
            _ => return Err(step.unsupported()),
        };
        if let Some(authorization) = &self.authorization {
            outgoing.request.header("authorization", authorization.expose());
        }
        Ok(outgoing)
    }

    fn response(&mut self, step: &mut Step<'_, Self>, response: &Response<'_>) -> Result<Output, AttemptError> {
        let head = &response.head;
        Ok(match step.operation() {
            Operation::Get { options, .. } => {
                let (size, span) = body_range(head, options.range)?;
                Output::Get(blob_head(properties(head, size)?, span, options.range, None)?)
            }
            Operation::Put { .. } => Output::Put(Written { etag: etag(head)?, version: None }),
            Operation::Delete { .. } => Output::Delete(None),
            _ => Output::Head(properties(head, head_size(head)?.0)?),
        })
    }
}

impl WebDav {
    /// A request for the file of the operation's key.
    fn file(&self, method: Method, step: &Step<'_, Self>) -> Result<Request, Failure> {
        let key = step.full_key()?;
        // Servers resolve dot segments, which would lead out of the folder.
        if key.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(Error::fault("key", "the key has a segment that is empty, . or .., which WebDAV cannot store"));
        }
        let Url { https, prefix, .. } = &self.folder;
        Ok(Request::new(method, *https, self.folder.authority(), format!("{prefix}/{}", key_path(&key))))
    }

    /// A request that writes a file.
    fn put(&self, length: u64, options: &PutOptions, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        if !options.metadata.is_empty() {
            let mut fault = Error::fault("metadata", "a PUT of WebDAV stores no metadata");
            fault.kind = Kind::Unsupported;
            return Err(fault);
        }
        let mut request = self.file(Method::Put, step)?;
        request.write_condition(&options.condition, true)?;
        if let Some(media_type) = &options.content_type {
            request.header("content-type", visible("content-type", media_type)?);
        }
        Ok(Outgoing::new(request).with_body(RequestBody::Caller(length)))
    }
}

sandbucket_plugin::export!(WebDav);
