//! `c1 serve`, and the callback endpoint that `send` uses, too.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_conductorone::event::Reply;
use tower_conductorone::testing::FakeTenant;

use crate::output::{bad, faint, good, print, shown};
use crate::{BoxError, End, TenantArgs};

/// Serves a fake tenant's keys and its callback endpoint.
///
/// Stop it with Ctrl-C. It prints the requests that it gets.
#[derive(clap::Args)]
#[command(after_long_help = "\
Example:
  c1 serve --listen 127.0.0.1:4000
  c1 serve --tenant other.example --alg eddsa --key-file other.pem")]
pub(crate) struct Serve {
    /// The address to listen on; with port 0 the system chooses a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    #[command(flatten)]
    tenant: TenantArgs,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<End, BoxError> {
        if !self.listen.ip().is_loopback() {
            return Err("--listen must be a loopback address".into());
        }
        let tenant = self.tenant.open()?;
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", self.listen))?;
        let address = listener.local_addr()?;
        let stop = stop_signal()?;
        let (domain, file) = (tenant.domain(), self.tenant.key_file.display());
        print(format!(
            "tenant     {domain}, signing with the key in {file}
keys       http://{address}/auth/v1/jwks
callbacks  http://{address}{CALLBACK}…

Start a receiver, in a checkout of tower-conductorone:
  cargo run --package receiver -- --public-url http://127.0.0.1:3000 \\
      --tenant {domain} --jwks-url http://{address}/auth/v1/jwks
Send it an event:
  c1 send test --to http://127.0.0.1:3000/webhooks \\
      --tenant {domain} --key-file {file} --serve http://{address}
"
        ))?;
        tokio::select! {
            ended = axum::serve(listener, Endpoint::new(tenant, true).router()) => ended?,
            () = stop => {}
        }
        Ok(End::Success)
    }
}

pub(crate) const CALLBACK: &str = "/api/v1/webhooks/callback/";

/// The path at which `send` waits for the callback.
pub(crate) const TAKEN: &str = "/callbacks/";

/// A fake tenant's HTTP endpoints.
#[derive(Clone)]
pub(crate) struct Endpoint {
    tenant: FakeTenant,
    /// The accepted documents, by the token of their URL.
    documents: Arc<Mutex<HashMap<String, Bytes>>>,
    news: watch::Sender<()>,
    says_so: bool,
}

impl Endpoint {
    pub(crate) fn new(tenant: FakeTenant, says_so: bool) -> Self {
        Self {
            tenant,
            documents: Arc::default(),
            news: watch::Sender::new(()),
            says_so,
        }
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/auth/v1/jwks", get(jwks))
            .route(&format!("{CALLBACK}{{event}}/{{token}}"), post(callback))
            .route(&format!("{TAKEN}{{token}}"), get(taken))
            .with_state(self)
    }

    fn say(&self, text: &str) {
        if self.says_so {
            let now = jiff::Timestamp::now();
            // Without a reader there is nothing to report.
            let _ = print(format!("{} {text}", faint(&format!("{now:.0}"))));
        }
    }

    /// Accepts a document that answers the event, once.
    fn take(&self, event: &str, token: String, document: Bytes) -> Result<(), String> {
        let mut documents = self
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if documents.contains_key(&token) {
            return Err("the callback URL was used before".into());
        }
        Reply::from_json(event, document.clone()).map_err(|error| error.to_string())?;
        documents.insert(token, document);
        drop(documents);
        self.news.send_replace(());
        Ok(())
    }
}

async fn jwks(State(endpoint): State<Endpoint>) -> impl IntoResponse {
    endpoint.say("the keys were fetched");
    ([(CONTENT_TYPE, "application/json")], endpoint.tenant.jwks())
}

async fn callback(
    State(endpoint): State<Endpoint>,
    Path((event, token)): Path<(String, String)>,
    document: Bytes,
) -> Response {
    let text = shown(&String::from_utf8_lossy(&document));
    let name = shown(&event);
    match endpoint.take(&event, token, document) {
        Ok(()) => {
            endpoint.say(&format!("{} for {name}: {text}", good("callback accepted")));
            StatusCode::OK.into_response()
        }
        Err(why) => {
            let refused = bad("callback refused");
            endpoint.say(&format!("{refused} for {name}: {}", shown(&why)));
            (StatusCode::BAD_REQUEST, why).into_response()
        }
    }
}

/// Waits up to 5 s for a callback, and returns its document.
async fn taken(State(endpoint): State<Endpoint>, Path(token): Path<String>) -> Response {
    let mut news = endpoint.news.subscribe();
    let document = || {
        let documents = endpoint
            .documents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        documents.get(&token).cloned()
    };
    let wait = news.wait_for(|()| document().is_some());
    let _ = tokio::time::timeout(Duration::from_secs(5), wait).await;
    match document() {
        Some(document) => document.into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Listens for Ctrl-C and SIGTERM from now on; the future waits for the first.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}
