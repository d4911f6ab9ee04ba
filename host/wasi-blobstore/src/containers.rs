//! How containers map to a store: as prefixes of its bucket, or as buckets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use futures::TryStreamExt;
use futures::future::BoxFuture;
use sandbucket::{Error, Store};

use crate::names::{check_container, shown};

/// Opens the store of a bucket.
type Open = Arc<dyn Fn(String) -> BoxFuture<'static, sandbucket::Result<Store>> + Send + Sync>;

/// The containers of a guest, and where they are.
///
/// ```no_run
/// # fn example(store: sandbucket::Store) {
/// use sandbucket_wasi_blobstore::Containers;
///
/// // Below "guests/7/" of the store's bucket; the guest creates the containers that it wants.
/// let own = Containers::prefixes(store.clone()).root("guests/7");
/// // Two containers, which exist from the start, and which the guest only reads.
/// let given = Containers::prefixes(store).only(["photos", "music"]).read_only();
/// # }
/// ```
#[derive(Clone)]
pub struct Containers {
    store: Store,
    mapping: Mapping,
    only: Option<BTreeSet<String>>,
    fixed: bool,
    read_only: bool,
}

#[derive(Clone)]
enum Mapping {
    /// With what all keys begin: nothing, or a text that ends in a slash.
    Prefixes(String),
    Buckets {
        open: Open,
        copies_at_service: bool,
    },
}

/// Where a container's objects are.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) container: String,
    pub(crate) store: Store,
    /// Of all keys, which the names of objects follow: empty for a bucket.
    pub(crate) prefix: String,
}

impl Containers {
    /// Containers are prefixes of the store's bucket: an object `o` of the container `c` has the key `c/o`.
    ///
    /// A container that a guest creates is an empty blob `c/`, and one exists if any key begins with `c/`. A name is one segment of
    /// a path, so that it cannot leave its prefix. Names of objects are any text but for segments `.` and `..`, which a service or a
    /// proxy might resolve.
    pub fn prefixes(store: Store) -> Self {
        let mapping = Mapping::Prefixes(String::new());
        Containers { store, mapping, only: None, fixed: false, read_only: false }
    }

    /// Containers are buckets. `store` creates, deletes and finds them, so its credentials decide which; `open` opens the store of a
    /// bucket, typically with the same settings and another `bucket`, when a guest opens the container. It should keep stores that
    /// are in use, as opening one costs more than a call.
    ///
    /// Use [`only`](Containers::only) unless the credentials are the guest's own.
    pub fn buckets<F>(store: Store, open: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = sandbucket::Result<Store>> + Send + 'static,
    {
        let open: Open = Arc::new(move |name| Box::pin(open(name)));
        let mapping = Mapping::Buckets { open, copies_at_service: false };
        Containers { store, mapping, only: None, fixed: false, read_only: false }
    }

    /// Puts all prefixes below this one. It ends in a slash; one is added where it is missing. Has no effect on buckets.
    pub fn root(mut self, prefix: impl Into<String>) -> Self {
        if let Mapping::Prefixes(root) = &mut self.mapping {
            *root = prefix.into();
            if !root.is_empty() && !root.ends_with('/') {
                root.push('/');
            }
        }
        self
    }

    /// Allows these names alone. As prefixes these containers exist from the start, and cannot be created or deleted.
    pub fn only<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.only = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Guests can neither create nor delete containers.
    pub fn fixed(mut self) -> Self {
        self.fixed = true;
        self
    }

    /// Guests can write and delete nothing.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Copies between buckets at the service. By default the bytes pass through the host, in bounded memory, since the stores may
    /// have different endpoints, credentials or `key-prefix`. Only for stores that are alike in the first two and have no
    /// `key-prefix`, which would not apply to the source; and objects of up to 5 GiB.
    pub fn copies_at_service(mut self) -> Self {
        if let Mapping::Buckets { copies_at_service, .. } = &mut self.mapping {
            *copies_at_service = true;
        }
        self
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        check_container(name)?;
        match &self.only {
            Some(only) if !only.contains(name) => {
                Err(format!("container {}: the host does not allow this guest to use it", shown(name)))
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// If guests may not write.
    pub(crate) fn check_writable(&self) -> Result<(), String> {
        if self.read_only { Err("the host allows this guest to read only".to_owned()) } else { Ok(()) }
    }

    fn check_manageable(&self, name: &str) -> Result<(), String> {
        self.check_writable()?;
        let given = self.only.is_some() && matches!(self.mapping, Mapping::Prefixes(_));
        if self.fixed || given {
            return Err(format!(
                "container {}: the host does not allow this guest to create or delete it",
                shown(name)
            ));
        }
        Ok(())
    }

    /// The place of a container, which may not exist.
    async fn place(&self, name: &str) -> Result<Place, String> {
        self.check_name(name)?;
        let (store, prefix) = match &self.mapping {
            Mapping::Prefixes(root) => (self.store.clone(), format!("{root}{name}/")),
            Mapping::Buckets { open, .. } => {
                (open(name.to_owned()).await.map_err(|error| on(name, &error))?, String::new())
            }
        };
        Ok(Place { container: name.to_owned(), store, prefix })
    }

    pub(crate) async fn exists(&self, name: &str) -> Result<bool, String> {
        self.check_name(name)?;
        let found = match &self.mapping {
            Mapping::Prefixes(_) if self.only.is_some() => Ok(true),
            Mapping::Prefixes(root) => {
                let page = self.store.list(format!("{root}{name}/")).page_size(1).await;
                page.map(|page| !page.entries.is_empty())
            }
            Mapping::Buckets { .. } => self.store.bucket_exists(name).await,
        };
        found.map_err(|error| on(name, &error))
    }

    /// # Errors
    /// Also if it does not exist.
    pub(crate) async fn open(&self, name: &str) -> Result<Place, String> {
        if !self.exists(name).await? {
            return Err(format!("container {} does not exist: create-container creates it", shown(name)));
        }
        self.place(name).await
    }

    pub(crate) async fn create(&self, name: &str) -> Result<Place, String> {
        self.check_name(name)?;
        self.check_manageable(name)?;
        let exists = || format!("container {} exists already: get-container opens it", shown(name));
        if self.exists(name).await? {
            return Err(exists());
        }
        let created = match &self.mapping {
            Mapping::Prefixes(root) => self.store.put(format!("{root}{name}/"), "").if_absent().await.map(drop),
            Mapping::Buckets { .. } => self.store.create_bucket(name).await,
        };
        match created {
            Ok(()) => self.place(name).await,
            // Another guest was faster.
            Err(Error::PreconditionFailed(_)) => Err(exists()),
            Err(error) => Err(on(name, &error)),
        }
    }

    /// Checks whether the guest may delete this container.
    pub(crate) fn check_deletable(&self, name: &str) -> Result<(), String> {
        self.check_name(name)?;
        self.check_manageable(name)
    }

    /// Deletes an empty container.
    pub(crate) async fn delete(&self, place: &Place) -> Result<(), String> {
        let deleted = match &self.mapping {
            Mapping::Prefixes(_) => self.store.delete(&place.prefix).await.map(drop),
            Mapping::Buckets { .. } => self.store.delete_bucket(&place.container).await,
        };
        match deleted {
            Err(error) if !matches!(error, Error::NotFound(_)) => Err(on(&place.container, &error)),
            _ => Ok(()),
        }
    }

    /// When a container was created, if that is known.
    pub(crate) async fn created(&self, place: &Place) -> Result<Option<SystemTime>, String> {
        let created = match &self.mapping {
            Mapping::Prefixes(_) => self.store.head(&place.prefix).await.map(|info| info.last_modified),
            Mapping::Buckets { .. } => {
                // Of all names that begin with this one, it is the first.
                let mut buckets = self.store.list_buckets(&place.container).page_size(1).buckets();
                let first = buckets.try_next().await;
                first.map(|first| {
                    first.filter(|bucket| bucket.name == place.container).and_then(|bucket| bucket.created)
                })
            }
        };
        match created {
            Ok(created) => Ok(created),
            // Without its own blob; or with credentials that may use the bucket and not list all of them.
            Err(Error::NotFound(_) | Error::AccessDenied(_) | Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(on(&place.container, &error)),
        }
    }

    /// Whether a copy between these places is the service's own.
    pub(crate) fn copies_at(&self, from: &Place, to: &Place) -> bool {
        match &self.mapping {
            Mapping::Prefixes(_) => true,
            Mapping::Buckets { copies_at_service, .. } => *copies_at_service || from.container == to.container,
        }
    }
}

impl std::fmt::Debug for Containers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mapping = match &self.mapping {
            Mapping::Prefixes(root) => format!("prefixes below {root:?}"),
            Mapping::Buckets { .. } => "buckets".to_owned(),
        };
        f.debug_struct("Containers").field("mapping", &mapping).field("only", &self.only).finish_non_exhaustive()
    }
}

/// An error of a store, for a guest.
pub(crate) fn on(container: &str, error: &Error) -> String {
    format!("container {}: {error}", shown(container))
}
