//! A metric of the `metrics` facade.

use std::collections::BTreeMap;
use std::iter::zip;
use std::sync::{PoisonError, RwLock};

use metrics::{
    Counter, Gauge, Histogram, Key, Label, Level, Metadata, SharedString, with_recorder,
};

static METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// A metric with labels that have few values.
///
/// It keeps the keys that it was reported with, since making one takes several allocations.
/// It keeps none of the recorder's handles: a recorder may drop a metric that was idle, a
/// thread may have a recorder of its own, and the application may install one later.
pub(super) struct Metric<const LABELS: usize> {
    pub(super) name: &'static str,
    labels: [&'static str; LABELS],
    keys: RwLock<BTreeMap<[SharedString; LABELS], Key>>,
}

impl<const LABELS: usize> Metric<LABELS> {
    pub(super) const fn new(name: &'static str, labels: [&'static str; LABELS]) -> Self {
        Self {
            name,
            labels,
            keys: RwLock::new(BTreeMap::new()),
        }
    }

    pub(super) fn counter(&self, values: [SharedString; LABELS]) -> Counter {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }

    pub(super) fn gauge(&self, values: [SharedString; LABELS]) -> Gauge {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }

    pub(super) fn histogram(&self, values: [SharedString; LABELS]) -> Histogram {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    fn key(&self, values: [SharedString; LABELS]) -> Key {
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(&values) {
            return key.clone();
        }
        drop(known);
        let labels =
            zip(self.labels, &values).map(|(label, value)| Label::new(label, value.clone()));
        let key = Key::from_parts(self.name, labels.collect::<Vec<_>>()).to_retained();
        let mut known = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(values).or_insert(key).clone()
    }
}
