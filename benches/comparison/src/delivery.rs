//! What is sent: deliveries of several sizes, with content that the events' model
//! knows, signed with each algorithm.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, header};
use http_body::{Body, Frame, SizeHint};
use serde_json::Value;
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::{Delivery, FakeTenant, Fixture};

use crate::job::DOMAIN;

const KB: usize = 1024;

/// A form of deliveries.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Its name, for people.
    pub name: &'static str,
    /// The size of the body.
    pub bytes: usize,
    frame: usize,
}

/// All forms.
pub const SHAPES: [Shape; 4] = [
    Shape::new("1 KB", KB, KB),
    Shape::new("16 KB", 16 * KB, 16 * KB),
    Shape::new("256 KB", 256 * KB, 256 * KB),
    Shape::new("256 KB in frames", 256 * KB, 16 * KB),
];

/// A tenant for each algorithm, with its name.
#[must_use]
pub fn tenants() -> [(&'static str, FakeTenant); 3] {
    [
        ("ES256", Algorithm::Es256),
        ("RS256", Algorithm::Rs256),
        ("EdDSA", Algorithm::EdDsa),
    ]
    .map(|(name, algorithm)| (name, FakeTenant::with_algorithm(DOMAIN, algorithm)))
}

impl Shape {
    const fn new(name: &'static str, bytes: usize, frame: usize) -> Self {
        Self { name, bytes, frame }
    }

    /// The request of a delivery. Its token lives for two minutes.
    ///
    /// The payload is a task with as many of the objects that belong to it as fit, and
    /// a description that fills the rest.
    #[must_use]
    pub fn request(&self, tenant: &FakeTenant) -> Request<Frames> {
        let minimal = Fixture::named("provision_step/grant.minimal").expect("a fixture");
        let full = Fixture::named("provision_step/grant.full").expect("a fixture");
        let full = full.payload();
        let objects = full["expanded"].as_array().expect("a list");

        let mut payload = minimal.payload();
        payload["taskView"]["task"]["description"] = "".into();
        let delivery = tenant.delivery(minimal.event());
        let empty = delivery.clone().payload(payload.clone()).body_bytes();
        let mut left = self.bytes - empty.len();
        let expanded = payload["expanded"].as_array_mut().expect("a list");
        for object in objects.iter().cycle() {
            let length = object.to_string().len() + ",".len();
            if length > left {
                break;
            }
            expanded.push(object.clone());
            left -= length;
        }
        let filling = "Needed for the quarterly forecast. ".chars().cycle();
        let filling: String = filling.take(left).collect();
        payload["taskView"]["task"]["description"] = Value::from(filling);

        let request = in_frames(&delivery.payload(payload), self.frame);
        assert_eq!(request.body().rest.len(), self.bytes);
        request
    }
}

/// The request of a delivery, whose body arrives in frames of that size.
#[must_use]
pub fn in_frames(delivery: &Delivery, size: usize) -> Request<Frames> {
    let rest = delivery.body_bytes();
    let length = rest.len().into();
    let mut request = delivery.request().map(|_| Frames { rest, size });
    request.headers_mut().insert(header::CONTENT_LENGTH, length);
    request
}

/// A body that arrives in frames of a size.
#[derive(Clone, Debug)]
pub struct Frames {
    rest: Bytes,
    size: usize,
}

impl Frames {
    /// What is still to come.
    #[must_use]
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let size = self.size.min(self.rest.len());
        let frame = (size > 0).then(|| Ok(Frame::data(self.rest.split_to(size))));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
