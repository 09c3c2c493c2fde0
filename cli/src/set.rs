//! `--set path=value`.

use serde_json::{Map, Value};

/// A value and its path.
#[derive(Clone)]
pub(crate) struct Set {
    path: Vec<String>,
    value: Value,
}

/// Parses `PATH=VALUE`; a value that is not JSON is text.
pub(crate) fn parse(text: &str) -> Result<Set, String> {
    let (path, value) = text
        .split_once('=')
        .ok_or("not PATH=VALUE, such as taskView.task.displayName=\"Grant it\"")?;
    let path: Vec<_> = path.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err("the path has an empty part".into());
    }
    Ok(Set {
        path,
        value: serde_json::from_str(value).unwrap_or_else(|_| value.into()),
    })
}

impl Set {
    /// Sets the value, and creates missing objects on its path.
    pub(crate) fn apply(&self, mut target: &mut Value) -> Result<(), String> {
        for name in &self.path {
            if target.is_null() {
                *target = Value::Object(Map::new());
            }
            target = match target {
                Value::Object(members) => members.entry(name.as_str()).or_insert(Value::Null),
                Value::Array(items) => {
                    let count = items.len();
                    let index: usize = name.parse().map_err(|_| {
                        format!("--set {}: {name} is not an index", self.path.join("."))
                    })?;
                    items.get_mut(index).ok_or_else(|| {
                        format!("--set {}: there are {count} items", self.path.join("."))
                    })?
                }
                _ => {
                    return Err(format!(
                        "--set {}: {name} is inside a plain value",
                        self.path.join(".")
                    ));
                }
            };
        }
        *target = self.value.clone();
        Ok(())
    }
}
