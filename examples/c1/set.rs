//! `--set path=value`.

use serde_json::{Map, Value};

/// A value and where it goes.
#[derive(Clone)]
pub(crate) struct Set {
    path: Vec<String>,
    value: Value,
}

/// JSON, or else text.
pub(crate) fn parse(text: &str) -> Result<Set, String> {
    let (path, value) = text
        .split_once('=')
        .ok_or("write it like taskView.task.displayName=\"Grant it\"")?;
    let path: Vec<_> = path.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err("a part of the path is empty".into());
    }
    Ok(Set {
        path,
        value: serde_json::from_str(value).unwrap_or_else(|_| value.into()),
    })
}

impl Set {
    /// Puts the value there; objects on the way that do not exist are made.
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
                        format!("--set {}: {name} is no index", self.path.join("."))
                    })?;
                    items.get_mut(index).ok_or_else(|| {
                        format!("--set {}: there are {count} items", self.path.join("."))
                    })?
                }
                _ => {
                    return Err(format!(
                        "--set {}: {name} would be inside of a plain value",
                        self.path.join(".")
                    ));
                }
            };
        }
        *target = self.value.clone();
        Ok(())
    }
}
