//! Observing rejections, and answering them in another form.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use support::log::Log;
use support::{DOMAIN, TEST_EVENT, builder, now};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_conductorone::testing::{Delivery, FakeFetch, FakeTenant, Fault};
use tower_conductorone::{DeliverOnceLayer, Rejection, RejectionKind, Tenant, VerifyWebhookLayer};

type Sent = Request<Full<Bytes>>;

const ACKNOWLEDGED: &str = r#"{"version":"v1"}"#;

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant.delivery(TEST_EVENT).issued_at(now())
}

/// What a layer's observer was told.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Rejection>>>);

impl Seen {
    fn observer(&self) -> impl Fn(&Rejection) + Send + Sync + 'static {
        let Self(seen) = self.clone();
        move |rejection| seen.lock().expect("no panic").push(rejection.clone())
    }

    fn take(&self) -> Vec<Rejection> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

/// The status and text of the answer, and the rejection in its extensions.
async fn answer<S, B>(service: S, request: Sent) -> (u16, String, Option<Rejection>)
where
    S: Service<Sent, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Debug>,
{
    let response = service.oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    let rejection = parts.extensions.get::<Rejection>().cloned();
    (parts.status.as_u16(), body, rejection)
}

async fn acknowledge(_: Sent) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(ACKNOWLEDGED)))
}

fn in_own_form(rejection: &Rejection) -> Response<Full<Bytes>> {
    let code = rejection.kind().public_code();
    let mut response = Response::new(Full::from(format!("no: {code}")));
    *response.status_mut() = rejection.status();
    response
}

#[tokio::test]
async fn a_refusal_has_nothing_of_the_requests_head() {
    let tenant = FakeTenant::new(DOMAIN);
    let own_form = builder(&tenant).rejection_response(in_own_form);
    for (layer, fields) in [(builder(&tenant), 2), (own_form, 0)] {
        let service = layer.build().expect("good").layer(service_fn(acknowledge));
        let mut unsigned = delivery(&tenant).http_header("x-secret", "1").request();
        unsigned.headers_mut().remove("authorization");
        unsigned.extensions_mut().insert("of the request");
        let response = service.oneshot(unsigned).await.expect("infallible");
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers().len(), fields);
        assert!(response.headers().get("x-secret").is_none());
        assert_eq!(response.extensions().len(), 1);
        assert!(response.extensions().get::<Rejection>().is_some());
    }
}

#[tokio::test]
async fn every_rejection_is_observed_once_and_nothing_else() {
    let (tenant, seen) = (FakeTenant::new(DOMAIN), Seen::default());
    let layer = builder(&tenant).on_rejection(seen.observer());
    let layer = layer.build().expect("good");
    let service = layer.layer(service_fn(acknowledge));
    let good = delivery(&tenant);
    assert_eq!(answer(service.clone(), good.request()).await.0, 200);
    assert!(seen.take().is_empty());

    let (status, _, told) = answer(service.clone(), good.request()).await;
    let observed = seen.take();
    assert_eq!((status, observed.len()), (401, 1));
    assert_eq!(observed[0].kind(), RejectionKind::ReplayedToken);
    assert_eq!(observed[0].tenant(), Some(DOMAIN));
    assert_eq!(
        observed[0].webhook_id(),
        Some(good.unverified_webhook().id())
    );
    assert_eq!(told.expect("in the extensions").kind(), observed[0].kind());

    // Nobody has signed it.
    let mut unsigned = good.request();
    unsigned.headers_mut().remove("authorization");
    assert_eq!(
        layer.verify(unsigned).await.expect_err("unsigned").status(),
        401
    );
    let observed = seen.take();
    assert_eq!(observed.len(), 1);
    assert_eq!(
        (observed[0].tenant(), observed[0].webhook_id()),
        (None, None)
    );

    // Signed, and no webhook.
    let odd = delivery(&tenant).body("{}");
    assert_eq!(answer(service, odd.request()).await.0, 400);
    let observed = seen.take();
    assert_eq!(
        (observed[0].tenant(), observed[0].webhook_id()),
        (Some(DOMAIN), None)
    );
    assert_eq!(observed[0].retry_after(), None);
}

#[tokio::test(start_paused = true)]
async fn a_passing_trouble_says_how_long_to_wait() {
    let tenant = FakeTenant::new(DOMAIN);
    let fetch: FakeFetch = tenant.fetch();
    fetch.set_fault(Some(Fault::Down));
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN))
        .fetch(fetch)
        .build()
        .expect("good");
    let refused = layer.verify(delivery(&tenant).request()).await;
    let refused = refused.expect_err("no keys");
    let wait = refused.retry_after().expect("503");
    assert!(wait >= Duration::from_secs(1), "{wait:?}");
    let response = refused.response();
    let header = response.headers()["retry-after"].to_str().expect("text");
    assert_eq!(header, wait.as_secs().to_string());
}

#[tokio::test]
async fn rejections_are_answered_in_one_s_own_form() {
    let (tenant, seen) = (FakeTenant::new(DOMAIN), Seen::default());
    let layer = builder(&tenant)
        .on_rejection(seen.observer())
        .rejection_response(in_own_form);
    let service = layer.build().expect("good").layer(service_fn(acknowledge));
    let stranger = FakeTenant::new("stranger.example");
    let (status, body, told) = answer(service.clone(), delivery(&stranger).request()).await;
    assert_eq!((status, &*body), (401, "no: invalid_token"));
    assert_eq!(told.expect("a rejection").code(), "unknown_tenant");
    assert_eq!(seen.take().len(), 1);
    assert_eq!(
        answer(service, delivery(&tenant).request()).await.1,
        ACKNOWLEDGED
    );
}

#[tokio::test]
async fn an_answer_that_conductorone_would_misread_becomes_500() {
    for status in [200, 202, 204, 301, 304, 410, 101] {
        let log = Log::default();
        let _guard = log.capture(tracing::Level::INFO);
        let tenant = FakeTenant::new(DOMAIN);
        let layer = builder(&tenant).rejection_response(move |_| {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            response
        });
        let service = layer.build().expect("good").layer(service_fn(acknowledge));
        let stranger = FakeTenant::new("stranger.example");
        let (got, _, told) = answer(service, delivery(&stranger).request()).await;
        assert_eq!(got, 500, "{status}");
        let told = told.expect("a rejection");
        assert_eq!(told.kind(), RejectionKind::UnusableRejectionResponse);
        let log = log.take();
        assert!(
            log.contains("ERROR") && log.contains("unknown_tenant"),
            "{log}"
        );
        assert!(log.contains(&status.to_string()), "{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn deliver_once_has_the_same_two() {
    let (tenant, seen) = (FakeTenant::new(DOMAIN), Seen::default());
    let once = DeliverOnceLayer::builder()
        .on_rejection(seen.observer())
        .rejection_response(in_own_form)
        .build()
        .expect("good");
    let broken = service_fn(
        async |_: Sent| -> Result<Response<Full<Bytes>>, Infallible> {
            panic!("the handler's own bug")
        },
    );
    let service = builder(&tenant)
        .build()
        .expect("good")
        .layer(once.layer(broken));
    let sent = delivery(&tenant);
    let (status, body, told) = answer(service, sent.request()).await;
    assert_eq!((status, &*body), (500, "no: handler_failed"));
    let observed = seen.take();
    assert_eq!(observed.len(), 1);
    assert_eq!(observed[0].tenant(), Some(DOMAIN));
    assert_eq!(
        observed[0].webhook_id(),
        Some(sent.unverified_webhook().id())
    );
    assert_eq!(
        told.expect("a rejection").kind(),
        RejectionKind::HandlerFailed
    );

    // A handler's own answer is no rejection, whatever it says.
    let busy = service_fn(async |_: Sent| -> Result<_, Infallible> {
        let mut response = Response::new(Full::<Bytes>::from("my own words"));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        Ok(response)
    });
    let service = builder(&tenant)
        .build()
        .expect("good")
        .layer(once.layer(busy));
    let (status, body, told) = answer(service, delivery(&tenant).request()).await;
    assert_eq!((status, &*body), (502, "my own words"));
    assert!(told.is_none() && seen.take().is_empty());
}
