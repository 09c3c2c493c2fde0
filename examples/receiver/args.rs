//! What the command line says, and the layers that follow from it.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::redis::{RedisConnection, RedisLedger, RedisReplayStore};
use tower_conductorone::{DeliverOnceLayer, Tenant, VerifyWebhookLayer};

use crate::BoxError;

/// Receives ConductorOne webhooks, verifies them and grants what they ask for,
/// once for each delivery.
///
/// POST /webhooks takes the webhooks. GET /healthz answers 200 once it is up,
/// GET /readyz once the keys of every tenant are loaded, and 503 before. The log
/// goes to stderr.
#[derive(Parser)]
#[command(
    name = "receiver",
    version,
    after_help = "RUST_LOG sets what is logged, such as \"debug\"; it is \"info\" by default."
)]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
pub(crate) struct Args {
    /// Where to listen
    ///
    /// Port 0 takes a free one, which the log names.
    #[arg(
        long,
        value_name = "ADDR",
        env = "C1_LISTEN",
        default_value = "127.0.0.1:3000"
    )]
    pub(crate) listen: SocketAddr,

    /// What ConductorOne calls, such as https://hooks.example.com
    ///
    /// An origin, plus the prefix that a proxy strips, if one does.
    #[arg(long, value_name = "URL", env = "C1_PUBLIC_URL")]
    pub(crate) public_url: String,

    /// A tenant whose webhooks are accepted, such as example.conductor.one
    ///
    /// Repeatable; in the environment, tenants are separated by commas.
    #[arg(
        long = "tenant",
        value_name = "DOMAIN",
        env = "C1_TENANT",
        value_delimiter = ',',
        required = true
    )]
    pub(crate) tenants: Vec<String>,

    /// Where a tenant's keys are, if not at https://TENANT/auth/v1/jwks
    ///
    /// Repeatable; in the environment, URLs are separated by commas. TENANT= may
    /// be left out if there is one tenant. An http:// URL is for a loopback host
    /// only.
    #[arg(
        long = "jwks-url",
        value_name = "[TENANT=]URL",
        env = "C1_JWKS_URL",
        value_delimiter = ','
    )]
    pub(crate) jwks_urls: Vec<String>,

    /// Where deliveries and tokens are remembered: redis://[USER:PASSWORD@]HOST:PORT
    ///
    /// Receivers that share the traffic have to share a Redis. By default the
    /// memory of this process, which a restart loses. A password is better put
    /// into the environment.
    #[arg(long, value_name = "URL", env = "C1_REDIS_URL", hide_env_values = true)]
    pub(crate) redis_url: Option<String>,

    /// sync: the answer is the document; async: it is 202, at once, and the document
    /// goes to the callback URL
    #[arg(long, value_name = "HOW", env = "C1_RESPOND", default_value = "sync")]
    pub(crate) respond: Respond,

    /// After how many milliseconds a sync answer is 202, too
    ///
    /// Less than 28000: ConductorOne waits for 30 s.
    #[arg(
        long,
        value_name = "N",
        env = "C1_DEADLINE_MS",
        default_value_t = 25_000
    )]
    pub(crate) deadline_ms: u64,

    /// Where a tenant's callback URLs lead, if not to https://TENANT
    ///
    /// Repeatable; in the environment, URLs are separated by commas. TENANT= may
    /// be left out if there is one tenant. An http:// URL is for a loopback host
    /// only. Nothing is ever posted anywhere else.
    #[arg(
        long = "callback-origin",
        value_name = "[TENANT=]URL",
        env = "C1_CALLBACK_ORIGIN",
        value_delimiter = ','
    )]
    pub(crate) callback_origins: Vec<String>,

    /// For how many milliseconds a receiver may be silent before another one
    /// takes its work over
    ///
    /// From 1000 to 600000. It is silent once it has crashed, has hung, or does
    /// not reach Redis; work that is cut off so is repeated.
    #[arg(long, value_name = "N", env = "C1_LEASE_MS", default_value_t = 45_000)]
    pub(crate) lease_ms: u64,

    /// How many milliseconds the work on a delivery takes
    #[arg(long, value_name = "N", env = "C1_WORK_MS", default_value_t = 0)]
    pub(crate) work_ms: u64,

    /// How many times the work fails, with 500, before it succeeds
    #[arg(long, value_name = "N", env = "C1_FAIL_FIRST", default_value_t = 0)]
    pub(crate) fail_first: u64,

    /// The longest body that is accepted
    #[arg(long, value_name = "BYTES", env = "C1_MAX_BODY", default_value_t = 2 * 1024 * 1024)]
    pub(crate) max_body: usize,

    /// Print a JSON line on stdout whenever the work on a delivery begins
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
    /// The Redis, which is not connected to yet.
    pub(crate) fn redis(&self) -> Result<Option<RedisConnection>, BoxError> {
        let connection = self.redis_url.as_deref().map(RedisConnection::to_server);
        // It has a password in it, perhaps, and is not repeated.
        connection
            .transpose()
            .map_err(|error| format!("--redis-url: {error}").into())
    }

    pub(crate) fn verify_layer(
        &self,
        redis: Option<&RedisConnection>,
    ) -> Result<VerifyWebhookLayer, BoxError> {
        let mut builder = VerifyWebhookLayer::builder()
            .public_url(&self.public_url)
            .max_body_bytes(self.max_body);
        // For a key server beside this process, say; everywhere else http is refused.
        if is_http(&self.jwks_urls) || self.public_url.contains("http://") {
            builder = builder.dangerous_allow_http_on_loopback();
        }
        if let Some(redis) = redis {
            builder = builder.replay_store(RedisReplayStore::new(redis.clone()));
        }
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

    pub(crate) fn once_layer(
        &self,
        redis: Option<&RedisConnection>,
    ) -> Result<DeliverOnceLayer, BoxError> {
        let mut callbacks = CallbackClient::builder();
        if is_http(&self.callback_origins) {
            callbacks = callbacks.dangerous_allow_http_on_loopback();
        }
        for (tenant, origin) in self.by_tenant("--callback-origin", &self.callback_origins)? {
            callbacks = callbacks.origin(tenant, origin);
        }
        let mut once = DeliverOnceLayer::builder()
            .callbacks(callbacks.build()?)
            .deadline(Duration::from_millis(self.deadline_ms))
            .lease(Duration::from_millis(self.lease_ms))
            // What was accepted is finished, however long that takes.
            .drain_timeout(Duration::MAX);
        if let Some(redis) = redis {
            once = once.ledger("receiver", RedisLedger::new(redis.clone()));
        }
        if self.respond == Respond::Async {
            once = once.always_by_callback();
        }
        Ok(once.build()?)
    }

    /// Which tenant each `[TENANT=]URL` is for.
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
