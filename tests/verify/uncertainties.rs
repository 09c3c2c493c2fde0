//! Whatever ConductorOne's documentation leaves open, and whatever trouble a
//! handler has: every delivery comes to a good end behind the layer.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use support::events::{answer, document};
use support::{DOMAIN, builder, now};
use tokio::time::sleep;
use tower::{Layer, service_fn};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::simulator::{
    CallbackEndpoint, CallbackRefusal, DeliveryReport, End, Failure, Simulator, Switches,
};
use tower_conductorone::testing::{EVENTS, FakeTenant, VirtualClock};
use tower_conductorone::{VerifyWebhookLayer, Webhook};

/// What a handler does when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handler {
    /// It answers.
    Answers,
    /// It is too slow the first time.
    Hangs,
    /// It fails twice.
    Fails,
    /// It answers with nonsense the first time.
    Mumbles,
    /// It takes over, and posts its answer an hour later.
    TakesOver,
    /// It works for 31 s whoever waits, posts its answer until that is taken,
    /// and answers 202 from the second time on.
    PostsEarly,
}

const HANDLERS: [Handler; 6] = [
    Handler::Answers,
    Handler::Hangs,
    Handler::Fails,
    Handler::Mumbles,
    Handler::TakesOver,
    Handler::PostsEarly,
];

impl Handler {
    /// Handles a webhook the `call`th time.
    async fn handle(
        self,
        call: usize,
        webhook: Webhook,
        callbacks: CallbackEndpoint,
    ) -> Response<Full<Bytes>> {
        let done = answer(StatusCode::OK, document(webhook.event()));
        let accepted = answer(StatusCode::ACCEPTED, "");
        match (self, call) {
            (Self::Hangs, 0) => {
                sleep(Duration::from_secs(100)).await;
                done
            }
            (Self::Fails, 0 | 1) => answer(StatusCode::BAD_GATEWAY, ""),
            (Self::Mumbles, 0) => answer(StatusCode::OK, "done"),
            (Self::TakesOver, _) => {
                tokio::spawn(post(webhook, callbacks, Duration::from_secs(3600)));
                accepted
            }
            (Self::PostsEarly, 0) => {
                tokio::spawn(post(webhook, callbacks, Duration::from_secs(31)));
                std::future::pending().await
            }
            (Self::PostsEarly, _) => accepted,
            _ => done,
        }
    }

    /// How a delivery to it ends.
    fn expected(self, switches: Switches) -> &'static str {
        match self {
            Self::TakesOver | Self::PostsEarly => "completed by callback",
            Self::Mumbles if !switches.retry_bad_documents => "bad document",
            _ => "delivered",
        }
    }
}

fn end(report: &DeliveryReport) -> &'static str {
    match report.end() {
        End::Delivered => "delivered",
        End::CompletedByCallback => "completed by callback",
        End::Failed(Failure::Document(_)) => "bad document",
        _ => "failed",
    }
}

/// Posts the answer until it is taken.
async fn post(webhook: Webhook, callbacks: CallbackEndpoint, later: Duration) {
    let url = webhook.callback_url().expect("a URL").expose_secret();
    sleep(later).await;
    while callbacks.post(url, document(webhook.event())) != 200 {
        sleep(Duration::from_secs(60)).await;
    }
}

/// Delivers to a handler behind the layer, and says what that was called with.
async fn deliver(
    simulator: Simulator,
    tenant: FakeTenant,
    layer: VerifyWebhookLayer,
    event: &'static str,
    handler: Handler,
) -> (DeliveryReport, Vec<Webhook>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let receiver = {
        let (calls, callbacks) = (Arc::clone(&calls), simulator.callbacks());
        layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
            let webhook = request.extensions().get::<Webhook>().cloned();
            let webhook = webhook.expect("a webhook in the extensions");
            let mut calls = calls.lock().expect("no panic");
            calls.push(webhook.clone());
            let answer = handler.handle(calls.len() - 1, webhook, callbacks.clone());
            async move { Ok::<_, Infallible>(answer.await) }
        }))
    };
    let report = simulator.deliver(receiver, tenant.delivery(event)).await;
    let calls = calls.lock().expect("no panic").clone();
    (report, calls)
}

#[tokio::test(start_paused = true)]
async fn every_delivery_ends_well_under_all_switches() {
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let mut webhook_ids = HashSet::new();
    for switches in Switches::all() {
        let clock = VirtualClock::starting_at(now());
        let simulator = Simulator::new(&tenant).clock(clock).switches(switches);
        let layer = builder(&tenant).clock(clock).build().expect("good");
        let cases = EVENTS
            .iter()
            .copied()
            .flat_map(|event| HANDLERS.map(|handler| (event, handler)));
        let running: Vec<_> = cases
            .map(|(event, handler)| {
                let (simulator, tenant, layer) = (simulator.clone(), tenant.clone(), layer.clone());
                let delivery = deliver(simulator, tenant, layer, event, handler);
                (event, handler, tokio::spawn(delivery))
            })
            .collect();
        webhook_ids.clear();
        for (event, handler, running) in running {
            let (report, calls) = running.await.expect("no panic");
            let case = || format!("{event} {handler:?} {switches:?} {report:?}");
            assert_eq!(end(&report), handler.expected(switches), "{}", case());
            let early = report
                .callbacks()
                .iter()
                .any(|post| post.refusal() == Some(&CallbackRefusal::Early));
            let refused = handler == Handler::PostsEarly && switches.refuse_early_callbacks;
            assert_eq!(early, refused, "{}", case());

            // Every call was about the same thing, each with a token of its own.
            let value = |it: &Webhook| it.deserialize_payload::<Value>().expect("JSON");
            let (id, payload) = (calls[0].id(), value(&calls[0]));
            let same = calls.iter().all(|it| it.id() == id && value(it) == payload);
            assert!(same, "{}", case());
            let tokens: HashSet<_> = calls.iter().map(|it| it.claims().token_id()).collect();
            assert_eq!(tokens.len(), calls.len(), "{}", case());
            webhook_ids.insert(calls[0].id().to_owned());
        }
        let deliveries = EVENTS.len() * HANDLERS.len();
        let ids = if switches.share_webhook_ids {
            1
        } else {
            deliveries
        };
        assert_eq!(webhook_ids.len(), ids, "{switches:?}");
    }
}

#[test]
fn all_switches_are_all_combinations() {
    let all: Vec<_> = Switches::all().collect();
    assert_eq!(all.len(), 64);
    assert_eq!(all[0], Switches::default());
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one), "{one:?}");
    }
}
