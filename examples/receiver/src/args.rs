//! The command line, and the layers that it configures.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::{DeliverOnceLayer, Tenant, VerifyWebhookLayer};

use crate::BoxError;
use crate::store::Store;

/// Receives ConductorOne webhooks, verifies them and grants what they ask for,
/// once for each delivery.
///
/// POST /webhooks receives the webhooks. GET /healthz answers 200 as soon as the
/// server runs. GET /readyz answers 503 until the keys of every tenant are loaded,
/// then 200. The log goes to stderr.
///
/// SIGTERM or SIGINT stops it: it answers open requests, then finishes accepted
/// work within --drain-ms. A second signal stops it at once.
#[derive(Parser)]
#[command(
    name = "receiver",
    version,
    after_help = "RUST_LOG sets the log level or filter, such as \"debug\"; the default is \"info\"."
)]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
pub(crate) struct Args {
    /// The address to listen on
    ///
    /// With port 0 the system chooses a free port, which the log names.
    #[arg(
        long,
        value_name = "ADDR",
        env = "C1_LISTEN",
        default_value = "127.0.0.1:3000"
    )]
    pub(crate) listen: SocketAddr,

    /// The address of GET /metrics, for Prometheus [default: none]
    ///
    /// An address that only your monitoring can reach, such as 127.0.0.1:9464: metrics
    /// name your tenants and tell how busy they are. With port 0 the system chooses a
    /// free port, which the log names.
    #[arg(long, value_name = "ADDR", env = "C1_METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// The URL that ConductorOne calls, without /webhooks, such as https://hooks.example.com
    ///
    /// An origin, followed by the path prefix that a proxy strips, if any.
    #[arg(long, value_name = "URL", env = "C1_PUBLIC_URL")]
    pub(crate) public_url: String,

    /// The domain of an accepted tenant, such as example.conductor.one
    ///
    /// Repeatable; in the environment, separate tenants with commas.
    #[arg(
        long = "tenant",
        value_name = "DOMAIN",
        env = "C1_TENANT",
        value_delimiter = ',',
        required = true
    )]
    pub(crate) tenants: Vec<String>,

    /// The URL of a tenant's keys [default: https://TENANT/auth/v1/jwks]
    ///
    /// Repeatable; in the environment, separate URLs with commas. Omit TENANT= if
    /// there is one tenant. An http:// URL must have a loopback host.
    #[arg(
        long = "jwks-url",
        value_name = "[TENANT=]URL",
        env = "C1_JWKS_URL",
        value_delimiter = ','
    )]
    pub(crate) jwks_urls: Vec<String>,

    /// The Redis that stores deliveries and used tokens: redis://[USER:PASSWORD@]HOST:PORT
    ///
    /// Receivers that share the traffic must share a store. The default is this
    /// process's memory, which a restart loses. Set a password through the
    /// environment.
    #[arg(long, value_name = "URL", env = "C1_REDIS_URL", hide_env_values = true)]
    pub(crate) redis_url: Option<String>,

    /// The database that stores them instead: postgres://[USER:PASSWORD@]HOST:PORT/NAME,
    /// or sqlite://FILE
    ///
    /// The receiver creates its tables, and the SQLite file, unless they exist. A SQLite
    /// file is for one receiver; it survives a restart and a power cut. Percent-encode
    /// a password.
    #[arg(
        long,
        value_name = "URL",
        env = "C1_DATABASE_URL",
        hide_env_values = true,
        conflicts_with = "redis_url"
    )]
    pub(crate) database_url: Option<String>,

    /// sync answers with the document; async answers 202 at once and posts the
    /// document to the callback URL
    #[arg(long, value_name = "HOW", env = "C1_RESPOND", default_value = "sync")]
    pub(crate) respond: Respond,

    /// Milliseconds of work after which a sync answer becomes 202, too
    ///
    /// Less than 28000: ConductorOne waits for 30 s.
    #[arg(
        long,
        value_name = "N",
        env = "C1_ANSWER_WITHIN_MS",
        default_value_t = 25_000
    )]
    pub(crate) answer_within_ms: u64,

    /// The origin of a tenant's callback URLs [default: https://TENANT]
    ///
    /// Repeatable; in the environment, separate URLs with commas. Omit TENANT= if
    /// there is one tenant. An http:// URL must have a loopback host. The receiver
    /// posts to no other origin.
    #[arg(
        long = "callback-origin",
        value_name = "[TENANT=]URL",
        env = "C1_CALLBACK_ORIGIN",
        value_delimiter = ','
    )]
    pub(crate) callback_origins: Vec<String>,

    /// Milliseconds after which another receiver takes over the work of one that
    /// has crashed, hangs, or cannot reach their store
    ///
    /// From 1000 to 600000. The other receiver, or this one after a restart, repeats the
    /// interrupted work.
    #[arg(long, value_name = "N", env = "C1_LEASE_MS", default_value_t = 45_000)]
    pub(crate) lease_ms: u64,

    /// Milliseconds for which a stop waits for accepted work and its callbacks
    ///
    /// The time starts when all open requests are answered. With --redis-url or
    /// --database-url, another receiver finishes the rest, or this one after a restart;
    /// without, the rest is lost. The exit code is then 1.
    #[arg(long, value_name = "N", env = "C1_DRAIN_MS", default_value_t = 25_000)]
    pub(crate) drain_ms: u64,

    /// Milliseconds that the work on a delivery takes
    #[arg(long, value_name = "N", env = "C1_WORK_MS", default_value_t = 0)]
    pub(crate) work_ms: u64,

    /// The number of runs that fail, with 500, before the work succeeds
    #[arg(long, value_name = "N", env = "C1_FAIL_FIRST", default_value_t = 0)]
    pub(crate) fail_first: u64,

    /// The size of the largest accepted body
    #[arg(long, value_name = "BYTES", env = "C1_MAX_BODY", default_value_t = 2 * 1024 * 1024)]
    pub(crate) max_body: usize,

    /// Print a JSON line on stdout for each run of the work on a delivery
    #[arg(long, env = "C1_LOG_JSON")]
    pub(crate) log_json: bool,
}

/// How a delivery is answered.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Respond {
    Sync,
    Async,
}

impl Args {
    pub(crate) fn verify_layer(&self, store: &Store) -> Result<VerifyWebhookLayer, BoxError> {
        let mut builder = VerifyWebhookLayer::builder()
            .public_url(&self.public_url)
            .max_body_bytes(self.max_body);
        // For a key server on this host; http is refused for any other.
        if is_http(&self.jwks_urls) || self.public_url.contains("http://") {
            builder = builder.dangerous_allow_http_on_loopback();
        }
        builder = store.replays(builder);
        let urls = self.by_tenant("--jwks-url", &self.jwks_urls)?;
        for domain in &self.tenants {
            let mut tenant = Tenant::new(domain);
            for (_, url) in urls.iter().filter(|(of, _)| of == domain) {
                tenant = tenant.jwks_url(*url);
            }
            builder = builder.tenant(tenant);
        }
        Ok(builder.build()?)
    }

    pub(crate) fn once_layer(&self, store: &Store) -> Result<DeliverOnceLayer, BoxError> {
        let mut callbacks = CallbackClient::builder();
        if is_http(&self.callback_origins) {
            callbacks = callbacks.dangerous_allow_http_on_loopback();
        }
        for (tenant, origin) in self.by_tenant("--callback-origin", &self.callback_origins)? {
            callbacks = callbacks.origin(tenant, origin);
        }
        let mut once = DeliverOnceLayer::builder()
            .callbacks(callbacks.build()?)
            .answer_within(Duration::from_millis(self.answer_within_ms))
            .lease(Duration::from_millis(self.lease_ms))
            .drain_timeout(Duration::from_millis(self.drain_ms));
        once = store.deliveries(once);
        if self.respond == Respond::Async {
            once = once.always_by_callback();
        }
        Ok(once.build()?)
    }

    /// Each `[TENANT=]URL` with its tenant.
    fn by_tenant<'a>(
        &'a self,
        flag: &str,
        texts: &'a [String],
    ) -> Result<Vec<(&'a str, &'a str)>, String> {
        let read = |text: &'a String| match text.split_once('=') {
            Some((domain, url)) if !domain.contains("://") => {
                if self.tenants.iter().any(|tenant| tenant == domain) {
                    Ok((domain, url))
                } else {
                    Err(format!("{flag} {text}: no --tenant is {domain}"))
                }
            }
            _ => match self.tenants.as_slice() {
                [tenant] => Ok((tenant.as_str(), text.as_str())),
                _ => Err(format!(
                    "{flag} {text}: there are several tenants, write {flag} TENANT={text}"
                )),
            },
        };
        texts.iter().map(read).collect()
    }
}

fn is_http(urls: &[String]) -> bool {
    urls.iter().any(|url| url.contains("http://"))
}
