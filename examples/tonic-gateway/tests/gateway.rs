//! The gateway between a fake tenant and a gRPC service that answers as a test wants.
#![cfg(unix)]

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::DOMAIN;
use support::example::Example;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status, async_trait};
use tower_conductorone::event::task::TaskKind;
use tower_conductorone::event::{Event, ProvisionStep};
use tower_conductorone::testing::{FakeTenant, Fixture, JwksServer};

use self::proto::provisioning_client::ProvisioningClient;
use self::proto::provisioning_server::{Provisioning, ProvisioningServer};
use self::proto::{GrantReply, GrantRequest};

mod proto {
    #![allow(clippy::pedantic, missing_docs, unreachable_pub, reason = "generated")]
    tonic::include_proto!("provisioning.v1");
}

const EXAMPLE: &str = env!("CARGO_BIN_EXE_tonic-gateway");

/// Answers with this status, and keeps what it was asked.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<(Option<Code>, Vec<GrantRequest>)>>);

#[async_trait]
impl Provisioning for Scripted {
    async fn grant(&self, request: Request<GrantRequest>) -> Result<Response<GrantReply>, Status> {
        assert!(request.metadata().contains_key("grpc-timeout"));
        let mut script = self.0.lock().expect("no panic");
        script.1.push(request.into_inner());
        match script.0 {
            Some(code) => Err(Status::new(code, "as the test wants it")),
            None => Ok(Response::new(GrantReply {
                comment: "granted elsewhere".to_owned(),
            })),
        }
    }
}

async fn tenant() -> (FakeTenant, JwksServer) {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = tenant.serve().await.expect("a port");
    (tenant, jwks)
}

fn reply(member: &str, comment: &str) -> Value {
    json!({ "version": "v1", member: { "comment": comment } })
}

#[tokio::test]
async fn a_grpc_status_becomes_the_answer_that_fits() {
    let service = Scripted::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let grpc = Routes::new(ProvisioningServer::new(service.clone())).into_axum_router();
    tokio::spawn(async move { axum::serve(listener, grpc).await });
    let (tenant, jwks) = tenant().await;
    let settings = [("C1_JWKS_URL", &*jwks.url()), ("PROVISIONING_URL", &*url)];
    let example = Example::start(EXAMPLE, &settings).await;

    let done = json!({ "version": "v1", "complete": {} });
    let failed = reply("errored", "as the test wants it");
    let mut rows = vec![
        (None, Some(reply("complete", "granted elsewhere"))),
        (Some(Code::AlreadyExists), Some(done)),
    ];
    for code in [
        Code::InvalidArgument,
        Code::NotFound,
        Code::FailedPrecondition,
        Code::OutOfRange,
        Code::PermissionDenied,
        Code::Unimplemented,
    ] {
        rows.push((Some(code), Some(failed.clone())));
    }
    for code in [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::ResourceExhausted,
        Code::Aborted,
        Code::Cancelled,
        Code::Internal,
        Code::Unknown,
        Code::DataLoss,
        Code::Unauthenticated,
    ] {
        rows.push((Some(code), None));
    }
    let fixture = Fixture::named("provision_step/grant.full").expect("one of many");
    for (code, expected) in rows {
        service.0.lock().expect("no panic").0 = code;
        let step = tenant.delivery(fixture.event()).payload(fixture.payload());
        let answer = example.send(&step).await;
        if let Some(expected) = expected {
            assert_eq!(answer.status, 200, "{code:?}: {answer:?}");
            assert_eq!(answer.json(), expected, "{code:?}");
        } else {
            assert_eq!(answer.status, 503, "{code:?}: {answer:?}");
            assert_eq!(answer.headers["retry-after"], "5", "{code:?}");
        }
    }
    // A revocation is no grant.
    let calls = service.0.lock().expect("no panic").1.len();
    let revoke = Fixture::named("provision_step/revoke.full").expect("one of many");
    let step = tenant.delivery(revoke.event()).payload(revoke.payload());
    let answer = example.send(&step).await;
    assert_eq!(answer.json(), reply("errored", "this service only grants"));
    assert_eq!(service.0.lock().expect("no panic").1.len(), calls);

    let asked = service.0.lock().expect("no panic").1.clone();
    let first = asked.first().expect("a call");
    assert_eq!(first.idempotency_key.len(), 96);
    let step = tenant.delivery(fixture.event()).payload(fixture.payload());
    let step = step.unverified_typed::<ProvisionStep>();
    let TaskKind::Grant(grant) = step.task_view().kind() else {
        panic!("another kind")
    };
    assert_eq!(first.app_id, grant.app_id.as_str());
    assert_eq!(first.entitlement_id, grant.app_entitlement_id.as_str());
    assert_eq!(first.user_id, grant.identity_user_id.as_str());
    example.stop().await;
}

#[tokio::test]
async fn without_a_provisioning_service_conductorone_tries_again() {
    let (tenant, jwks) = tenant().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let broken = format!("http://{}", listener.local_addr().expect("an address"));
    // It hangs up on everybody.
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let settings = [
        ("C1_JWKS_URL", &*jwks.url()),
        ("PROVISIONING_URL", &*broken),
    ];
    let example = Example::start(EXAMPLE, &settings).await;
    let answer = example.send(&tenant.delivery(ProvisionStep::NAME)).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    example.stop().await;
}

#[tokio::test]
async fn grpc_on_the_same_port_is_not_touched() {
    let (tenant, jwks) = tenant().await;
    let example = Example::start(EXAMPLE, &[("C1_JWKS_URL", &jwks.url())]).await;
    let here = Endpoint::from_shared(format!("http://{}", example.address)).expect("a URL");
    let mut client = ProvisioningClient::connect(here).await.expect("it listens");
    let grant = GrantRequest {
        app_id: "github".to_owned(),
        entitlement_id: "admin".to_owned(),
        user_id: "ada".to_owned(),
        ..GrantRequest::default()
    };
    let granted = client.grant(grant).await.expect("no token is asked for");
    assert_eq!(granted.into_inner().comment, "granted admin");
    // A status is in the trailers.
    let refused = client
        .grant(GrantRequest::default())
        .await
        .expect_err("no app");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "an id is missing");

    // And the webhooks beside it are verified, and reach that service.
    let fixture = Fixture::named("provision_step/grant.full").expect("one of many");
    let step = tenant.delivery(fixture.event()).payload(fixture.payload());
    let answer = example.send(&step).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let forged = step.retried().tampered_body("{}");
    assert_eq!(example.send(&forged).await.status, 401);
    drop(client);
    example.stop().await;
}
