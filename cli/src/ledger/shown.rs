//! Dead deliveries as text.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tower_conductorone::ledger::{DeadDelivery, DeliveryKey};

use crate::output::{faint, shown};

/// The part of the key that differs between deliveries of one layer and tenant.
pub(super) fn digest(key: DeliveryKey) -> String {
    key.to_string().split_off(32)
}

/// What is enough to name one.
pub(super) fn short(key: DeliveryKey) -> String {
    let mut digest = digest(key);
    digest.truncate(12);
    digest
}

/// A row for each, below a header.
pub(super) fn table(dead: &[DeadDelivery]) -> String {
    const HEADER: [&str; 7] = ["KEY", "DIED", "TENANT", "EVENT", "RUN", "REASON", "IDS"];
    let header = HEADER.map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header)
        .chain(dead.iter().map(row))
        .collect();
    let widths: [usize; 7] = std::array::from_fn(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    let lines: Vec<_> = lines
        .enumerate()
        .map(|(number, line)| if number == 0 { faint(&line) } else { line })
        .collect();
    lines.join("\n")
}

fn row(delivery: &DeadDelivery) -> [String; 7] {
    let death = &delivery.death;
    let event = death.event();
    let ids = death.ids().map(|(name, id)| shown(&format!("{name}={id}")));
    [
        short(delivery.key),
        format!("{} ago", rounded(delivery.age)),
        shown(death.tenant()),
        shown(
            event
                .strip_prefix("c1.webhooks.v1.Payload")
                .unwrap_or(event),
        ),
        delivery.run.to_string(),
        shown(death.reason()),
        ids.collect::<Vec<_>>().join(" "),
    ]
}

/// All of one, on several lines.
pub(super) fn in_full(delivery: &DeadDelivery) -> String {
    let death = &delivery.death;
    let (died, until) = moments(delivery);
    let left = if delivery.time_left.is_zero() {
        "no longer: its callback's deadline has passed".to_owned()
    } else {
        format!("until {until}, {} from now", rounded(delivery.time_left))
    };
    let then = if delivery.has_answer {
        "its answer is posted, the handler does not run again"
    } else {
        "the handler runs again"
    };
    let mut lines = vec![
        ("key", delivery.key.to_string()),
        ("tenant", death.tenant().to_owned()),
        ("event", death.event().to_owned()),
    ];
    lines.extend(death.ids().map(|(name, id)| (name, id.to_owned())));
    lines.extend([
        ("run", delivery.run.to_string()),
        ("reason", death.reason().to_owned()),
        ("died", format!("{died}, {} ago", rounded(delivery.age))),
        ("revivable", left),
        ("if revived", then.to_owned()),
    ]);
    let lines = lines.iter().map(|(name, text)| {
        let name = format!("{:19}", shown(name));
        format!("{} {}", faint(&name), shown(text))
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn json(delivery: &DeadDelivery) -> Value {
    let death = &delivery.death;
    let ids = death.ids().map(|(name, id)| (name.to_owned(), id.into()));
    let (died, until) = moments(delivery);
    json!({
        "key": delivery.key.to_string(),
        "tenant": death.tenant(),
        "event": death.event(),
        "ids": ids.collect::<Map<_, _>>(),
        "run": delivery.run,
        "reason": death.reason(),
        "hasAnswer": delivery.has_answer,
        "diedAt": died,
        "revivableUntil": until,
    })
}

/// When it died, and when it can no longer be revived, on this machine's clock.
fn moments(delivery: &DeadDelivery) -> (String, String) {
    let now = Timestamp::now();
    let died = now.saturating_sub(delivery.age).unwrap_or(now);
    let until = now.saturating_add(delivery.time_left).unwrap_or(now);
    (format!("{died:.0}"), format!("{until:.0}"))
}

fn rounded(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
