//! Attacks a receiver: an [`AttackPack`] fires its requests one by one and returns an
//! [`AttackReport`].

mod forge;
mod leak;
mod receiver;
mod report;
mod shot;
mod table;
mod wire;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower_service::Service;

pub use self::report::{AttackReport, AttackResult, AttackVerdict, Expectation};

use self::forge::Forge;
use self::receiver::{InProcess, Outcome, Receiver};
use self::shot::{Attack, Framing, Shot};
use self::wire::Wire;
use super::{FakeTenant, TestResponse};
use crate::clock::{Clock, SystemClock};

/// Attacks a receiver with forged, stolen, altered, malformed and oversized requests.
///
/// Some requests are genuine, in unusual but legal forms. The receiver must accept
/// those, so one that refuses everything does not pass.
///
/// The receiver needs the tenant's keys (from [`FakeTenant::serve`],
/// [`fetch`](FakeTenant::fetch) or [`jwks`](FakeTenant::jwks)) and the same public
/// URL. It need not use this crate. The requests are administrator's tests
/// (`c1.webhooks.v1.PayloadTest`), a few of which reach its handler. A receiver under
/// [`ReplayPolicy::Mark`](crate::ReplayPolicy::Mark) accepts replays, and the report
/// says so.
///
/// ```
/// # #[cfg(feature = "axum")] mod of_a_feature {
/// # use axum::{Router, routing::post};
/// # use tower_conductorone::keys::KeySet;
/// # use tower_conductorone::{Tenant, VerifyWebhookLayer, Webhook};
/// use tower_conductorone::testing::{AttackPack, FakeTenant};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tenant = FakeTenant::new("example.conductor.one");
/// # let keys = KeySet::from_json(tenant.jwks().as_bytes())?;
/// # let verify = VerifyWebhookLayer::builder()
/// #     .public_url("https://hooks.example.com")
/// #     .tenant(Tenant::new(tenant.domain()).static_keys(keys))
/// #     .build()?;
/// # let mut app = Router::new()
/// #     .route("/webhooks", post(async |webhook: Webhook| webhook.event().to_owned()))
/// #     .layer(verify);
/// // `app` is your service, with the tenant's keys.
/// let pack = AttackPack::new(&tenant, "https://hooks.example.com/webhooks");
/// pack.fire(&mut app).await.assert_clean();
/// # Ok(())
/// # }
/// # }
/// # #[cfg(feature = "axum")] of_a_feature::main().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "attacks do nothing until they are fired"]
pub struct AttackPack {
    tenant: FakeTenant,
    target: String,
    clock: Arc<dyn Clock>,
    time_limit: Duration,
    max_body_bytes: usize,
}

impl AttackPack {
    /// Attacks on a receiver that accepts this tenant's webhooks.
    ///
    /// `target` is the webhook's URL in the tenant's configuration: the receiver's
    /// public URL and the path, such as `https://hooks.example.com/webhooks`.
    ///
    /// # Panics
    /// If it is not an absolute URL.
    pub fn new(tenant: &FakeTenant, target: impl Into<String>) -> Self {
        let target = target.into();
        let _ = tenant.delivery("").to(&target);
        Self {
            tenant: tenant.clone(),
            target,
            clock: Arc::new(SystemClock),
            time_limit: Duration::from_secs(15),
            max_body_bytes: 2 * 1024 * 1024,
        }
    }

    /// Sets the receiver's clock; by default the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets how long an answer may take before it counts as a hang. 15 s by default,
    /// on tokio's clock: more than the layer's 10 s for a body.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets the largest body that the receiver accepts, in bytes. 2 MiB by default.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Fires all attacks at a service, without a socket, one after the other.
    ///
    /// Panics of the service are reported, too. Attacks that need a connection (a
    /// body of unknown length, one that stops half-way) are skipped: see
    /// [`fire_at`](Self::fire_at).
    pub async fn fire<S, B>(&self, service: &mut S) -> AttackReport
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>>,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.fire_all(InProcess(service)).await
    }

    /// Fires all attacks at a server, over HTTP/1.1, one after the other, each on its
    /// own connection.
    ///
    /// `url` is the server's, such as `http://127.0.0.1:8080/webhooks`; it may differ
    /// from the webhook's URL, as it does behind a proxy. The certificate of an `https`
    /// server is checked against the system's CA certificates. No proxy is used.
    ///
    /// # Errors
    /// If the URL is not an absolute `http` or `https` URL, or the server cannot be
    /// reached.
    pub async fn fire_at(&self, url: &str) -> io::Result<AttackReport> {
        Ok(self.fire_all(Wire::to(url, &self.target).await?).await)
    }

    async fn fire_all(&self, mut receiver: impl Receiver) -> AttackReport {
        let mut forge = Forge::new(&self.tenant, &self.target, self.max_body_bytes);
        let mut results = Vec::new();
        for attack in table::all() {
            forge.now = self.clock.now();
            let shot = (attack.make)(&forge);
            if receiver.can_send(shot.framing) {
                results.push(self.fire_one(&mut receiver, attack, shot).await);
            }
        }
        AttackReport::new(results)
    }

    async fn fire_one(
        &self,
        receiver: &mut impl Receiver,
        attack: &Attack,
        shot: Shot,
    ) -> AttackResult {
        let start = Instant::now();
        let mut prepared = true;
        if let Some(before) = shot.before {
            let outcome = self.send(receiver, before, Framing::Length).await;
            prepared = matches!(outcome, Outcome::Answered(answer) if answer.status().is_success());
        }
        let secrets = leak::secrets(&shot.request);
        let outcome = self.send(receiver, shot.request, shot.framing).await;
        let status = match &outcome {
            Outcome::Answered(answer) => Some(answer.status()),
            _ => None,
        };
        let verdict = match outcome {
            _ if !prepared => AttackVerdict::Refused,
            Outcome::Hung => AttackVerdict::Hung,
            Outcome::Panicked => AttackVerdict::Panicked,
            // A receiver may hang up on too long a request.
            Outcome::Failed if shot.may_hang_up => AttackVerdict::Passed,
            Outcome::Failed => AttackVerdict::NoAnswer,
            Outcome::Answered(answer) => judge(attack.expected, &answer, &secrets),
        };
        AttackResult {
            name: attack.name,
            description: attack.what,
            expected: attack.expected,
            status,
            elapsed: start.elapsed(),
            verdict,
        }
    }

    async fn send(
        &self,
        receiver: &mut impl Receiver,
        request: Request<Bytes>,
        framing: Framing,
    ) -> Outcome {
        tokio::time::timeout(self.time_limit, receiver.send(request, framing))
            .await
            .unwrap_or(Outcome::Hung)
    }
}

/// Judges an answer.
fn judge(expected: Expectation, answer: &TestResponse, secrets: &[Bytes]) -> AttackVerdict {
    let status = answer.status();
    match expected {
        _ if status == StatusCode::GONE => AttackVerdict::Gone,
        _ if status.is_server_error() => AttackVerdict::ServerError,
        Expectation::Refused if status.is_success() => AttackVerdict::Accepted,
        Expectation::Accepted if !status.is_success() => AttackVerdict::Refused,
        _ if status.is_informational() || status.is_redirection() => {
            AttackVerdict::UnexpectedStatus
        }
        _ if leak::is_in(answer, secrets) => AttackVerdict::Leaked,
        _ => AttackVerdict::Passed,
    }
}
