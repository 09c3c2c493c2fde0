//! A metric of the `metrics` facade.

use std::collections::BTreeMap;
use std::iter::zip;
use std::sync::{PoisonError, RwLock};

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, with_recorder};

static METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// A metric whose labels have few values.
///
/// It keeps the keys that it was reported with, for ever: making one takes several
/// allocations, and cloning one whose labels are `'static` takes none. It keeps none of the
/// recorder's handles: a recorder may drop a metric that was idle, a thread may have a
/// recorder of its own, and the application may install one later.
pub(super) struct Metric<const LABELS: usize> {
    pub(super) name: &'static str,
    labels: [&'static str; LABELS],
    keys: RwLock<BTreeMap<[&'static str; LABELS], Key>>,
}

impl<const LABELS: usize> Metric<LABELS> {
    pub(super) const fn new(name: &'static str, labels: [&'static str; LABELS]) -> Self {
        Self {
            name,
            labels,
            keys: RwLock::new(BTreeMap::new()),
        }
    }

    pub(super) fn counter(&self, values: [&str; LABELS]) -> Counter {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }

    pub(super) fn gauge(&self, values: [&str; LABELS]) -> Gauge {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }

    pub(super) fn histogram(&self, values: [&str; LABELS]) -> Histogram {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    fn key(&self, values: [&str; LABELS]) -> Key {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(&values) {
            return key.clone();
        }
        drop(keys);
        let values = values.map(|value| &*value.to_owned().leak());
        let labels = zip(self.labels, values);
        let labels = labels.map(|(label, value)| Label::from_static_parts(label, value));
        let labels = labels.collect::<Vec<_>>().leak();
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let key = Key::from_static_parts(self.name, labels);
        keys.entry(values).or_insert(key).clone()
    }
}
