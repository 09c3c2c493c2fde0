//! The log of what anybody can provoke: a few lines in a second, and a count of the rest.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};
use tracing::{Level, info};

use super::attempt::UNSIGNED;
use crate::rejection::Rejection;

/// How many refusals are lines of their own within each [`WINDOW`].
const LINES: u32 = 5;

const WINDOW: Duration = Duration::from_secs(1);

/// Writes refusals of unsigned requests to the log. Clones share the limit.
#[derive(Clone, Default)]
pub(crate) struct Burst(Arc<Mutex<Window>>);

#[derive(Default)]
struct Window {
    ends: Option<Instant>,
    lines: u32,
    rest: Rest,
}

/// How many were not written, by their codes.
#[derive(Default)]
struct Rest(BTreeMap<&'static str, u64>);

impl Burst {
    /// Writes the refusal, or counts it. `is_ours`: the fault is this receiver's.
    pub(crate) fn log(&self, rejection: &Rejection, is_ours: bool) {
        let is_enabled = if is_ours {
            tracing::enabled!(target: UNSIGNED, Level::WARN)
        } else {
            tracing::enabled!(target: UNSIGNED, Level::INFO)
        };
        if !is_enabled || !self.has_a_line_for(rejection.code()) {
            return;
        }
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: UNSIGNED,
                    {
                        error.type = rejection.code(),
                        http.response.status_code = rejection.status().as_u16(),
                        c1.cause = rejection.cause(),
                        c1.remedy = rejection.remedy(),
                    },
                    "webhook refused"
                )
            };
        }
        if is_ours {
            line!(warn);
        } else {
            line!(info);
        }
    }

    fn has_a_line_for(&self, code: &'static str) -> bool {
        let now = Instant::now();
        let mut window = self.window();
        let mut last = Rest::default();
        let ends = match window.ends {
            Some(ends) if now < ends => ends,
            _ => {
                last = std::mem::take(&mut window.rest);
                window.lines = 0;
                *window.ends.insert(now + WINDOW)
            }
        };
        let has_a_line = window.lines < LINES;
        if has_a_line {
            window.lines += 1;
        } else {
            if window.rest.0.is_empty()
                && let Ok(runtime) = Handle::try_current()
            {
                runtime.spawn(self.clone().log_rest_at(ends));
            }
            *window.rest.0.entry(code).or_default() += 1;
        }
        // A slow log holds up no other request.
        drop(window);
        last.log();
        has_a_line
    }

    /// Tells the rest of a window when it ends, unless a request does so before.
    async fn log_rest_at(self, ends: Instant) {
        sleep_until(ends).await;
        let rest = {
            let mut window = self.window();
            let is_open = window.ends == Some(ends);
            is_open.then(|| std::mem::take(&mut window.rest))
        };
        if let Some(rest) = rest {
            rest.log();
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rest {
    fn log(self) {
        let count: u64 = self.0.values().sum();
        if count == 0 {
            return;
        }
        let mut by_code = String::new();
        for (code, count) in &self.0 {
            let comma = if by_code.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(by_code, "{comma}{code} {count}");
        }
        info!(
            target: UNSIGNED,
            {
            c1.count = count,
            c1.by_code = by_code,
            },
            "more webhooks refused within a second"
        );
    }
}
