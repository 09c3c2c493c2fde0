//! What the page shows, as JSON.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::delivery::{Attempt, Callback, Delivery, State, Text};
use super::history::{History, Kept, Notice};

/// The most deliveries on a page.
const ROWS: usize = 100;

/// What the page asks for.
pub(super) struct Wanted {
    /// Which deliveries: `all`, `running`, `delivered` or `failed`.
    pub(super) filter: String,
    /// From 0, the newest deliveries.
    pub(super) page: usize,
    /// The delivery to show in detail; 0 for none.
    pub(super) selected: u64,
    /// The change up to which the page has it.
    pub(super) seen: u64,
}

impl History {
    pub(super) fn view(&self, wanted: &Wanted) -> Value {
        let kept = self.kept();
        let mut counts = [0_usize; State::ALL.len()];
        for delivery in kept.deliveries.values() {
            if let Some(count) = counts.get_mut(delivery.state as usize) {
                *count += 1;
            }
        }
        let matching: Vec<_> = kept
            .deliveries
            .iter()
            .rev()
            .filter(|(_, delivery)| is_wanted(delivery.state, &wanted.filter))
            .collect();
        let rows: Vec<_> = matching
            .iter()
            .skip(wanted.page.saturating_mul(ROWS))
            .take(ROWS)
            .map(|(id, delivery)| row(**id, delivery))
            .collect();
        let count = State::ALL
            .iter()
            .zip(counts)
            .map(|(state, count)| (state.name().to_owned(), count.into()))
            .collect();
        json!({
            "changes": kept.changes,
            "counts": Value::Object(count),
            "left": kept.left,
            "pages": matching.len().div_ceil(ROWS).max(1),
            "page": wanted.page,
            "rows": rows,
            "notices": kept.notices.iter().map(notice).collect::<Vec<_>>(),
            "detail": detail(&kept, wanted),
            "selected": kept.deliveries.contains_key(&wanted.selected),
        })
    }
}

fn is_wanted(state: State, filter: &str) -> bool {
    match filter {
        "running" => !state.is_finished(),
        "delivered" => state == State::Delivered,
        "failed" => state.is_finished() && state != State::Delivered,
        _ => true,
    }
}

fn row(id: u64, delivery: &Delivery) -> Value {
    let last = delivery
        .attempts
        .iter()
        .rev()
        .find_map(|attempt| attempt.answered.as_ref());
    json!({
        "id": id,
        "event": delivery.order.event,
        "webhookId": delivery.webhook.id,
        "repeats": delivery.repeats,
        "attempts": delivery.attempts.len(),
        "state": delivery.state.name(),
        "status": last.map(|last| match &last.status {
            Ok(status) => status.as_str().to_owned(),
            Err(_) => "none".to_owned(),
        }),
        "took": delivery.took.map(milliseconds),
    })
}

fn detail(kept: &Kept, wanted: &Wanted) -> Option<Value> {
    let delivery = kept
        .deliveries
        .get(&wanted.selected)
        .filter(|delivery| delivery.changed > wanted.seen || wanted.seen > kept.changes)?;
    let mut detail = row(wanted.selected, delivery);
    detail["changed"] = delivery.changed.into();
    detail["to"] = delivery.order.sender.to.to_string().into();
    detail["target"] = (&*delivery.order.sender.target).into();
    detail["begun"] = delivery.begun.map(|(begun, _)| since_1970(begun)).into();
    detail["tries"] = delivery.attempts.iter().map(attempt).collect();
    detail["callbacks"] = delivery.callbacks.iter().map(callback).collect();
    match &delivery.end {
        Some(Ok(document)) => detail["document"] = text(document),
        Some(Err(failure)) => {
            detail["failure"] = json!({
                "code": failure.code,
                "why": failure.why,
                "remedy": failure.remedy,
            });
        }
        None => {}
    }
    Some(detail)
}

fn attempt(attempt: &Attempt) -> Value {
    let answered = attempt.answered.as_ref();
    json!({
        "at": milliseconds(attempt.at),
        "took": answered.map(|answered| milliseconds(answered.took)),
        "status": answered.map(|answered| match &answered.status {
            Ok(status) => status.to_string(),
            Err(_) => "no answer".to_owned(),
        }),
        "trouble": answered.and_then(|answered| answered.status.as_ref().err()),
        "text": answered.map(|answered| text(&answered.text)),
        "pause": answered.and_then(|answered| answered.pause).map(milliseconds),
    })
}

fn callback(callback: &Callback) -> Value {
    json!({
        "at": milliseconds(callback.at),
        "text": text(&callback.document),
        "refused": callback.refused,
    })
}

fn notice(notice: &Notice) -> Value {
    json!({
        "at": since_1970(notice.at),
        "what": notice.what,
        "event": notice.event,
        "why": notice.why,
        "delivery": notice.delivery,
    })
}

fn text(text: &Text) -> Value {
    json!({ "text": text.text, "bytes": text.whole })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn since_1970(time: SystemTime) -> u64 {
    milliseconds(
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}
