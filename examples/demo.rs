//! Sends genuine and forged deliveries of a fake tenant to an axum receiver on
//! loopback, and shows the answers.
//!
//! ```text
//! cargo run --example demo
//! ```

use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use axum::http::{Request, StatusCode, Uri};
use axum::response::Response;
use axum::{Router, middleware};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::net::TcpListener;
use tower_conductorone::event::{
    Acknowledgement, ApprovalReply, Comment, FindingDispatch, Outcome, Payload, PolicyApprovalStep,
    PolicyPostAction, ProvisionReply, ProvisionStep, WorkflowReply, WorkflowStep,
};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant, Fixture};
use tower_conductorone::{
    ConfigError, EventRouter, Rejection, Tenant, Typed, VerifyWebhookLayer, Webhook,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The only part that a user writes: its handlers get verified webhooks only.
fn webhooks() -> Result<EventRouter, ConfigError> {
    EventRouter::builder()
        .on(provision)
        .on(approve)
        .on(async |_: Typed<PolicyPostAction>| Acknowledgement::new())
        .on(async |_: Typed<WorkflowStep>| WorkflowReply::empty())
        .on(async |_: Typed<FindingDispatch>| Acknowledgement::new())
        .fallback(other)
        .build()
}

async fn provision(step: Typed<ProvisionStep>) -> ProvisionReply {
    let app = step.task_view().app().map_or("?", |app| &app.display_name);
    ProvisionReply::complete(Comment::truncated(format!("provisioned in {app}")))
}

async fn approve(_: Typed<PolicyApprovalStep>) -> ApprovalReply {
    ApprovalReply::approve(Comment::truncated("fine"))
}

async fn other(webhook: Webhook) -> Outcome {
    match webhook.payload() {
        Ok(Payload::Unknown(event)) => event.acknowledge(),
        _ => Outcome::retry_later(Duration::from_secs(60)),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<bool, BoxError> {
    let mut out = std::io::stdout();
    let tenant = FakeTenant::new("example.conductor.one");
    let jwks = tenant.serve().await?;

    let verify = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new("example.conductor.one").jwks_url(jwks.url()))
        .dangerous_allow_http_on_loopback() // the fake tenant has no certificate
        .build()?;

    // Answers reveal little to a forger; a layer outside sees the rejection.
    let (rejections, refused) = mpsc::channel();
    let app = Router::new()
        .route_service("/webhooks", webhooks()?)
        .layer(verify)
        .layer(middleware::map_response(move |response: Response| {
            if let Some(rejection) = response.extensions().get::<Rejection>() {
                let _ = rejections.send(rejection.clone());
            }
            std::future::ready(response)
        }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });

    writeln!(
        out,
        "Fake tenant: example.conductor.one, with its keys at {}",
        jwks.url()
    )?;
    writeln!(
        out,
        "Receiver:    http://{address}, with the public URL https://hooks.example.com"
    )?;

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut as_expected = true;
    let mut number = 0;
    for (title, deliveries) in [
        ("Genuine deliveries", genuine(&tenant)),
        ("Forgeries and replays", forged(&tenant)),
    ] {
        writeln!(out, "\n{title}\n")?;
        for Scene {
            what,
            checked,
            delivery,
            expected,
        } in deliveries
        {
            number += 1;
            let (mut parts, body) = delivery.into_parts();
            parts.uri = Uri::builder()
                .scheme("http")
                .authority(address.to_string())
                .path_and_query(parts.uri.path())
                .build()?;
            let response = client.request(Request::from_parts(parts, body)).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();

            writeln!(out, "{number:3}. {what}")?;
            writeln!(out, "     checked   {checked}")?;
            writeln!(
                out,
                "     answered  {status} {}",
                String::from_utf8_lossy(&body)
            )?;
            if let Ok(rejection) = refused.try_recv() {
                writeln!(out, "     because   {}", rejection.code())?;
            }
            if status != expected {
                writeln!(out, "     WRONG     expected {expected}")?;
                as_expected = false;
            }
        }
    }
    writeln!(
        out,
        "\n{number} requests, {} fetches of the tenant's keys: {}",
        jwks.requests(),
        if as_expected {
            "all answers are right."
        } else {
            "SOME ANSWERS ARE WRONG."
        },
    )?;
    Ok(as_expected)
}

struct Scene {
    what: &'static str,
    checked: &'static str,
    delivery: Request<Full<Bytes>>,
    expected: StatusCode,
}

fn genuine(tenant: &FakeTenant) -> Vec<Scene> {
    let signers = [
        (
            Algorithm::Rs256,
            "an RS256 signature, claims, body hash, envelope, first use",
        ),
        (
            Algorithm::Es256,
            "an ES256 signature, claims, body hash, envelope, first use",
        ),
        (
            Algorithm::EdDsa,
            "an EdDSA signature, claims, body hash, envelope, first use",
        ),
    ]
    .map(|(algorithm, checked)| (tenant.add_key(algorithm), checked));
    [
        "test/full",
        "provision_step/grant.full",
        "provision_step/revoke.minimal",
        "provision_step/grant.future",
        "policy_approval_step/grant.full",
        "policy_post_action/certify.full",
        "workflow_step/full",
        "finding_dispatch/full",
    ]
    .into_iter()
    .filter_map(Fixture::named)
    .zip(signers.iter().cycle())
    .map(|(fixture, (key, checked))| Scene {
        what: fixture.name(),
        checked,
        delivery: tenant
            .delivery(fixture.event())
            .payload(fixture.payload())
            .signing_key(key)
            .request(),
        expected: StatusCode::OK,
    })
    .collect()
}

fn forged(tenant: &FakeTenant) -> Vec<Scene> {
    let event = || tenant.delivery(EVENTS[0]);
    let refused = |what, checked, delivery: Delivery| Scene {
        what,
        checked,
        delivery: delivery.request(),
        expected: StatusCode::UNAUTHORIZED,
    };
    let stranger = FakeTenant::new("example.conductor.one");
    let seen = event();
    vec![
        refused(
            "signed with another key",
            "the signature: the tenant's JWKS has no such key",
            stranger.delivery(EVENTS[0]),
        ),
        refused(
            "from a tenant that is not configured",
            "iss, before any key is used",
            event().claim("iss", json!("evil.conductor.one")),
        ),
        refused(
            "another body under a genuine token",
            "htb_s256: the SHA-256 of the received body",
            event().tampered_body(r#"{"version":"v1","webhookId":"x","event":"y"}"#),
        ),
        refused(
            "a genuine token made for another receiver",
            "aud and htu against the public URL",
            event().to("https://hooks.example.org/webhooks"),
        ),
        refused(
            "a genuine token of an hour ago",
            "exp, with 30 s of leeway",
            event().issued_at(SystemTime::now() - Duration::from_secs(3600)),
        ),
        refused(
            "another kind of ConductorOne token",
            "c1typ: a webhook has \"wh\"",
            event().claim("c1typ", json!("session")),
        ),
        refused(
            "no token at all",
            "the Authorization header",
            event().without_http_header("authorization"),
        ),
        Scene {
            what: "a genuine webhook, for the first time",
            checked: "everything",
            delivery: seen.request(),
            expected: StatusCode::OK,
        },
        refused(
            "the same request again",
            "jti: each token is valid for one request",
            seen,
        ),
    ]
}
