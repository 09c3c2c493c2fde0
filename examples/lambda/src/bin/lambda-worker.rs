//! The function behind the queue: works, and posts the answer to the callback URL. SQS may
//! deliver a message twice, and delivers it again if this fails; the ledger knows how far
//! the work has come, so that it is done once and answered once.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use bytes::Bytes;
use lambda_example::{BoxError, Job, callbacks, log, redis};
use lambda_http::lambda_runtime::{self, LambdaEvent};
use lambda_http::{Context, service_fn};
use tower_conductorone::callback::{AttemptOutcome, CallbackClient, Progress};
use tower_conductorone::event::{Comment, ProvisionReply, Reply};
use tower_conductorone::ledger::{
    Claimed, Death, DeliveryKey, Finished, Hold, Lease, Ledger, Owner, Posted, RecordedAnswer,
    Standing, Work,
};
use tower_conductorone::redis::RedisLedger;

struct Worker {
    ledger: RedisLedger,
    callbacks: CallbackClient,
}

/// How far a job has come.
enum Next {
    Work(Lease),
    Post(Lease, RecordedAnswer, Posted),
    Nothing,
}

/// The work itself. In a later run, an earlier one was cut off: look what is done.
fn provision(job: &Job, run: u32) -> ProvisionReply {
    tracing::info!(app = job.app, run, "provisioned");
    ProvisionReply::complete(Comment::truncated("by the worker"))
}

impl Worker {
    async fn take(&self, message: &str, context: &Context) -> Result<(), BoxError> {
        let job: Job = serde_json::from_str(message)?;
        let (lease, answer, posted) = match self.next(job.delivery, context).await? {
            Next::Nothing => return Ok(()),
            Next::Post(lease, answer, posted) => (lease, answer, posted),
            Next::Work(lease) => {
                let reply = Reply::from(provision(&job, lease.run()));
                let answer = RecordedAnswer::new(200, reply.as_bytes().clone());
                match self.ledger.finish(lease, answer.clone()).await? {
                    Finished::Stored(lease) => (lease, answer, Posted::No),
                    _ => return Err("another worker took the job over".into()),
                }
            }
        };
        self.post(&job, lease, &answer, posted).await
    }

    async fn next(&self, delivery: DeliveryKey, context: &Context) -> Result<Next, BoxError> {
        // Nothing is renewed: the lease ends when Lambda stops this invocation.
        let now = UNIX_EPOCH.elapsed()?;
        let term = Duration::from_millis(context.deadline).saturating_sub(now);
        match self.ledger.claim(delivery, Owner::random(), term).await? {
            Claimed::Started(lease) => {
                // The receiver has promised it. SQS keeps what is needed to do it.
                held(self.ledger.promise(lease, Bytes::new()).await?)?;
                Ok(Next::Work(lease))
            }
            Claimed::Standing(Standing::Promised) => {
                let resumed = self.ledger.resume(delivery, Owner::random(), term).await?;
                let taken = resumed.ok_or("another worker has the job")?;
                match taken.work {
                    Work::Send { answer, posted } => Ok(Next::Post(taken.lease, answer, posted)),
                    Work::Run => {
                        let lease = self.ledger.begin(taken.lease, term).await?;
                        Ok(Next::Work(lease.ok_or("another worker has the job")?))
                    }
                }
            }
            Claimed::Standing(Standing::CalledBack | Standing::Dead(_)) => Ok(Next::Nothing),
            Claimed::Standing(_) => Err("another worker has the job".into()),
        }
    }

    /// Posts the answer once: the queue is what tries again.
    async fn post(
        &self,
        job: &Job,
        lease: Lease,
        answer: &RecordedAnswer,
        posted: Posted,
    ) -> Result<(), BoxError> {
        let reply = Reply::from_json(job.callback.event(), answer.document().clone())?;
        let mut progress = Progress::default();
        progress.uncertain = posted == Posted::Perhaps;
        let attempt = self.callbacks.attempt(&job.callback, &reply, &mut progress);
        match attempt.await {
            Ok(AttemptOutcome::Delivered(_)) => held(self.ledger.called_back(lease).await?),
            Ok(_) => {
                let posted = [Posted::No, Posted::Perhaps][usize::from(progress.uncertain)];
                let _ = self.ledger.postpone(lease, Duration::ZERO, posted).await?;
                Err("ConductorOne did not take the answer yet".into())
            }
            Err(error) => {
                tracing::error!(%error, app = job.app, "the answer is lost");
                let (tenant, event) = (job.callback.tenant(), job.callback.event());
                let death = Death::new(error.to_string()).of(tenant, event);
                held(self.ledger.bury(lease, death).await?)
            }
        }
    }
}

fn held(hold: Hold) -> Result<(), BoxError> {
    match hold {
        Hold::Held => Ok(()),
        Hold::Lost => Err("another worker took the job over".into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    log();
    let worker = Arc::new(Worker {
        ledger: RedisLedger::new(redis()?),
        callbacks: callbacks()?,
    });
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| {
        let worker = Arc::clone(&worker);
        async move {
            let mut response = SqsBatchResponse::default();
            for message in event.payload.records {
                let body = message.body.unwrap_or_default();
                if let Err(error) = worker.take(&body, &event.context).await {
                    tracing::warn!(error, "SQS keeps the message");
                    response.add_failure(message.message_id.unwrap_or_default());
                }
            }
            Ok::<_, BoxError>(response)
        }
    }))
    .await
}
