//! Why a payload is not what its type says.

use serde::de::{DeserializeSeed, IgnoredAny};

use super::reading::Reading;
use crate::excerpt::{for_log, one_line};

/// A payload that is not of its event's type: says where, what was expected and
/// what came.
///
/// The webhook is genuine all the same, and its raw JSON is at hand. What was
/// expected comes with what was found, so the text may hold values of the
/// payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct PayloadError {
    path: String,
    message: String,
}

impl PayloadError {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            // Both may hold what came, of any length.
            path: one_line(&for_log(&path.into())),
            message: one_line(&for_log(&message.into())),
        }
    }

    /// Where it is, such as `payload.taskView.task.policy.next[2].approval`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Reads all of the JSON.
pub(super) fn read<'a, S: DeserializeSeed<'a>>(
    seed: S,
    json: &'a str,
    reading: &Reading,
) -> Result<S::Value, PayloadError> {
    let read = whole(seed, json).and_then(|value| {
        if reading.is_in_doubt() {
            serde_json::from_str::<IgnoredAny>(json)?;
        }
        Ok(value)
    });
    read.map_err(|error| {
        PayloadError::new(format!("payload{}", reading.take_path()), error.to_string())
    })
}

pub(super) fn whole<'a, S: DeserializeSeed<'a>>(
    seed: S,
    json: &'a str,
) -> Result<S::Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}
