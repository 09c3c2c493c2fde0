//! The error of a payload that does not match its event type.

use serde::de::{DeserializeSeed, IgnoredAny};

use super::reading::Reading;
use crate::excerpt::{for_log, one_line};

/// A payload does not match its event type. The error says where, what was expected
/// and what was found.
///
/// The webhook is genuine nevertheless, and its raw JSON is available. The text may
/// quote values of the payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct PayloadError {
    path: String,
    message: String,
}

impl PayloadError {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            // Both may quote the payload, at any length.
            path: one_line(&for_log(&path.into())).into_owned(),
            message: one_line(&for_log(&message.into())).into_owned(),
        }
    }

    /// The path to the value that does not match, such as
    /// `payload.taskView.task.policy.next[2].approval`.
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
