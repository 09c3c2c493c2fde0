//! A delivery from its first attempt to its end.

use std::error::Error;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tower_service::Service;

use super::attempt::{AttemptResult, DeliveryAttempt, attempt};
use super::instance::Instance;
use super::report::{DeliveryReport, End, Failure};
use super::requests::Requests;
use super::{Simulator, Switches};
use crate::event::Reply;
use crate::testing::Delivery;

/// ConductorOne's limit of attempts for one delivery.
const MAX_ATTEMPTS: usize = 50;

pub(super) struct Machine {
    instance: Arc<Instance>,
    requests: Requests,
    switches: Switches,
    pauses: RangeInclusive<Duration>,
    attempts: Vec<DeliveryAttempt>,
    seed: u64,
    rng: Rng,
}

impl Machine {
    pub(super) fn new(simulator: &Simulator, delivery: Delivery, seed: u64) -> Self {
        let switches = simulator.switches;
        let mut rng = Rng::with_seed(seed);
        let event = delivery.envelope()["event"].as_str().map(ToOwned::to_owned);
        let instance = Arc::new(Instance::new(
            event.unwrap_or_default(),
            simulator.callback_timeout,
            switches.refuse_early_callbacks,
        ));
        let webhook_id = simulator.webhook_id.clone();
        let requests = Requests::new(
            delivery,
            switches.share_webhook_ids.then_some(webhook_id),
            switches,
            Arc::clone(&simulator.clock),
            simulator.endpoint.clone(),
            Arc::clone(&instance),
            rng.fork(),
        );
        Self {
            instance,
            requests,
            switches,
            pauses: simulator.pauses.clone(),
            attempts: Vec::new(),
            seed,
            rng,
        }
    }

    pub(super) async fn run<S, B>(mut self, receiver: S) -> DeliveryReport
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        loop {
            match self.attempt(receiver.clone()).await {
                AttemptResult::Document(_, Ok(reply)) => {
                    return self.end(End::Delivered, Some(reply));
                }
                AttemptResult::Document(_, Err(error)) if !self.switches.retry_bad_documents => {
                    return self.end(End::Failed(Failure::Document(error)), None);
                }
                AttemptResult::Status(StatusCode::ACCEPTED) => {
                    self.instance.wait();
                    self.instance.completed_by(self.instance.deadline).await;
                    return self.end(End::Failed(Failure::TimedOut), None);
                }
                AttemptResult::Status(StatusCode::GONE) => {
                    return self.end(End::Failed(Failure::Gone), None);
                }
                _ if self.attempts.len() == MAX_ATTEMPTS => {
                    return self.end(End::Failed(Failure::Attempts), None);
                }
                _ => {}
            }
            let next = Instant::now() + self.pause();
            let deadline = self.instance.deadline;
            // An early callback may complete it during the pause.
            self.instance.completed_by(next.min(deadline)).await;
            if self.instance.is_completed() || next >= deadline {
                return self.end(End::Failed(Failure::TimedOut), None);
            }
        }
    }

    async fn attempt<S, B>(&mut self, receiver: S) -> AttemptResult
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>>,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (started, start) = (self.instance.age(), Instant::now());
        let request = self.requests.next();
        let result = attempt(receiver, request, self.instance.event()).await;
        self.attempts.push(DeliveryAttempt {
            started,
            took: start.elapsed(),
            result: result.clone(),
        });
        result
    }

    fn pause(&mut self) -> Duration {
        let millis = |pause: &Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let (shortest, longest) = (millis(self.pauses.start()), millis(self.pauses.end()));
        Duration::from_millis(self.rng.u64(shortest..=longest))
    }

    /// Ends with `end`, unless a callback has completed the delivery.
    fn end(self, end: End, document: Option<Reply>) -> DeliveryReport {
        let (end, document) = match self.instance.close() {
            Some(reply) => (End::CompletedByCallback, Some(reply)),
            None => (end, document),
        };
        DeliveryReport {
            seed: self.seed,
            attempts: self.attempts,
            end,
            took: self.instance.age(),
            document,
            instance: self.instance,
        }
    }
}
