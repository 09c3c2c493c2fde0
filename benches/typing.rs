//! What it costs to type a payload, as a part of what it costs to parse it to a
//! `serde_json::Value`.
//!
//! ```text
//! cargo bench --bench typing
//! ```
//!
//! The two take turns, and the smallest time of each counts: on a busy machine
//! the ratio holds where the times do not.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tower_conductorone::event::Payload;
use tower_conductorone::testing::Fixture;

const ROUNDS: u32 = 300;

fn time<T>(work: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    let made = black_box(work());
    let taken = start.elapsed();
    drop(made);
    taken
}

fn main() {
    println!(
        "{:<36} {:>7} {:>10} {:>10} {:>6}",
        "payload", "bytes", "typed", "Value", "ratio"
    );
    let full = Fixture::ALL.iter().filter(|fixture| {
        fixture.name().starts_with("provision_step/")
            && fixture.name().split('.').nth(1) == Some("full")
    });
    for fixture in full {
        // As on the wire, without the white space that is for people.
        let json = Bytes::from(fixture.payload().to_string());
        let (mut typing, mut parsing) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            typing = typing.min(time(|| {
                Payload::from_json(fixture.event(), &json).expect("typed")
            }));
            parsing = parsing.min(time(|| {
                serde_json::from_slice::<Value>(&json).expect("JSON")
            }));
        }
        println!(
            "{:<36} {:>7} {:>10.1?} {:>10.1?} {:>6.2}",
            fixture.name(),
            json.len(),
            typing,
            parsing,
            typing.as_secs_f64() / parsing.as_secs_f64(),
        );
    }
}
