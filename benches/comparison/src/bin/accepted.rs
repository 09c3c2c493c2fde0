//! The time of an accepted request: that of the floors, and of each receiver.

use http::Request;
use support::bench::{Bench, Group};
use tower_conductorone_comparison::delivery::{Frames, SHAPES, tenants};
use tower_conductorone_comparison::floor::Floor;
use tower_conductorone_comparison::receiver::Receiver;
use tower_conductorone_comparison::{Visit, receivers};

/// Adds each receiver to a group.
struct Cases<'a> {
    group: Option<Group<'a>>,
    request: Request<Frames>,
}

impl Visit for Cases<'_> {
    fn visit(&mut self, name: &str, receiver: impl Receiver + 'static) {
        let request = self.request.clone();
        let group = self.group.take().expect("it is always put back");
        self.group = Some(group.case_async_with(
            name,
            move || request.clone(),
            async move |request| assert_eq!(receiver.answer(request).await, 200),
        ));
    }
}

fn main() {
    let mut bench = Bench::new("accepted");
    for (algorithm, tenant) in tenants() {
        for shape in SHAPES {
            let request = shape.request(&tenant);
            let floor = Floor::new(&tenant, &request);
            let group = bench
                .group(format!("{}, {algorithm}", shape.name))
                .bytes(shape.bytes)
                .case("floor", || floor.check())
                .case("floor with scan", || floor.check_and_scan());
            let mut cases = Cases {
                group: Some(group),
                request,
            };
            receivers(&tenant, &mut cases);
            let group = cases.group.expect("it is always put back");
            group.measure("floor with scan");
        }
    }
    bench.finish();
}
