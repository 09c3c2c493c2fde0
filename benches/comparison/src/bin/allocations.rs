//! How often and how much a receiver allocates for an accepted request.

use http::Request;
use support::bench::Bench;
use tower_conductorone_comparison::delivery::{Frames, SHAPES, tenants};
use tower_conductorone_comparison::receiver::{Receiver, at_once};
use tower_conductorone_comparison::{Visit, receivers};

/// Counts for each receiver.
struct Counts<'a> {
    bench: &'a mut Bench,
    group: String,
    request: Request<Frames>,
}

impl Visit for Counts<'_> {
    fn visit(&mut self, name: &str, receiver: impl Receiver + 'static) {
        // Not the first one, which fills caches.
        assert_eq!(at_once(receiver.answer(self.request.clone())), 200);
        let request = self.request.clone();
        let counted = allocation_counter::measure(|| {
            assert_eq!(at_once(receiver.answer(request)), 200);
        });
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let numbers = [
            ("allocations", counted.count_total as f64),
            ("allocated_bytes", counted.bytes_total as f64),
            ("peak_bytes", counted.bytes_max as f64),
        ];
        self.bench.row(&self.group, name, &numbers);
    }
}

fn main() {
    let mut bench = Bench::new("allocations");
    let timers = bench.runtime().handle().clone();
    let _timers = timers.enter();
    for (algorithm, tenant) in tenants() {
        for shape in SHAPES {
            let mut counts = Counts {
                group: format!("{}, {algorithm}", shape.name),
                request: shape.request(&tenant),
                bench: &mut bench,
            };
            receivers(&tenant, &mut counts);
        }
    }
    bench.finish();
}
