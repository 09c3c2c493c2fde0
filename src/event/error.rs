//! Why a payload is not what its type says.

use serde::Deserialize;

use crate::excerpt::for_log;

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
            path: for_log(&path.into()),
            message: for_log(&message.into()),
        }
    }

    /// Where it is, such as `payload.taskView.task.policy.next[2].approval`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Reads JSON. Only where that fails, it is read once more to find out where:
/// keeping the path takes time.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a str, path: &str) -> Result<T, PayloadError> {
    serde_json::from_str(json).map_err(|error| {
        let mut again = serde_json::Deserializer::from_str(json);
        match serde_path_to_error::deserialize::<_, T>(&mut again) {
            Ok(_) => PayloadError::new(path, error.to_string()),
            Err(error) => {
                let inner = error.path().to_string();
                let message = error.inner().to_string();
                match inner.as_str() {
                    "." | "" => PayloadError::new(path, message),
                    inner if inner.starts_with('[') => {
                        PayloadError::new(format!("{path}{inner}"), message)
                    }
                    inner => PayloadError::new(format!("{path}.{inner}"), message),
                }
            }
        }
    })
}
