//! `VerifyWebhookLayer::verify`, for what is no Tower service.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use support::{DOMAIN, TEST_EVENT, builder, now, receiver};
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::{RejectionKind, Webhook};

fn request(tenant: &FakeTenant) -> Request<Full<Bytes>> {
    tenant.delivery(TEST_EVENT).issued_at(now()).request()
}

#[tokio::test]
async fn a_proven_request_comes_back_with_its_webhook_and_body() {
    let tenant = FakeTenant::new(DOMAIN);
    let sent = request(&tenant);
    let body = sent.clone().into_body().collect().await.expect("a body");
    let proven = receiver(&tenant).verify(sent).await.expect("good");
    let webhook = proven.extensions().get::<Webhook>().cloned();
    let webhook = webhook.expect("a webhook");
    assert_eq!((webhook.tenant(), webhook.event()), (DOMAIN, TEST_EVENT));
    let handed_on = proven.into_body().collect().await.expect("a body");
    assert_eq!(handed_on.to_bytes(), body.to_bytes());
}

#[tokio::test]
async fn it_shares_the_used_tokens_with_the_service() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let sent = request(&tenant);
    layer.verify(sent.clone()).await.expect("the first time");
    let refused = layer.clone().verify(sent).await.expect_err("again");
    assert_eq!(refused.kind(), RejectionKind::ReplayedToken);
    assert_eq!(refused.tenant(), Some(DOMAIN));
    assert!(refused.webhook_id().is_some());
    assert_eq!(refused.response().status(), 401);
}

#[tokio::test]
async fn what_is_proven_once_is_not_verified_again() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = builder(&tenant).build().expect("good");
    let proven = layer.verify(request(&tenant)).await.expect("good");
    let refused = layer.verify(proven).await.expect_err("twice");
    assert_eq!(refused.kind(), RejectionKind::InstalledTwice);
}
