//! A gateway: webhooks come in over REST, and the work is done by a gRPC service. The
//! service's own gRPC traffic is on the same port, and is not touched.
//!
//! Try it with a fake tenant, in three terminals (Ctrl-C stops it). No protoc is needed:
//!
//! ```text
//! c1 serve --listen 127.0.0.1:4000
//! cargo run --package tonic-gateway
//! c1 send provision-step --to http://127.0.0.1:3000/webhooks
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, async_trait};
use tower_conductorone::event::task::TaskKind;
use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
use tower_conductorone::ledger::DeliveryKey;
use tower_conductorone::{
    ConfigError, DeliverOnceLayer, EventRouter, Tenant, Typed, VerifyWebhookLayer, Webhook,
};

use self::proto::provisioning_client::ProvisioningClient;
use self::proto::provisioning_server::{Provisioning, ProvisioningServer};
use self::proto::{GrantReply, GrantRequest};

mod proto {
    #![allow(clippy::pedantic, missing_docs, unreachable_pub, reason = "generated")]
    tonic::include_proto!("provisioning.v1");
}

/// `ConductorOne` hangs up after 30 s.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The front: one webhook, one call.
async fn provision(
    mut service: ProvisioningClient<Channel>,
    step: Typed<ProvisionStep>,
) -> Outcome {
    let TaskKind::Grant(grant) = step.task_view().kind() else {
        let comment = Comment::truncated("this service only grants"); // it also gets revocations
        return step.answer(ProvisionReply::errored(comment));
    };
    let mut request = Request::new(GrantRequest {
        idempotency_key: DeliveryKey::of(step.webhook()).to_string(),
        app_id: grant.app_id.to_string(),
        entitlement_id: grant.app_entitlement_id.to_string(),
        user_id: grant.identity_user_id.to_string(), // who gets the access
    });
    request.set_timeout(TIMEOUT);
    match service.grant(request).await {
        Ok(granted) => {
            let comment = Comment::truncated(granted.into_inner().comment);
            step.answer(ProvisionReply::complete(comment))
        }
        Err(status) => outcome(&step, &status),
    }
}

/// What `ConductorOne` is told of a call that failed.
fn outcome(step: &ProvisionStep, status: &Status) -> Outcome {
    match status.code() {
        // An earlier run did it, and its answer was lost.
        Code::AlreadyExists => step.answer(ProvisionReply::complete(Comment::none())),
        // It would fail again: somebody has to look at the task.
        Code::InvalidArgument
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Unimplemented => {
            let comment = Comment::truncated(status.message());
            step.answer(ProvisionReply::errored(comment))
        }
        // `Unavailable`, `DeadlineExceeded`, `ResourceExhausted`, `Aborted` and the like may
        // pass, and so may what nobody knows: 503, and ConductorOne tries again.
        code => {
            eprintln!("the provisioning service failed: {code:?}");
            Outcome::retry_later(Duration::from_secs(5))
        }
    }
}

/// The gRPC service; elsewhere, as a rule.
struct Directory;

#[async_trait]
impl Provisioning for Directory {
    async fn grant(&self, request: Request<GrantRequest>) -> Result<Response<GrantReply>, Status> {
        let grant = request.into_inner();
        if [&grant.app_id, &grant.entitlement_id, &grant.user_id].contains(&&String::new()) {
            return Err(Status::invalid_argument("an id is missing"));
        }
        let comment = format!("granted {}", grant.entitlement_id);
        Ok(Response::new(GrantReply { comment }))
    }
}

/// Both kinds of traffic on one port. The layers wrap the webhooks' route alone, so gRPC
/// keeps its streams, its trailers and its own authentication.
fn app(
    verify: VerifyWebhookLayer,
    once: DeliverOnceLayer,
    service: ProvisioningClient<Channel>,
) -> Result<Router, ConfigError> {
    let events = EventRouter::builder()
        .on(move |step| provision(service.clone(), step))
        .fallback(async |_: Webhook| Outcome::retry_later(Duration::from_secs(60)))
        .build()?;
    let webhooks = Router::new()
        .route_service("/webhooks", events)
        .layer(once)
        .layer(verify);
    let grpc = Routes::new(ProvisioningServer::new(Directory));
    Ok(grpc.into_axum_router().merge(webhooks))
}

fn setting(name: &str, local: &str) -> String {
    env::var(name).unwrap_or_else(|_| local.to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let jwks_url = setting("C1_JWKS_URL", "http://127.0.0.1:4000/auth/v1/jwks");
    let verify = VerifyWebhookLayer::builder()
        .public_url(setting("C1_PUBLIC_URL", "http://127.0.0.1:3000"))
        // Without `jwks_url`, it is the real tenant.
        .tenant(Tenant::new("example.conductor.one").jwks_url(jwks_url))
        .dangerous_allow_http_on_loopback() // the fake tenant has no certificate
        .build()?;
    let once = DeliverOnceLayer::builder().build()?;
    let listener = TcpListener::bind(setting("C1_LISTEN", "127.0.0.1:3000")).await?;
    let here = format!("http://{}", listener.local_addr()?);
    let service = Endpoint::from_shared(setting("PROVISIONING_URL", &here))?.connect_lazy();
    let app = app(verify, once.clone(), ProvisioningClient::new(service))?;

    println!("listening on {here}");
    axum::serve(listener, app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    let drained = once.drain().await;
    println!("stopped, {} deliveries were cut off", drained.cut_off());
    Ok(())
}
