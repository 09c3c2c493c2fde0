//! Sends the page's deliveries.

use std::ops::Range;
use std::sync::Arc;

use serde_json::json;

use super::Ui;
use super::history::Full;
use super::order::{Order, Webhook};
use crate::End;
use crate::failure::Failure;

impl Ui {
    /// Starts to send these, and returns their numbers.
    pub(super) fn start(
        &self,
        order: Arc<Order>,
        webhooks: Vec<Webhook>,
        repeats: Option<u64>,
    ) -> Result<Range<u64>, Full> {
        let mut stop = self.stop.subscribe();
        let ids = self.history.add(&order, &webhooks, repeats)?;
        let (ui, started) = (self.clone(), ids.clone());
        tokio::spawn(async move {
            for (id, webhook) in started.zip(webhooks) {
                let permit = tokio::select! {
                    biased;
                    _ = stop.changed() => return,
                    permit = Arc::clone(&ui.running).acquire_owned() => permit,
                };
                let (ui, order, mut stop) = (ui.clone(), Arc::clone(&order), stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        biased;
                        _ = stop.changed() => {}
                        () = ui.deliver(id, &order, &webhook) => {}
                    }
                    drop(permit);
                });
            }
        });
        Ok(ids)
    }

    /// Stops all that are not finished.
    pub(super) fn stop(&self) {
        self.stop.send_replace(());
        self.history.stop();
    }

    async fn deliver(&self, id: u64, order: &Order, webhook: &Webhook) {
        let envelope = json!({
            "event": order.event,
            "webhookId": webhook.id,
            "payload": order.payload,
        });
        let history = &self.history;
        let report = order
            .sender
            .deliver(&envelope, &webhook.token, &|step| history.step(id, &step))
            .await;
        let end = match report {
            Ok(report) => report.end,
            Err(error) => Err(Failure::new(End::NoResult, error.to_string(), "")),
        };
        history.end(id, end);
    }
}
