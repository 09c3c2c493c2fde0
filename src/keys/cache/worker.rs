//! The task of a cache. It makes all fetches, one after another: so no two run at
//! once, none is cancelled with the request that needs it, and no response replaces
//! a newer one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Loaded, Shared, freshness};
use crate::error_chain::error_chain;
use crate::excerpt::one_line;
use crate::header::read_retry_after;
use crate::keys::{KeyFetchResult, KeySet};
use crate::readable::Readable;

/// The least lifetime of keys, even if the server declares less.
pub(super) const MIN_LIFETIME: Duration = Duration::from_secs(30);

/// A longer `ETag` or `Last-Modified` is not sent back.
const MAX_VALIDATOR: usize = 1024;

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    /// Closed when the last handle of the cache is dropped.
    pub(super) wake: watch::Receiver<()>,
    pub(super) progress: watch::Sender<u64>,
}

struct Failure {
    reason: String,
    retry_after: Option<Duration>,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self {
            reason,
            retry_after: None,
        }
    }
}

impl Worker {
    pub(super) async fn run(mut self) {
        loop {
            let begun = self.shared.schedule().begin(Instant::now());
            let goes_on = match begun {
                Ok(is_wanted) => self.fetch(is_wanted).await,
                Err(None) => self.wake.changed().await.is_ok(),
                Err(Some(due)) => {
                    // `Err` is the time-out, when the fetch is due.
                    !matches!(timeout_at(due, self.wake.changed()).await, Ok(Err(_)))
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn fetch(&self, is_wanted: bool) -> bool {
        let shared = Arc::clone(&self.shared);
        let began = Instant::now();
        // In its own task, so that a panic ends this fetch only.
        let outcome = match tokio::spawn(async move { shared.load(is_wanted).await }).await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => {
                Err("the implementation of `Fetch` panicked".to_owned().into())
            }
            Err(_) => return false, // the runtime is shutting down
        };
        let duration = began.elapsed();
        let result = self.shared.finish(outcome);
        let ended = self.shared.schedule().ended();
        self.progress.send_replace(ended);
        self.shared.tell(result, duration);
        true
    }
}

/// However the task ends, the waiting requests notice it, since `progress` closes,
/// and the next request that needs keys starts another task.
impl Drop for Worker {
    fn drop(&mut self) {
        let mut schedule = self.shared.schedule();
        schedule.abandoned(Instant::now());
        // While locked, so that it does not overwrite what the next task sets.
        self.shared.set_working(false);
    }
}

impl Shared {
    async fn load(&self, is_wanted: bool) -> Result<Loaded, Failure> {
        let before = self.loaded();
        let request = self.request(before.as_deref(), is_wanted);
        let conditions = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
        let is_conditional = (conditions.iter()).any(|name| request.headers().contains_key(name));
        let time = self.config.timeout;
        let response = timeout(
            time,
            self.config.fetch.fetch(request, self.config.max_bytes),
        )
        .await
        .map_err(|_| format!("no complete response within {time:?}"))?
        .map_err(|error| one_line(&error_chain(&error)).into_owned())?;
        self.read(&response, before.as_deref().filter(|_| is_conditional))
    }

    /// A request for the keys; for the newest ones, if somebody waits for them.
    fn request(&self, before: Option<&Loaded>, is_wanted: bool) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = self.config.uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/jwk-set+json, application/json"),
        );
        if is_wanted {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        if let Some(before) = before {
            let etag = before.etag.iter().map(|etag| (IF_NONE_MATCH, etag.clone()));
            // It may be the same for two sets that followed fast.
            let modified = before.last_modified.iter().filter(|_| !is_wanted);
            let modified = modified.map(|at| (IF_MODIFIED_SINCE, at.clone()));
            headers.extend(etag.chain(modified));
        }
        request
    }

    /// Reads the answer; `before` are the keys that a conditional request has named.
    fn read(&self, response: &Response<Bytes>, before: Option<&Loaded>) -> Result<Loaded, Failure> {
        let headers = response.headers();
        match response.status() {
            StatusCode::OK => self.read_document(response),
            StatusCode::NOT_MODIFIED => match before {
                Some(before) => Ok(before.renewed(headers, self.lifetime(headers))),
                None => Err("status 304 to an unconditional request".to_owned().into()),
            },
            status if status.is_redirection() => {
                Err(format!("status {status}: redirects are not followed").into())
            }
            status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
                Err(Failure {
                    reason: format!("status {status}"),
                    retry_after: read_retry_after(headers),
                })
            }
            status => Err(format!("status {status}").into()),
        }
    }

    fn read_document(&self, response: &Response<Bytes>) -> Result<Loaded, Failure> {
        let (headers, document) = (response.headers(), response.body());
        if document.len() > self.config.max_bytes {
            return Err(format!(
                "the response is longer than {} bytes",
                self.config.max_bytes
            )
            .into());
        }
        let keys = KeySet::from_json(document).map_err(|error| error.to_string())?;
        Ok(Loaded {
            keys: Arc::new(keys),
            at: Instant::now(),
            lifetime: self.lifetime(headers).unwrap_or(self.config.fresh_for),
            etag: validator(headers, &ETAG),
            last_modified: validator(headers, &LAST_MODIFIED),
        })
    }

    /// The lifetime that the server declares, clamped.
    fn lifetime(&self, headers: &HeaderMap) -> Option<Duration> {
        freshness::lifetime(headers)
            .map(|lifetime| lifetime.clamp(MIN_LIFETIME, self.config.max_lifetime))
    }

    /// Applies the outcome.
    fn finish(&self, outcome: Result<Loaded, Failure>) -> KeyFetchResult {
        match outcome {
            Ok(loaded) => self.succeeded(loaded),
            Err(failure) => {
                self.failed(failure);
                KeyFetchResult::Failed
            }
        }
    }

    fn succeeded(&self, loaded: Loaded) -> KeyFetchResult {
        let name = &self.config.name;
        let refresh_at = self.refresh_at(&loaded);
        let keys = Arc::clone(&loaded.keys);
        let before = self.replace(loaded);
        self.failing.store(false, Ordering::Release);
        let failures = {
            let mut schedule = self.schedule();
            let failures = schedule.failures;
            schedule.succeeded(refresh_at);
            failures
        };
        if before.is_none_or(|before| !before.keys.same_as(&keys)) {
            tracing::info!(source = %name, %keys, "the key set has changed");
            KeyFetchResult::Changed
        } else {
            tracing::debug!(source = %name, failures, "the key set is up to date");
            KeyFetchResult::Unchanged
        }
    }

    fn failed(&self, failure: Failure) {
        self.failing.store(true, Ordering::Release);
        let now = Instant::now();
        let reason: Arc<str> = failure.reason.into();
        let (failures, pause) = {
            let mut schedule = self.schedule();
            let pause = schedule.failed(now, Arc::clone(&reason), failure.retry_after);
            (schedule.failures, pause)
        };
        tracing::warn!(
            source = %self.config.name,
            %reason,
            failures,
            next_attempt_in = %Readable(pause),
            usable = self.in_force(now).is_some(),
            "cannot fetch the key set",
        );
    }
}

impl Loaded {
    /// RFC 9111 section 4.3.4: keeps the keys, and takes the validators and the
    /// lifetime of the new response. The `Arc` is a new one, which tells the requests
    /// that wait that the server was asked.
    fn renewed(&self, headers: &HeaderMap, lifetime: Option<Duration>) -> Self {
        Self {
            keys: Arc::new(KeySet::clone(&self.keys)),
            at: Instant::now(),
            lifetime: lifetime.unwrap_or(self.lifetime),
            etag: validator(headers, &ETAG).or_else(|| self.etag.clone()),
            last_modified: validator(headers, &LAST_MODIFIED)
                .or_else(|| self.last_modified.clone()),
        }
    }
}

fn validator(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    headers
        .get(name)
        .filter(|value| value.len() <= MAX_VALIDATOR)
        .cloned()
}
