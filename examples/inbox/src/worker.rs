//! Does the jobs.

use std::time::Duration;

use apalis::layers::retry::HasherRng;
use apalis::layers::retry::backoff::{ExponentialBackoffMaker, MakeBackoff};
use apalis::prelude::{
    AbortError, Attempt as Run, BackendExt, BoxDynError, Data, RetryPolicy, WorkerBuilder,
    WorkerBuilderExt, WorkerError,
};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tower_conductorone::callback::{AttemptOutcome, Callback, CallbackClient, Progress};
use tower_conductorone::event::{
    Acknowledgement, ApprovalReply, Comment, Payload, ProvisionReply, Reply, WorkflowReply,
};
use tracing::{error, info, warn};

use crate::job::{Job, Todo};
use crate::store::Store;
use crate::{BoxError, stopped};

/// So many jobs are done at a time.
const CONCURRENCY: usize = 8;

/// So often a job is run that fails; then it is left for a person to look at.
pub(crate) const RUNS: usize = 25;

/// How often the database is asked for jobs.
const POLL: Duration = Duration::from_millis(100);

/// For how long a stop waits for what is being done. Work that is not finished then,
/// the next process repeats.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// How long after the work its reply is sent: by then the 202 has been written.
const SEND_AFTER: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) store: Store,
    pub(crate) callbacks: CallbackClient,
    /// How long the work takes.
    pub(crate) work: Duration,
}

impl Worker {
    /// Does jobs until told to stop. A worker that fails, because of the
    /// database or a panic, is followed by another.
    pub(crate) async fn run(self, stopping: watch::Receiver<bool>) {
        loop {
            let mut worker = tokio::spawn(self.clone().work_until(stopping.clone()));
            let ended = tokio::select! {
                ended = &mut worker => ended,
                () = stopped(stopping.clone()) => {
                    if timeout(GRACE, &mut worker).await.is_err() {
                        worker.abort();
                    }
                    return;
                }
            };
            match ended {
                Ok(Ok(())) => warn!("the worker has ended"),
                Ok(Err(error)) => error!(%error, "the worker has failed"),
                Err(error) => error!(%error, "the worker has failed"),
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn work_until(self, stopping: watch::Receiver<bool>) -> Result<(), BoxError> {
        // Each has its own name: the engine tells by it who is still alive.
        let name = format!("inbox-{:016x}", fastrand::u64(..));
        let (shortest, longest) = (Duration::from_secs(1), Duration::from_mins(1));
        let backoff =
            ExponentialBackoffMaker::new(shortest, longest, 0.5, HasherRng::new())?.make_backoff();
        WorkerBuilder::new(name)
            .backend(self.store.backend().poll_with_interval(POLL))
            .concurrency(CONCURRENCY)
            .retry(RetryPolicy::retries(RUNS - 1).with_backoff(backoff))
            .data(self)
            .build(perform)
            .run_until(async {
                stopped(stopping).await;
                Ok::<_, WorkerError>(())
            })
            .await?;
        Ok(())
    }

    /// The work: what a receiver of yours does in place of this.
    async fn work(&self, callback: &Callback, payload: &str) -> Result<Reply, BoxError> {
        let payload = Payload::from_json(callback.event(), payload.as_bytes())?;
        sleep(self.work).await;
        let comment = Comment::truncated(format!(
            "done by the example inbox, {}",
            callback.webhook_id()
        ));
        Ok(match payload {
            Payload::ProvisionStep(_) => ProvisionReply::complete(comment).into(),
            Payload::PolicyApprovalStep(_) => ApprovalReply::approve(comment).into(),
            Payload::WorkflowStep(_) => {
                WorkflowReply::context(&json!({ "comment": comment.as_str() }))?.into()
            }
            _ => Acknowledgement::new().into(),
        })
    }
}

/// Does a job, again if an earlier run of it came to no end.
async fn perform(job: Job, run: Run, worker: Data<Worker>) -> Result<(), BoxDynError> {
    match &job.todo {
        Todo::Work { payload } => {
            let webhook_id = job.callback.webhook_id();
            info!(webhook_id, run = run.current(), "the work begins");
            let reply = worker.work(&job.callback, payload).await?;
            info!(webhook_id, "the work is done");
            let send = job.then(&reply, Progress::default());
            worker.store.put(&send, SEND_AFTER).await
        }
        Todo::Send { reply, progress } => {
            let mut progress = *progress;
            progress.uncertain |= run.current() > 1;
            let callbacks = &worker.callbacks;
            let reply = Reply::from_json(job.callback.event(), reply.clone())?;
            let attempt = callbacks.attempt(&job.callback, &reply, &mut progress);
            let pause = match attempt.await {
                Ok(AttemptOutcome::Retry { after, .. }) => after,
                Ok(_) => return Ok(()),
                // The client has logged it; the engine keeps it, and stops here.
                Err(error) => return Err(AbortError::new(error).into()),
            };
            let again = job.then(&reply, progress);
            worker.store.put(&again, pause).await
        }
    }
}
