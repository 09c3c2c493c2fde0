//! The text of a record's state.

use serde::{Deserialize, Serialize};

use crate::ledger::Posted;
use crate::ledger::dead::About;

/// The version of the format that this release writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

/// The members, in the order in which they are written: [`Guess`](super::Guess) compares
/// texts.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    pub(super) version: u32,
    pub(super) stage: StageName,
    pub(super) owner: String,
    pub(super) run: u32,
    pub(super) attempt: u32,
    pub(super) held: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) posted: Option<PostedName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revived_after: Option<u32>,
    /// Not the deadline itself: a [`Guess`](super::Guess) does not know the store's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outlives: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deadline: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) about: Option<About>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StageName {
    Running,
    Promised,
    Answered,
    Stored,
    CalledBack,
    Dead,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PostedName {
    No,
    Perhaps,
}

/// Why a record cannot be read.
pub(super) enum Unread {
    Newer,
    Spoilt,
}

impl State {
    pub(super) fn parse(text: &str) -> Result<Self, Unread> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if let Ok(state @ Self { version: 1, .. }) = serde_json::from_str(text) {
            return Ok(state);
        }
        // Of a newer format, only the version can be interpreted.
        match serde_json::from_str(text) {
            Ok(Version { version }) if version > VERSION => Err(Unread::Newer),
            _ => Err(Unread::Spoilt),
        }
    }

    pub(super) fn text(&self) -> String {
        // Cannot fail: the members are text, numbers and booleans.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Posted> for PostedName {
    fn from(posted: Posted) -> Self {
        match posted {
            Posted::No => Self::No,
            Posted::Perhaps => Self::Perhaps,
        }
    }
}

impl From<PostedName> for Posted {
    fn from(posted: PostedName) -> Self {
        match posted {
            PostedName::No => Self::No,
            PostedName::Perhaps => Self::Perhaps,
        }
    }
}
