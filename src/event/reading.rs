//! What is kept in mind while a payload is read.

use std::cell::{Cell, RefCell};

use serde::de::Error;

/// How many bytes of memory a byte of JSON may take, beside the texts in it.
///
/// A list of strings always fits: `"",` takes 24 bytes. What ConductorOne sends
/// takes two or three times its text. But `{},` may be a message of a thousand
/// bytes.
const FACTOR: usize = 16;

/// What a short payload may take, too.
const LEAST: usize = 64 << 10;

/// What the allocator needs for a text or JSON of a few bytes. It counts where
/// there may be many of them and little else.
pub(super) const SMALL_BLOCK: usize = 32;

/// The reading of one payload: how much memory it may still take, and, once it
/// has failed, where.
pub(crate) struct Reading {
    /// Whether it is of JSON text, which can be borrowed from.
    of_text: bool,
    left: Cell<usize>,
    /// From the inside outwards.
    path: RefCell<Vec<String>>,
    /// Whether what was read may be no JSON all the same.
    doubt: Cell<bool>,
}

impl Reading {
    /// The reading of that JSON text.
    pub(super) fn of(json: &str) -> Self {
        Self::within(json.len().saturating_mul(FACTOR).max(LEAST), true)
    }

    fn within(memory: usize, of_text: bool) -> Self {
        Self {
            of_text,
            left: Cell::new(memory),
            path: RefCell::default(),
            doubt: Cell::new(false),
        }
    }

    pub(super) fn is_of_text(&self) -> bool {
        self.of_text
    }

    /// Counts so many bytes of memory that are about to be taken.
    pub(super) fn take<E: Error>(&self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(bytes).ok_or_else(|| {
            E::custom(format_args!(
                "it needs more than {FACTOR} times the memory of its text"
            ))
        })?;
        self.left.set(left);
        Ok(())
    }

    /// Does something that gives its memory back if it fails. Then comes the
    /// path to where it failed, which is not where all of the reading does.
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

    /// Says that what was read may be no JSON all the same.
    pub(super) fn doubt(&self) {
        self.doubt.set(true);
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.get()
    }

    /// Says that what has just failed is the value of that member.
    pub(super) fn failed_in(&self, member: &str) {
        self.path.borrow_mut().push(format!(".{member}"));
    }

    /// Says that what has just failed is that item of a list.
    pub(super) fn failed_at(&self, item: usize) {
        self.path.borrow_mut().push(format!("[{item}]"));
    }

    /// Where reading has failed, such as `.task.policy.next[2]`.
    pub(super) fn take_path(&self) -> String {
        let mut path = self.path.take();
        path.reverse();
        path.concat()
    }
}

/// The reading of a message whose text nobody has seen: it may take what one of
/// two MiB may.
impl Default for Reading {
    fn default() -> Self {
        Self::within(FACTOR << 21, false)
    }
}
