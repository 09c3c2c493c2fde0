//! What is logged while a test looks.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Dispatch, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{fmt, registry};

/// Records with this subscriber what the current thread does, until the guard
/// is dropped.
///
/// While `tracing` knows of one subscriber only, the thread that passes a callsite
/// first decides whether it is ever recorded: one without a subscriber would switch
/// it off for this test. So there is always a second one, which records nothing.
#[must_use]
pub fn capture(subscriber: impl Subscriber + Send + Sync) -> DefaultGuard {
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(registry()));
    LazyLock::force(&SECOND);
    set_default(subscriber)
}

/// A log in memory; clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Writes here what the current thread logs up to this level, until the guard
    /// is dropped.
    #[must_use]
    pub fn capture(&self, level: Level) -> DefaultGuard {
        let subscriber = fmt().with_ansi(false).with_max_level(level);
        capture(subscriber.with_writer(self.clone()).finish())
    }

    /// What was written since the last call.
    pub fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no panic"));
        String::from_utf8(bytes).expect("UTF-8")
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
