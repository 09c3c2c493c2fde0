//! Pointers of a task view: the part of JSONPath (RFC 9535) that can lead to an
//! object of the task.
//!
//! The objects are two levels below the root, in the list `expanded`, and each segment
//! leads one level down. So a pointer to them has two segments of names, indexes, slices
//! and `*`. The pointer and the payload are untrusted: the work is bounded, and no value
//! is parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::Chars;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Name;

/// The most selectors of a pointer, the most values that it is matched against, and
/// the most objects that it may lead to.
pub(super) const LIMIT: usize = 10_000;

/// The member with the list of objects.
const OBJECTS: &str = "expanded";

/// A pointer cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PointerError {
    #[error("it is not `$` with names, indexes, slices and `*` (RFC 9535)")]
    Syntax,
    #[error("it leads to a value outside the list of objects")]
    Elsewhere,
    #[error("it takes more than {LIMIT} steps")]
    TooLong,
}

/// The indexes in the list of objects that the pointer leads to, in the pointer's
/// order, with repetitions. `objects` is the length of the list.
///
/// The payload must be a JSON object.
pub(super) fn follow(
    pointer: &str,
    payload: &[u8],
    objects: usize,
) -> Result<Vec<usize>, PointerError> {
    let (members, items) = parse(pointer)?;
    let is_of_list = |selector: &Selector| match selector {
        Selector::Name(name) => name == OBJECTS,
        Selector::All => true,
        Selector::Index(_) | Selector::Slice { .. } => false,
    };
    // The usual pointer names the list alone.
    let only_list =
        |selector: &Selector| matches!(selector, Selector::Name(name) if name == OBJECTS);
    if !members.iter().all(only_list) && leads_elsewhere(&members, &items, payload)? {
        return Err(PointerError::Elsewhere);
    }
    let mut found = Vec::new();
    for _ in members.iter().filter(|selector| is_of_list(selector)) {
        for selector in &items {
            found.extend(selector.places(objects).take(LIMIT + 1));
            if found.len() > LIMIT {
                return Err(PointerError::TooLong);
            }
        }
        if found.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// Whether the pointer leads to a value in a member of the payload other than the list
/// of objects.
fn leads_elsewhere(
    members: &[Selector],
    items: &[Selector],
    payload: &[u8],
) -> Result<bool, PointerError> {
    let (names, all) = names(members);
    let wanted = |name: &[u8]| name != OBJECTS.as_bytes() && (all || names.contains(name));
    let mut steps = LIMIT;
    for (name, value) in read(payload, Members)? {
        if !wanted(&name) {
            continue;
        }
        steps = steps
            .checked_sub(items.len())
            .ok_or(PointerError::TooLong)?;
        let found = match value.get().as_bytes().first() {
            Some(b'[') => {
                let length = read(value.get().as_bytes(), Length)?;
                items
                    .iter()
                    .any(|item| item.places(length).next().is_some())
            }
            Some(b'{') => {
                let (names, all) = self::names(items);
                let mut members = read(value.get().as_bytes(), Members)?.into_keys();
                members.any(|name| all || names.contains(&*name))
            }
            _ => false,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The names among the selectors, and whether `*` is one of them.
fn names(selectors: &[Selector]) -> (BTreeSet<&[u8]>, bool) {
    let names = selectors.iter().filter_map(|selector| match selector {
        Selector::Name(name) => Some(name.as_bytes()),
        _ => None,
    });
    let all = selectors.iter().any(|s| matches!(s, Selector::All));
    (names.collect(), all)
}

fn read<'a, V: Visitor<'a>>(json: &'a [u8], visitor: V) -> Result<V::Value, PointerError> {
    serde_json::Deserializer::from_slice(json)
        .deserialize_any(visitor)
        .map_err(|_| PointerError::TooLong)
}

/// Reads the members of an object, at most [`LIMIT`].
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = BTreeMap<Vec<u8>, &'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        for _ in 0..LIMIT {
            let Some(name) = map.next_key::<Name<'_>>()? else {
                return Ok(members);
            };
            members.insert(name.into_bytes().into_owned(), map.next_value()?);
        }
        Err(A::Error::custom("too many members"))
    }
}

/// Counts the items of a list, up to [`LIMIT`].
struct Length;

impl<'de> Visitor<'de> for Length {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<usize, A::Error> {
        for length in 0..LIMIT {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(length);
            }
        }
        Err(A::Error::custom("too many items"))
    }
}

#[derive(Debug, PartialEq)]
enum Selector {
    Name(String),
    All,
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
}

impl Selector {
    /// The indexes that it selects in a list of this length (RFC 9535 §2.3.2 to 2.3.4).
    fn places(&self, length: usize) -> impl Iterator<Item = usize> + use<> {
        // Backwards from the upper bound, or forwards from the lower.
        let (lower, upper, step) = self.bounds(i64::try_from(length).unwrap_or(i64::MAX));
        let first = if step < 0 { upper } else { lower };
        let inside = move |place: &i64| (lower..=upper).contains(place);
        std::iter::successors(Some(first).filter(inside), move |place| {
            place.checked_add(step).filter(inside)
        })
        .filter_map(|place| usize::try_from(place).ok())
    }

    /// The first and the last index that it may select, and the step between two
    /// selected ones.
    fn bounds(&self, length: i64) -> (i64, i64, i64) {
        const NOTHING: (i64, i64, i64) = (0, -1, 1);

        let from_start = |place: i64| if place < 0 { place + length } else { place };
        match *self {
            Self::All => (0, length - 1, 1),
            Self::Index(index) => match from_start(index) {
                place if (0..length).contains(&place) => (place, place, 1),
                _ => NOTHING,
            },
            Self::Name(_) | Self::Slice { step: 0, .. } => NOTHING,
            Self::Slice { start, end, step } if step > 0 => {
                let clamped = |place| from_start(place).clamp(0, length);
                let (start, end) = (start.map_or(0, clamped), end.map_or(length, clamped));
                (start, end - 1, step)
            }
            Self::Slice { start, end, step } => {
                let clamped = |place| from_start(place).clamp(-1, length - 1);
                let (start, end) = (start.map_or(length - 1, clamped), end.map_or(-1, clamped));
                (end + 1, start, step)
            }
        }
    }
}

/// The selectors of the two segments of a pointer to objects.
fn parse(pointer: &str) -> Result<(Vec<Selector>, Vec<Selector>), PointerError> {
    let mut parser = Parser {
        rest: pointer
            .strip_prefix('$')
            .ok_or(PointerError::Syntax)?
            .chars(),
        left: LIMIT,
    };
    let mut segment = || -> Result<Vec<Selector>, PointerError> {
        if parser.rest.as_str().is_empty() {
            // At the root, or at a member of it.
            return Err(PointerError::Elsewhere);
        }
        parser.segment()
    };
    let segments = (segment()?, segment()?);
    match segment() {
        Err(PointerError::Elsewhere) => Ok(segments),
        Err(error) => Err(error),
        // Inside an object.
        Ok(_) => Err(PointerError::Elsewhere),
    }
}

struct Parser<'a> {
    rest: Chars<'a>,
    /// How many more selectors are allowed.
    left: usize,
}

impl<'a> Parser<'a> {
    fn segment(&mut self) -> Result<Vec<Selector>, PointerError> {
        self.skip_blanks();
        let mut selectors = Vec::new();
        if self.skip('.') {
            selectors.push(self.after_dot().ok_or(PointerError::Syntax)?);
        } else if self.skip('[') {
            loop {
                self.left = self.left.checked_sub(1).ok_or(PointerError::TooLong)?;
                self.skip_blanks();
                selectors.push(self.in_brackets()?);
                self.skip_blanks();
                if self.skip(']') {
                    break;
                }
                if !self.skip(',') {
                    return Err(PointerError::Syntax);
                }
            }
        } else {
            return Err(PointerError::Syntax);
        }
        Ok(selectors)
    }

    /// `*`, or a name without quotation marks.
    fn after_dot(&mut self) -> Option<Selector> {
        if self.skip('*') {
            return Some(Selector::All);
        }
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii());
        let starts_well = !name.starts_with(|first: char| first.is_ascii_digit());
        (starts_well && !name.is_empty()).then(|| Selector::Name(name.to_owned()))
    }

    fn in_brackets(&mut self) -> Result<Selector, PointerError> {
        for quote in ['"', '\''] {
            if self.skip(quote) {
                let name = self.quoted(quote).ok_or(PointerError::Syntax)?;
                return Ok(Selector::Name(name));
            }
        }
        if self.skip('*') {
            return Ok(Selector::All);
        }
        let start = self.integer()?;
        self.skip_blanks();
        if !self.skip(':') {
            return start.map(Selector::Index).ok_or(PointerError::Syntax);
        }
        self.skip_blanks();
        let end = self.integer()?;
        self.skip_blanks();
        let mut step = None;
        if self.skip(':') {
            self.skip_blanks();
            step = self.integer()?;
        }
        Ok(Selector::Slice {
            start,
            end,
            step: step.unwrap_or(1),
        })
    }

    /// The integer at this position, if any: in its canonical form, and in I-JSON's
    /// range.
    fn integer(&mut self) -> Result<Option<i64>, PointerError> {
        const RANGE: std::ops::RangeInclusive<i64> = -((1 << 53) - 1)..=(1 << 53) - 1;

        let text = self.take_while(|c| c == '-' || c.is_ascii_digit());
        if text.is_empty() {
            return Ok(None);
        }
        let in_its_way = text == "0" || !text.trim_start_matches('-').starts_with('0');
        match text.parse() {
            Ok(number) if in_its_way && RANGE.contains(&number) => Ok(Some(number)),
            _ => Err(PointerError::Syntax),
        }
    }

    /// The string up to the quotation mark, without its escapes.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '\\' => text.push(self.escaped(quote)?),
                c if c == quote => return Some(text),
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self, quote: char) -> Option<char> {
        Some(match self.rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = self.code_unit()?;
                let is_half = (0xd800..0xdc00).contains(&first);
                let second = if is_half {
                    (self.skip('\\') && self.skip('u')).then_some(())?;
                    Some(self.code_unit()?)
                } else {
                    None
                };
                let units = std::iter::once(first).chain(second);
                let mut chars = char::decode_utf16(units);
                let c = chars.next()?.ok()?;
                chars.next().is_none().then_some(c)?
            }
            c if c == quote || matches!(c, '/' | '\\') => c,
            _ => return None,
        })
    }

    /// Four hexadecimal digits.
    fn code_unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.as_str().split_at_checked(4)?;
        self.rest = rest.chars();
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| are_digits)
    }

    fn skip_blanks(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
    }

    fn skip(&mut self, c: char) -> bool {
        let rest = self.rest.as_str().strip_prefix(c);
        if let Some(rest) = rest {
            self.rest = rest.chars();
        }
        rest.is_some()
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let text = self.rest.as_str();
        let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
        let (taken, rest) = text.split_at(end);
        self.rest = rest.chars();
        taken
    }
}
