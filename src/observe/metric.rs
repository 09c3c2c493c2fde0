//! A metric of the `metrics` facade.

use std::cmp::Ordering;
use std::iter::zip;
use std::sync::OnceLock;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, with_recorder};

static METADATA: Metadata<'_> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// A metric whose labels have few values, none of which a sender can choose.
///
/// It never drops a key that it was reported with: making one takes several allocations,
/// and cloning one whose labels are `'static` takes none. It keeps none of the
/// recorder's handles: a recorder may drop a metric that was idle, a thread may have a
/// recorder of its own, and the application may install one later.
pub(super) struct Metric<const LABELS: usize> {
    pub(super) name: &'static str,
    labels: [&'static str; LABELS],
    keys: Branch<LABELS>,
}

impl<const LABELS: usize> Metric<LABELS> {
    pub(super) const fn new(name: &'static str, labels: [&'static str; LABELS]) -> Self {
        Self {
            name,
            labels,
            keys: Branch::new(),
        }
    }

    pub(super) fn counter(&self, values: [&str; LABELS]) -> Counter {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_counter(key, &METADATA))
    }

    pub(super) fn gauge(&self, values: [&str; LABELS]) -> Gauge {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_gauge(key, &METADATA))
    }

    pub(super) fn histogram(&self, values: [&str; LABELS]) -> Histogram {
        let key = self.key(values);
        with_recorder(|recorder| recorder.register_histogram(key, &METADATA))
    }

    fn key(&self, values: [&str; LABELS]) -> &Key {
        let mut branch = &self.keys;
        loop {
            let node = branch.get_or_init(|| Box::new(self.node(values)));
            branch = match values.cmp(&node.values) {
                Ordering::Less => &node.less,
                Ordering::Equal => return &node.key,
                Ordering::Greater => &node.greater,
            };
        }
    }

    fn node(&self, values: [&str; LABELS]) -> Node<LABELS> {
        let values = values.map(|value| &*value.to_owned().leak());
        let labels = zip(self.labels, values);
        let labels = labels.map(|(label, value)| Label::from_static_parts(label, value));
        Node {
            values,
            key: Key::from_static_parts(self.name, labels.collect::<Vec<_>>().leak()),
            less: Branch::new(),
            greater: Branch::new(),
        }
    }
}

/// The key of a metric with these values, in a tree that only grows: so it is read without
/// a lock.
struct Node<const LABELS: usize> {
    values: [&'static str; LABELS],
    key: Key,
    less: Branch<LABELS>,
    greater: Branch<LABELS>,
}

type Branch<const LABELS: usize> = OnceLock<Box<Node<LABELS>>>;
