//! Finds the objects and members of a JSON text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use memchr::memchr2;

use super::{Canonical, Member, Object};

/// The deepest nesting that is sorted.
const MAX_DEPTH: usize = 128;

/// What is known of the text so far.
pub(super) struct Scan<'a> {
    json: &'a [u8],
    /// The text so far, once it differs from `json`.
    copy: Vec<u8>,
    /// How much of `json` is in `copy`, or left out.
    copied: usize,
    /// The last string in the text.
    string: Range<usize>,
    /// The open arrays and objects, outermost first.
    open: Vec<Open>,
    /// The members so far of all open objects.
    members: Vec<Named>,
    objects: Vec<Object>,
    sorted: Vec<Member>,
}

/// A member with what it is sorted by.
#[derive(Clone, Copy)]
struct Named {
    member: Member,
    /// The end of its name, including the quotation marks.
    name: usize,
    /// The first bytes of its name, in which most names differ.
    prefix: u64,
}

enum Open {
    Array,
    Object {
        index: usize,
        /// How many of the members belong to the enclosing objects.
        outer: usize,
    },
}

impl<'a> Scan<'a> {
    pub(super) fn new(json: &'a [u8]) -> Self {
        Self {
            json,
            copy: Vec::new(),
            copied: 0,
            string: 0..0,
            open: Vec::with_capacity(16),
            members: Vec::with_capacity(24),
            objects: Vec::with_capacity(16),
            sorted: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Option<Canonical<'a>> {
        let mut at = 0;
        while let Some(&byte) = self.json.get(at) {
            let start = at;
            at += 1;
            match byte {
                b'"' => {
                    let (end, has_escapes) = end_of_string(self.json, at);
                    at = end;
                    self.string(start, end, has_escapes);
                    if self.json.get(at) == Some(&b':') {
                        at += 1;
                        self.name();
                    }
                }
                b':' => self.name(),
                b',' => self.end_member(start),
                b'{' | b'[' if self.open.len() == MAX_DEPTH => return None,
                b'[' => self.open.push(Open::Array),
                b'{' => self.begin_object(start),
                b']' => {
                    self.open.pop();
                }
                b'}' => self.end_object(start),
                b' ' | b'\t' | b'\n' | b'\r' => {
                    self.copy_until(start);
                    self.copied = at;
                }
                _ => {
                    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.');
                    while self.json.get(at).is_some_and(is_part) {
                        at += 1;
                    }
                }
            }
        }
        let text = if self.copied == 0 {
            Cow::Borrowed(self.json)
        } else {
            self.copy_until(self.json.len());
            Cow::Owned(self.copy)
        };
        Some(Canonical {
            text,
            objects: self.objects,
            sorted: self.sorted,
        })
    }

    /// Copies the text up to this position of `json`.
    fn copy_until(&mut self, at: usize) {
        if self.copied == 0 {
            self.copy.reserve(self.json.len());
        }
        let rest = self.json.get(self.copied..at).unwrap_or_default();
        self.copy.extend_from_slice(rest);
        self.copied = at;
    }

    /// Where a position of `json` is in the text.
    fn in_text(&self, at: usize) -> usize {
        self.copy.len() + at - self.copied
    }

    fn string(&mut self, start: usize, end: usize, has_escapes: bool) {
        let written = self.in_text(start);
        if has_escapes {
            self.copy_until(start);
            let string = self.json.get(start..end).unwrap_or_default();
            if let Ok(string) = serde_json::from_slice::<String>(string)
                && serde_json::to_writer(&mut self.copy, &string).is_ok()
            {
                self.copied = end;
            } else {
                // Half of a surrogate pair, which a `String` cannot hold.
                self.copy.truncate(written);
            }
        }
        self.string = written..self.in_text(end);
    }

    /// A colon: the last string is a member's name.
    fn name(&mut self) {
        let Range { start, end } = self.string;
        let rest = match start.checked_sub(self.copy.len()) {
            Some(not_copied) => self.json.get(self.copied + not_copied + 1..),
            None => self.copy.get(start + 1..),
        };
        self.members.push(Named {
            member: Member {
                start,
                end,
                object: self.objects.len(),
            },
            name: end,
            prefix: prefix(rest.unwrap_or_default(), end.saturating_sub(start + 1)),
        });
    }

    fn begin_object(&mut self, at: usize) {
        let start = self.in_text(at);
        self.open.push(Open::Object {
            index: self.objects.len(),
            outer: self.members.len(),
        });
        self.objects.push(Object {
            start,
            end: start,
            sorted: 0..0,
            next: 0,
        });
    }

    fn end_member(&mut self, at: usize) {
        let end = self.in_text(at);
        if let Some(Open::Object { .. }) = self.open.last()
            && let Some(named) = self.members.last_mut()
        {
            named.member.end = end;
        }
    }

    fn end_object(&mut self, at: usize) {
        self.end_member(at);
        let Some(Open::Object { index, outer }) = self.open.pop() else {
            return;
        };
        let sorted = self.sort(at, outer);
        self.members.truncate(outer);
        let (end, next) = (self.in_text(at + 1), self.objects.len());
        if let Some(object) = self.objects.get_mut(index) {
            object.end = end;
            object.sorted = sorted;
            object.next = next;
        }
    }

    /// Sorts the members of the object that ends here. Members with the same name keep
    /// their order.
    fn sort(&mut self, at: usize, outer: usize) -> Range<usize> {
        let text = if self.copied == 0 {
            self.json
        } else {
            self.copy_until(at);
            &self.copy
        };
        let members = self.members.get_mut(outer..).unwrap_or_default();
        let by_name = |one: &Named, other: &Named| {
            let name = |named: &Named| text.get(named.member.start..named.name);
            let prefixes = one.prefix.cmp(&other.prefix);
            prefixes.then_with(|| name(one).cmp(&name(other)))
        };
        if members.is_sorted_by(|one, other| by_name(one, other) != Ordering::Greater) {
            return 0..0;
        }
        members.sort_by(by_name);
        let first = self.sorted.len();
        self.sorted.extend(members.iter().map(|named| named.member));
        first..self.sorted.len()
    }
}

/// The first eight bytes of a name, as a number with the same order. `text` begins with
/// the name.
fn prefix(text: &[u8], length: usize) -> u64 {
    let first = text.first_chunk().copied().unwrap_or_else(|| {
        let mut first = [0; 8];
        for (to, byte) in first.iter_mut().zip(text) {
            *to = *byte;
        }
        first
    });
    let behind = 8_usize.saturating_sub(length);
    let mask = u64::MAX.checked_shl(u32::try_from(8 * behind).unwrap_or(0));
    u64::from_be_bytes(first) & mask.unwrap_or(0)
}

/// The end of the string whose contents start here, and whether it contains escapes.
fn end_of_string(json: &[u8], start: usize) -> (usize, bool) {
    let (mut end, mut has_escapes) = (start, false);
    while let Some(rest) = json.get(end..)
        && let Some(at) = memchr2(b'"', b'\\', rest)
    {
        end += at + 1;
        if rest.get(at) == Some(&b'"') {
            return (end, has_escapes);
        }
        // Skip the escaped character.
        end += 1;
        has_escapes = true;
    }
    (json.len(), has_escapes)
}
