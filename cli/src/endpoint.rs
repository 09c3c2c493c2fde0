//! The tenant's keys and its callback endpoint, for `serve` and `send`.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::sync::watch;
use tower_conductorone::event::Reply;
use tower_conductorone::testing::FakeTenant;

pub(crate) const KEYS: &str = "/auth/v1/jwks";

pub(crate) const CALLBACK: &str = "/api/v1/webhooks/callback/";

/// The path at which `send` waits for the callback.
pub(crate) const TAKEN: &str = "/callbacks/";

/// The most documents that are kept, and their bytes: the oldest ones leave.
const MAX_DOCUMENTS: usize = 20_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A request that the endpoint got.
pub(crate) enum Notice {
    KeysFetched,
    Callback {
        event: String,
        /// The last part of its URL, a secret.
        token: String,
        document: Bytes,
        /// Why it is refused.
        refused: Option<String>,
    },
}

/// A fake tenant's HTTP endpoints.
#[derive(Clone)]
pub(crate) struct Endpoint {
    tenant: FakeTenant,
    documents: Arc<Mutex<Documents>>,
    news: watch::Sender<()>,
    fetched: Arc<AtomicBool>,
    notify: Arc<dyn Fn(Notice) + Send + Sync>,
}

/// The accepted documents, by the token of their URL.
#[derive(Default)]
struct Documents {
    by_token: HashMap<String, Bytes>,
    oldest_first: VecDeque<String>,
    bytes: usize,
}

impl Documents {
    fn insert(&mut self, token: String, document: Bytes) {
        self.bytes += document.len();
        self.oldest_first.push_back(token.clone());
        self.by_token.insert(token, document);
        while self.by_token.len() > MAX_DOCUMENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.oldest_first.pop_front() else {
                return;
            };
            let gone = self.by_token.remove(&oldest).unwrap_or_default();
            self.bytes -= gone.len();
        }
    }
}

impl Endpoint {
    /// Tells `notify` of every request, except for those of `send`.
    pub(crate) fn new(tenant: FakeTenant, notify: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        Self {
            tenant,
            documents: Arc::default(),
            news: watch::Sender::new(()),
            fetched: Arc::default(),
            notify: Arc::new(notify),
        }
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route(KEYS, get(jwks))
            .route(&format!("{CALLBACK}{{event}}/{{token}}"), post(callback))
            .route(&format!("{TAKEN}{{token}}"), get(taken))
            .with_state(self)
    }

    /// Whether anybody has fetched the keys.
    pub(crate) fn is_fetched(&self) -> bool {
        self.fetched.load(Ordering::Relaxed)
    }

    /// The document for this token; waits for it as long as that.
    pub(crate) async fn document(&self, token: &str, wait: Duration) -> Option<Bytes> {
        let mut news = self.news.subscribe();
        let document = || self.documents().by_token.get(token).cloned();
        let came = news.wait_for(|()| document().is_some());
        let _ = tokio::time::timeout(wait, came).await;
        document()
    }

    /// Accepts a document that answers the event, once.
    fn take(&self, event: &str, token: &str, document: &Bytes) -> Result<(), String> {
        let mut documents = self.documents();
        if documents.by_token.contains_key(token) {
            return Err("the callback URL was used before".into());
        }
        Reply::from_json(event, document.clone()).map_err(|error| error.to_string())?;
        documents.insert(token.to_owned(), document.clone());
        Ok(())
    }

    fn documents(&self) -> MutexGuard<'_, Documents> {
        self.documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn jwks(State(endpoint): State<Endpoint>) -> impl IntoResponse {
    endpoint.fetched.store(true, Ordering::Relaxed);
    (endpoint.notify)(Notice::KeysFetched);
    ([(CONTENT_TYPE, "application/json")], endpoint.tenant.jwks())
}

async fn callback(
    State(endpoint): State<Endpoint>,
    Path((event, token)): Path<(String, String)>,
    document: Bytes,
) -> Response {
    let refused = endpoint.take(&event, &token, &document).err();
    let answer = match &refused {
        None => StatusCode::OK.into_response(),
        Some(why) => (StatusCode::BAD_REQUEST, why.clone()).into_response(),
    };
    let accepted = refused.is_none();
    (endpoint.notify)(Notice::Callback {
        event,
        token,
        document,
        refused,
    });
    // After the notice: the task that waits reports the delivery as ended.
    if accepted {
        endpoint.news.send_replace(());
    }
    answer
}

/// Waits up to 5 s for a callback, and returns its document.
async fn taken(State(endpoint): State<Endpoint>, Path(token): Path<String>) -> Response {
    match endpoint.document(&token, Duration::from_secs(5)).await {
        Some(document) => document.into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}
