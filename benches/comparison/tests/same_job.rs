//! All receivers do the same job: they accept what is right, and refuse each thing
//! that is wrong.

use std::time::{Duration, SystemTime};

use http::Request;
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone_comparison::delivery::{Frames, SHAPES, in_frames, tenants};
use tower_conductorone_comparison::job::DOMAIN;
use tower_conductorone_comparison::receiver::{Receiver, at_once};
use tower_conductorone_comparison::{Visit, receivers};

type Change = fn(Delivery) -> Delivery;

struct Expect {
    case: String,
    request: Request<Frames>,
    accepted: bool,
    seen: usize,
}

impl Visit for Expect {
    fn visit(&mut self, name: &str, receiver: impl Receiver + 'static) {
        let status = at_once(receiver.answer(self.request.clone()));
        let case = &self.case;
        assert_eq!(status == 200, self.accepted, "{name}, {case}: {status}");
        self.seen += 1;
    }
}

fn expect(tenant: &FakeTenant, case: &str, request: Request<Frames>, accepted: bool) {
    let mut expect = Expect {
        case: case.to_owned(),
        request,
        accepted,
        seen: 0,
    };
    receivers(tenant, &mut expect);
    assert_eq!(expect.seen, 12);
}

fn timers() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime")
}

#[test]
fn deliveries_of_all_shapes_are_accepted() {
    let timers = timers();
    let _timers = timers.enter();
    for (algorithm, tenant) in tenants() {
        for shape in SHAPES {
            let case = format!("{}, {algorithm}", shape.name);
            expect(&tenant, &case, shape.request(&tenant), true);
        }
    }
}

#[test]
fn each_thing_that_is_wrong_is_refused() {
    let timers = timers();
    let _timers = timers.enter();
    let (ago, later) = (Duration::from_mins(5), Duration::from_secs(95));
    let now = SystemTime::now();
    let wrong: [(&str, Change); 10] = [
        ("iss", |delivery| {
            delivery.claim("iss", "other.conductor.one".into())
        }),
        ("aud", |delivery| {
            delivery.claim("aud", "other.example.com".into())
        }),
        ("c1typ", |delivery| delivery.claim("c1typ", "id".into())),
        ("htm", |delivery| delivery.claim("htm", "PUT".into())),
        ("htu", |delivery| {
            delivery.claim("htu", "https://hooks.example.com/b".into())
        }),
        ("htb_s256", |delivery| delivery.tampered_body("{}")),
        ("version", |delivery| delivery.body(r#"{"version":"v2"}"#)),
        ("no iss", |delivery| delivery.without_claim("iss")),
        ("no aud", |delivery| delivery.without_claim("aud")),
        ("no nbf", |delivery| delivery.without_claim("nbf")),
    ];
    for (_, tenant) in tenants() {
        let good = || tenant.delivery("c1.webhooks.v1.PayloadTest");
        for (case, change) in wrong {
            let request = in_frames(&change(good()), usize::MAX);
            expect(&tenant, case, request, false);
        }
        let expired = in_frames(&good().issued_at(now - ago), usize::MAX);
        expect(&tenant, "exp", expired, false);
        let early = in_frames(&good().issued_at(now + later), usize::MAX);
        expect(&tenant, "nbf", early, false);
        let forged = FakeTenant::new(DOMAIN).delivery("c1.webhooks.v1.PayloadTest");
        let forged = in_frames(&forged.header_param("kid", tenant.signing_key().into()), 99);
        expect(&tenant, "signature", forged, false);
    }
}
