//! The state of a payload's deserialization: the memory it may use, and its path.

use std::cell::{Cell, RefCell};

/// The bytes of memory that a byte of JSON may take, in addition to its strings.
///
/// A list of strings always fits: `"",` takes 24 bytes. ConductorOne's payloads
/// take two or three times their text. But `{},` may be a message of a thousand
/// bytes.
const FACTOR: usize = 16;

/// The bytes of memory that even a short payload may take.
const LEAST: usize = 64 << 10;

/// The memory that an allocation of a few bytes takes. It is counted where a payload
/// may consist of many of them.
pub(super) const SMALL_BLOCK: usize = 32;

#[derive(Debug, thiserror::Error)]
#[error("it needs more than {FACTOR} times the memory of its text")]
pub(super) struct TooMuch;

/// The deserialization of one payload: the memory that it may still take and, after
/// an error, the path to it.
pub(crate) struct Reading {
    left: Cell<usize>,
    /// From the innermost member outwards.
    path: RefCell<Vec<String>>,
    /// Whether the text may be invalid JSON although it was read.
    doubt: Cell<bool>,
}

impl Reading {
    /// Reads this JSON text.
    pub(super) fn of(json: &str) -> Self {
        Self {
            left: Cell::new(json.len().saturating_mul(FACTOR).max(LEAST)),
            path: RefCell::default(),
            doubt: Cell::new(false),
        }
    }

    /// Counts bytes of memory.
    pub(super) fn take(&self, bytes: usize) -> Result<(), TooMuch> {
        self.left
            .set(self.left.get().checked_sub(bytes).ok_or(TooMuch)?);
        Ok(())
    }

    /// Runs a step whose memory is given back if it fails. The error then comes with
    /// its path, and does not fail the payload.
    pub(super) fn attempt<T, E>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, (String, E)> {
        let left = self.left.get();
        work().map_err(|error| {
            self.left.set(left);
            (self.take_path(), error)
        })
    }

    /// Records that the text may be invalid JSON although it was read.
    pub(super) fn doubt(&self) {
        self.doubt.set(true);
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.get()
    }

    /// Records that the error is in the value of this member.
    pub(super) fn failed_in(&self, member: &str) {
        self.path.borrow_mut().push(format!(".{member}"));
    }

    /// Records that the error is in this item of a list.
    pub(super) fn failed_at(&self, item: usize) {
        self.path.borrow_mut().push(format!("[{item}]"));
    }

    /// The path to the error, such as `.task.policy.next[2]`.
    pub(super) fn take_path(&self) -> String {
        let mut path = self.path.take();
        path.reverse();
        path.concat()
    }
}
