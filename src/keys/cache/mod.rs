//! Fetches a tenant's keys from its JWKS URL and keeps them fresh.

mod builder;
mod fetch_schedule;
mod freshness;
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
use self::fetch_schedule::{Claim, FetchSchedule};
use self::worker::Worker;
use super::fetch::Fetch;
use super::observer::{KeyFetchResult, KeyObservers};
use super::{KeyHealth, KeyObserver, KeySet, KeySource, KeysUnavailable};
use crate::future::BoxFuture;

/// How many requests may wait for a fetch at once.
const MAX_WAITING: usize = 1024;

/// Fetches the keys from a JWKS URL, or reads them from a file, and keeps them
/// fresh.
///
/// - Reading the keys in force takes no lock and does not wait.
/// - A background task makes all fetches, one at a time: when keys are first
///   needed, when 80 % of their lifetime has passed, and after a failure. It runs
///   on the tokio runtime that first needed keys, and ends with the cache. If that
///   runtime ends earlier, the next request for keys starts another task.
/// - The lifetime is `Cache-Control: max-age` less `Age`, else `Expires`, clamped
///   to 30 seconds and [`max_lifetime`](JwksCacheBuilder::max_lifetime) (1 hour);
///   else [`fresh_for`](JwksCacheBuilder::fresh_for) (5 minutes). With `ETag` or
///   `Last-Modified`, later requests are conditional. A fetch that a token with an
///   unknown key ID or [`refresh`](KeySource::refresh) asks for has `Cache-Control:
///   no-cache`, so that no cache on the way answers it, and no condition on
///   `Last-Modified`, which has whole seconds.
/// - Keys whose lifetime has ended are not used before the cache has tried to fetch
///   newer ones: requests wait for that, for instance after the process was suspended.
/// - A successful fetch replaces the whole set at once. After a failure (no
///   connection, an invalid certificate, a time-out, a status other than 200, a
///   redirect, a document that is too large or has no usable key) the earlier set
///   stays in force, up to [`keep_on_failure`](JwksCacheBuilder::keep_on_failure)
///   after the last success.
/// - After failures the cache waits 1, 2, 4 … 30 seconds, or as `Retry-After` says
///   with status 429 or 503, up to 60 seconds.
/// - Tokens with unknown key IDs, and requests that arrive before the first keys,
///   cause at most 2 fetches in 10 seconds in total. At most 1,024 requests wait
///   for a fetch; the others are answered at once.
/// - While fetching fails, a token with an unknown key ID is refused (401) until
///   the lifetime of the keys in force ends, since the server has declared them
///   complete until then. After that, a newer key may exist (503). ConductorOne
///   retries in both cases, so a delivery signed with a new key passes when the
///   server is back.
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

/// The state that all handles share. The task holds only `shared`, so that
/// dropping the last handle closes `wake`, which ends the task.
struct Inner {
    shared: Arc<Shared>,
    wake: watch::Sender<()>,
}

struct Shared {
    config: Config,
    loaded: ArcSwapOption<Loaded>,
    /// Never held across an await.
    schedule: Mutex<FetchSchedule>,
    /// Whether there is a task; readable without the lock.
    working: AtomicBool,
    /// Whether the last fetch failed; readable without the lock.
    failing: AtomicBool,
    /// One permit for each request that may wait.
    places: Semaphore,
    observers: KeyObservers,
}

struct Config {
    /// The source of the keys in the log: the URL without secrets.
    name: String,
    uri: Uri,
    fetch: Box<dyn Fetch>,
    fresh_for: Duration,
    max_lifetime: Duration,
    keep_on_failure: Duration,
    timeout: Duration,
    max_bytes: usize,
}

/// The key set of the last successful fetch.
struct Loaded {
    keys: Arc<KeySet>,
    at: Instant,
    lifetime: Duration,
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Loaded {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }

    /// Whether the lifetime that the server declared has not ended.
    fn is_fresh(&self, now: Instant) -> bool {
        self.age(now) < self.lifetime
    }
}

impl Shared {
    fn schedule(&self) -> MutexGuard<'_, FetchSchedule> {
        // No code panics between two changes to the schedule.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> Option<Arc<Loaded>> {
        self.loaded.load_full()
    }

    fn replace(&self, loaded: Loaded) -> Option<Arc<Loaded>> {
        self.loaded.swap(Some(Arc::new(loaded)))
    }

    /// Puts keys into force that the task did not load.
    fn install(&self, keys: KeySet) {
        let loaded = Loaded {
            keys: Arc::new(keys),
            at: Instant::now(),
            lifetime: self.config.fresh_for,
            etag: None,
            last_modified: None,
        };
        self.schedule().succeeded(self.refresh_at(&loaded));
        self.replace(loaded);
    }

    /// The keys that requests are verified with. Once their lifetime has ended, they are
    /// used only while fetching fails: after an idle time, a request waits for newer ones.
    fn in_force(&self, now: Instant) -> Option<Arc<KeySet>> {
        let is_failing = self.failing.load(Ordering::Acquire);
        self.keys_if(|loaded| self.is_kept(loaded, now) && (is_failing || loaded.is_fresh(now)))
    }

    /// The keys that are in force, or would be if fetching failed now.
    fn kept(&self, now: Instant) -> Option<Arc<KeySet>> {
        self.keys_if(|loaded| self.is_kept(loaded, now))
    }

    fn is_kept(&self, loaded: &Loaded, now: Instant) -> bool {
        loaded.age(now) < self.config.keep_on_failure
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.keys_if(|loaded| loaded.is_fresh(now)).is_some()
    }

    fn keys_if(&self, usable: impl Fn(&Loaded) -> bool) -> Option<Arc<KeySet>> {
        let loaded = self.loaded.load();
        let loaded = loaded.as_ref().filter(|loaded| usable(loaded))?;
        Some(Arc::clone(&loaded.keys))
    }

    /// Before the keys' lifetime ends, or the time for which they are kept, if
    /// that is shorter.
    fn refresh_at(&self, loaded: &Loaded) -> Instant {
        loaded.at
            + loaded
                .lifetime
                .min(self.config.keep_on_failure)
                .mul_f32(0.8)
    }

    fn health(&self) -> KeyHealth {
        let now = Instant::now();
        let (keys, loaded) = (self.kept(now), self.loaded());
        let schedule = self.schedule();
        KeyHealth {
            age: loaded.as_ref().map(|loaded| loaded.age(now)),
            lifetime: loaded.map(|loaded| loaded.lifetime),
            kept_for: Some(self.config.keep_on_failure),
            failures: schedule.failures,
            last_error: schedule.last_error.clone(),
            ..KeyHealth::of(keys.as_deref())
        }
    }

    fn tell(&self, result: KeyFetchResult, duration: Duration) {
        let observers = self.observers.get();
        if !observers.is_empty() {
            let health = self.health();
            for observer in observers {
                observer.fetched(result, duration);
                observer.in_force(&health);
            }
        }
    }

    fn set_working(&self, working: bool) {
        self.working.store(working, Ordering::Release);
    }
}

impl JwksCache {
    /// Returns a builder of a cache of the keys at `url`: an `https` URL without
    /// user name, password and fragment.
    pub fn builder(url: impl Into<String>) -> JwksCacheBuilder {
        JwksCacheBuilder::new(url.into())
    }

    /// Creates a cache of the keys in the file at `path`. The file is read now, and
    /// again whenever four fifths of `every` have passed. If it cannot be read later, or has no usable key,
    /// the earlier keys stay in force for an hour.
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
            schedule: Mutex::default(),
            working: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            places: Semaphore::new(MAX_WAITING),
            observers: KeyObservers::default(),
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
    /// Wakes the task, or starts one, and returns the number of ended fetches.
    fn progress(&self) -> Result<watch::Receiver<u64>, KeysUnavailable> {
        let mut schedule = self.shared.schedule();
        if let Some(progress) = &schedule.progress {
            let progress = progress.clone();
            drop(schedule);
            self.wake.send_replace(());
            return Ok(progress);
        }
        let runtime = Handle::try_current().map_err(|_| {
            KeysUnavailable::new(
                "fetching keys needs a tokio runtime",
                Duration::from_secs(1),
            )
        })?;
        let (sender, progress) = watch::channel(schedule.ended());
        schedule.progress = Some(progress.clone());
        self.shared.set_working(true);
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            wake: self.wake.subscribe(),
            progress: sender,
        };
        // A runtime that is shutting down drops the task here, which takes the
        // lock.
        drop(schedule);
        runtime.spawn(worker.run());
        Ok(progress)
    }

    /// Waits until the fetch of this number has ended.
    async fn wait(&self, number: u64) -> Result<(), KeysUnavailable> {
        let mut progress = self.progress()?;
        // Enough for the fetch in progress and the next one. It takes longer only if
        // the runtime does not run the task.
        let limit = self.shared.config.timeout * 2 + Duration::from_secs(1);
        match timeout(limit, progress.wait_for(|ended| *ended >= number)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(KeysUnavailable::new(
                "the tokio runtime that fetched the keys has ended",
                Duration::from_secs(1),
            )),
            Err(_) => Err(KeysUnavailable::new(
                "the tokio runtime that fetches the keys is not running",
                Duration::from_secs(1),
            )),
        }
    }

    async fn renew(&self, seen: Option<&Arc<KeySet>>) -> Result<Arc<KeySet>, KeysUnavailable> {
        let is_news = |keys: &Arc<KeySet>| seen.is_none_or(|seen| !Arc::ptr_eq(seen, keys));
        let news = || self.shared.in_force(Instant::now()).filter(is_news);
        // Fresh keys are the newest, even if fetching fails: the token is wrong.
        let or_seen = |error| match seen {
            Some(seen) if self.shared.is_fresh(Instant::now()) => Ok(Arc::clone(seen)),
            _ => Err(error),
        };
        let number = {
            let mut schedule = self.shared.schedule();
            if let Some(keys) = news() {
                return Ok(keys);
            }
            match (schedule.claim(Instant::now()), seen) {
                (Claim::Fetch(number), _) => number,
                (Claim::Spent(_), Some(seen)) => return Ok(Arc::clone(seen)),
                (Claim::Spent(wait), None) | (Claim::Failing(wait), _) => {
                    return or_seen(schedule.unavailable(wait));
                }
            }
        };
        let Ok(_place) = self.shared.places.try_acquire() else {
            return or_seen(KeysUnavailable::new(
                "too many requests are waiting for the keys",
                Duration::from_secs(1),
            ));
        };
        if let Err(error) = self.wait(number).await {
            return or_seen(error);
        }
        news().map_or_else(|| or_seen(self.unavailable()), Ok)
    }

    async fn refresh(&self) -> Result<Arc<KeySet>, KeysUnavailable> {
        let number = self.shared.schedule().force();
        self.wait(number).await?;
        let failed = self.shared.schedule().failures > 0;
        let keys = self.shared.in_force(Instant::now()).filter(|_| !failed);
        keys.ok_or_else(|| self.unavailable())
    }

    async fn ready(&self) {
        while self.shared.in_force(Instant::now()).is_none() {
            let number = self.shared.schedule().await_next(Instant::now());
            let Ok(mut progress) = self.progress() else {
                tracing::error!("fetching keys needs a tokio runtime: they will not be loaded");
                return std::future::pending().await;
            };
            if progress.wait_for(|ended| *ended >= number).await.is_err() {
                // The task has ended. If its runtime is shutting down, this loop must
                // not block it.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Returns the keys in force. If they are due for a refresh, it starts the task
    /// unless there is one: there is none after its runtime has ended, or if the keys
    /// were read from a file outside of one.
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
        let schedule = self.shared.schedule();
        schedule.unavailable(schedule.pause(Instant::now()).unwrap_or_default())
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
        self.current();
        self.inner.shared.health()
    }

    fn observe(&self, observer: Arc<dyn KeyObserver>) {
        let shared = &self.inner.shared;
        shared.observers.set(Arc::clone(&observer));
        if shared.loaded().is_some() {
            observer.in_force(&shared.health());
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
