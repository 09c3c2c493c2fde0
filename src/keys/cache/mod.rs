//! A tenant's keys, fetched from its JWKS URL and kept fresh.

mod builder;
mod freshness;
mod state;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::{HeaderValue, Uri};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

pub use self::builder::{JwksCacheBuilder, JwksCacheError};
use self::state::{Claim, State};
use self::worker::Worker;
use super::fetch::Fetch;
use super::{KeyHealth, KeySet, KeySource, KeysUnavailable};
use crate::future::BoxFuture;

/// The most requests that wait for a fetch at a time.
const MAX_WAITING: usize = 1024;

/// The keys behind a JWKS URL (or in a file), fetched and kept fresh.
///
/// - Reading the keys in force takes no lock and waits for nothing.
/// - A background task makes every fetch, one at a time: when keys are first
///   needed, then ahead of their end (at 80 % of their lifetime), and again
///   after failures. It runs on the tokio runtime on which keys were first asked
///   for, and ends with the cache. If that runtime ends before, the next one who
///   needs keys starts another task.
/// - The lifetime comes from `Cache-Control: max-age` less `Age`, or else
///   `Expires`, within 30 seconds and
///   [`max_lifetime`](JwksCacheBuilder::max_lifetime) (1 hour), or else from
///   [`fresh_for`](JwksCacheBuilder::fresh_for) (5 minutes). `ETag` and `Last-Modified` are
///   used to ask for what has changed only.
/// - A success replaces the whole set at once. On any failure (no connection, no
///   certificate, time-out, a status other than 200, a redirect, something else
///   than a key set with a usable key, too large) the old set stays, up to
///   [`keep_on_failure`](JwksCacheBuilder::keep_on_failure) after the last
///   success.
/// - Failures are followed by pauses of 1, 2, 4 … 30 seconds, or what
///   `Retry-After` asks for with status 429 or 503, up to 60 seconds.
/// - Tokens with unknown key IDs, and requests that come before the first keys,
///   cause at most 2 fetches in 10 seconds, however many there are. At most 1,024
///   of them wait for a fetch at a time; the others are answered at once.
/// - While fetching fails, an unknown key ID is the token's fault (401) as long as
///   the lifetime of the keys in force lasts: that long, the server has said, they
///   are all there are. After it, a newer key may be missing (503). ConductorOne
///   tries again in both cases, so a delivery that is signed with a new key
///   passes once the server is back.
///
/// Clones share one cache.
///
/// ```
/// # #[cfg(feature = "reqwest")] {
/// use std::time::Duration;
/// use tower_conductorone::keys::{HttpsFetch, JwksCache};
///
/// let cache = JwksCache::builder("https://example.conductor.one/auth/v1/jwks")
///     .fresh_for(Duration::from_secs(600))
///     .build(HttpsFetch::new()?)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct JwksCache {
    inner: Arc<Inner>,
}

/// What the handles share. The task has only the inner part of it, so that
/// dropping the last handle closes `wake` and thereby ends the task.
struct Inner {
    shared: Arc<Shared>,
    wake: watch::Sender<()>,
}

struct Shared {
    config: Config,
    loaded: ArcSwapOption<Loaded>,
    /// Never held across an await.
    state: Mutex<State>,
    /// Whether there is a task; for those who must not take the lock.
    working: AtomicBool,
    /// The places of the requests that wait.
    places: Semaphore,
}

struct Config {
    /// What the log calls the source of the keys: the URL without secrets.
    name: String,
    uri: Uri,
    fetch: Box<dyn Fetch>,
    fresh_for: Duration,
    max_lifetime: Duration,
    keep_on_failure: Duration,
    timeout: Duration,
    max_bytes: usize,
}

/// The last key set that was fetched.
struct Loaded {
    keys: Arc<KeySet>,
    at: Instant,
    lifetime: Duration,
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Loaded {
    fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can leave the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> Option<Arc<Loaded>> {
        self.loaded.load_full()
    }

    fn replace(&self, loaded: Loaded) -> Option<Arc<Loaded>> {
        self.loaded.swap(Some(Arc::new(loaded)))
    }

    /// Puts keys into force that were loaded without the task.
    fn install(&self, keys: KeySet) {
        let loaded = Loaded {
            keys: Arc::new(keys),
            at: Instant::now(),
            lifetime: self.config.fresh_for,
            etag: None,
            last_modified: None,
        };
        self.state().succeeded(self.refresh_at(&loaded));
        self.replace(loaded);
    }

    fn in_force(&self, now: Instant) -> Option<Arc<KeySet>> {
        let loaded = self.loaded.load();
        let usable = |loaded: &&Arc<Loaded>| {
            now.saturating_duration_since(loaded.at) < self.config.keep_on_failure
        };
        loaded
            .as_ref()
            .filter(usable)
            .map(|loaded| Arc::clone(&loaded.keys))
    }

    /// Whether the server's word still holds that its keys stay as they are.
    fn is_fresh(&self, now: Instant) -> bool {
        self.loaded
            .load()
            .as_ref()
            .is_some_and(|loaded| now.saturating_duration_since(loaded.at) < loaded.lifetime)
    }

    /// Ahead of the end of the keys' lifetime, and of the time for which they
    /// would be kept, should that be shorter.
    fn refresh_at(&self, loaded: &Loaded) -> Instant {
        loaded.at
            + loaded
                .lifetime
                .min(self.config.keep_on_failure)
                .mul_f32(0.8)
    }

    fn set_working(&self, working: bool) {
        self.working.store(working, Ordering::Release);
    }
}

impl JwksCache {
    /// Begins to configure a cache of the keys at `url`, which has to be an
    /// `https` URL without user name, password and fragment.
    pub fn builder(url: impl Into<String>) -> JwksCacheBuilder {
        JwksCacheBuilder::new(url.into())
    }

    /// A cache of the keys in the file at `path`, which is read at once, and
    /// again after `every`. Should it become unreadable, or hold no usable key,
    /// then the keys read before stay for an hour.
    ///
    /// # Errors
    /// [`JwksCacheError`] if the file has no usable keys now, or `every` is not
    /// between 1 second and 1 day.
    pub fn file(path: impl Into<PathBuf>, every: Duration) -> Result<Self, JwksCacheError> {
        JwksCacheBuilder::new(String::new())
            .fresh_for(every)
            .build_file(path.into())
    }

    fn with_config(config: Config) -> Self {
        let shared = Arc::new(Shared {
            config,
            loaded: ArcSwapOption::empty(),
            state: Mutex::default(),
            working: AtomicBool::new(false),
            places: Semaphore::new(MAX_WAITING),
        });
        Self {
            inner: Arc::new(Inner {
                shared,
                wake: watch::Sender::new(()),
            }),
        }
    }
}

impl Inner {
    /// Wakes the task, or starts one, and gives the news of its fetches.
    fn progress(&self) -> Result<watch::Receiver<u64>, KeysUnavailable> {
        let mut state = self.shared.state();
        if let Some(progress) = &state.progress {
            let progress = progress.clone();
            drop(state);
            self.wake.send_replace(());
            return Ok(progress);
        }
        let runtime = Handle::try_current().map_err(|_| {
            KeysUnavailable::new(
                "keys are fetched on a tokio runtime only",
                Duration::from_secs(1),
            )
        })?;
        let (sender, progress) = watch::channel(state.ended());
        state.progress = Some(progress.clone());
        self.shared.set_working(true);
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            wake: self.wake.subscribe(),
            progress: sender,
        };
        // A runtime that is being shut down drops the task right here, and
        // dropping it takes the lock.
        drop(state);
        runtime.spawn(worker.run());
        Ok(progress)
    }

    /// Waits until the fetch of this number has ended, well or not.
    async fn wait(&self, number: u64) -> Result<(), KeysUnavailable> {
        let mut progress = self.progress()?;
        // Room for the fetch in the air and the one after it. Only a task that is
        // not run takes longer.
        let limit = self.shared.config.timeout * 2 + Duration::from_secs(1);
        match timeout(limit, progress.wait_for(|ended| *ended >= number)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(KeysUnavailable::new(
                "the tokio runtime on which keys were fetched has ended",
                Duration::from_secs(1),
            )),
            Err(_) => Err(KeysUnavailable::new(
                "the tokio runtime on which keys are fetched does not run",
                Duration::from_secs(1),
            )),
        }
    }

    async fn renew(&self, seen: Option<&Arc<KeySet>>) -> Result<Arc<KeySet>, KeysUnavailable> {
        let is_news = |keys: &Arc<KeySet>| seen.is_none_or(|seen| !Arc::ptr_eq(seen, keys));
        let news = || self.shared.in_force(Instant::now()).filter(is_news);
        // Keys that are fresh are the newest, whatever keeps others from being
        // fetched: the token is at fault.
        let or_seen = |error| match seen {
            Some(seen) if self.shared.is_fresh(Instant::now()) => Ok(Arc::clone(seen)),
            _ => Err(error),
        };
        let number = {
            let mut state = self.shared.state();
            if let Some(keys) = news() {
                return Ok(keys);
            }
            match (state.claim(Instant::now()), seen) {
                (Claim::Fetch(number), _) => number,
                (Claim::Spent(_), Some(seen)) => return Ok(Arc::clone(seen)),
                (Claim::Spent(wait), None) | (Claim::Failing(wait), _) => {
                    return or_seen(state.unavailable(wait));
                }
            }
        };
        let Ok(_place) = self.shared.places.try_acquire() else {
            return or_seen(KeysUnavailable::new(
                "too many requests wait for the keys",
                Duration::from_secs(1),
            ));
        };
        if let Err(error) = self.wait(number).await {
            return or_seen(error);
        }
        news().map_or_else(|| or_seen(self.unavailable()), Ok)
    }

    async fn refresh(&self) -> Result<Arc<KeySet>, KeysUnavailable> {
        let number = self.shared.state().force();
        self.wait(number).await?;
        let failed = self.shared.state().failures > 0;
        let keys = self.shared.in_force(Instant::now()).filter(|_| !failed);
        keys.ok_or_else(|| self.unavailable())
    }

    async fn ready(&self) {
        while self.shared.in_force(Instant::now()).is_none() {
            let number = self.shared.state().await_next(Instant::now());
            let Ok(mut progress) = self.progress() else {
                tracing::error!("keys are fetched on a tokio runtime only: they stay missing");
                return std::future::pending().await;
            };
            if progress.wait_for(|ended| *ended >= number).await.is_err() {
                // The task was ended. Should its runtime be about to end, this
                // loop must not keep it from doing so.
                tokio::task::yield_now().await;
            }
        }
    }

    /// The keys in force. Starts the task if they are due for a refresh and there
    /// is none: because its runtime has ended, or because the keys were in a file
    /// and nobody had to wait for them.
    fn current(&self) -> Option<Arc<KeySet>> {
        let (now, shared) = (Instant::now(), &self.shared);
        if !shared.working.load(Ordering::Acquire) {
            let loaded = shared.loaded.load();
            if loaded
                .as_ref()
                .is_some_and(|loaded| now >= shared.refresh_at(loaded))
            {
                let _ = self.progress();
            }
        }
        shared.in_force(now)
    }

    fn unavailable(&self) -> KeysUnavailable {
        let state = self.shared.state();
        state.unavailable(state.pause(Instant::now()).unwrap_or_default())
    }
}

impl KeySource for JwksCache {
    fn current(&self) -> Option<Arc<KeySet>> {
        self.inner.current()
    }

    fn renew<'a>(
        &'a self,
        seen: Option<&'a Arc<KeySet>>,
    ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        Box::pin(self.inner.renew(seen))
    }

    fn refresh(&self) -> BoxFuture<'_, Result<Arc<KeySet>, KeysUnavailable>> {
        Box::pin(self.inner.refresh())
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.inner.ready())
    }

    fn health(&self) -> KeyHealth {
        let (keys, shared) = (self.current(), &self.inner.shared);
        let age = shared.loaded().map(|loaded| loaded.at.elapsed());
        let state = shared.state();
        KeyHealth {
            age,
            failures: state.failures,
            last_error: state.last_error.clone(),
            ..KeyHealth::of(keys.as_deref())
        }
    }
}

impl fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.inner.shared.config;
        f.debug_struct("JwksCache")
            .field("source", &config.name)
            .field("fresh_for", &config.fresh_for)
            .field("max_lifetime", &config.max_lifetime)
            .field("keep_on_failure", &config.keep_on_failure)
            .field("timeout", &config.timeout)
            .field("max_bytes", &config.max_bytes)
            .field("fetch", &config.fetch)
            .finish()
    }
}
