//! Reads TOML tables key by key: remembers which keys it was asked for, so that any other is refused, and collects
//! problems instead of stopping at the first.

use super::error::Problem;
use std::cell::RefCell;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The problems found so far in one text.
pub(super) struct Problems<'t> {
    text: &'t str,
    found: RefCell<Vec<Problem>>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: RefCell::default() }
    }

    /// Notes a problem at a byte offset of the text.
    pub(super) fn add(&self, offset: usize, key: impl Into<String>, message: impl Into<String>) {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.found.borrow_mut().push(Problem { line, key: key.into(), message: message.into() });
    }

    /// All of them in the order of their lines.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.line);
        found
    }
}

/// A table that is being read.
pub(super) struct Table<'t> {
    path: String,
    entries: &'t DeTable<'t>,
    offset: usize,
    problems: &'t Problems<'t>,
    known: Vec<&'static str>,
}

/// A value with where it stands.
pub(super) struct Value<'t> {
    pub(super) path: String,
    pub(super) offset: usize,
    value: &'t DeValue<'t>,
    problems: &'t Problems<'t>,
}

impl<'t> Table<'t> {
    /// The table of the whole file.
    pub(super) fn root(entries: &'t DeTable<'t>, problems: &'t Problems<'t>) -> Self {
        Self { path: String::new(), entries, offset: 0, problems, known: Vec::new() }
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        let (name, value) = self.entries.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(self.value(key, name.span().start, value))
    }

    /// A non-empty text that `parse` accepts; `wanted` says what to write instead of what it does not.
    pub(super) fn text<T>(&mut self, key: &'static str, wanted: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.get(key)?.text(wanted, parse)
    }

    /// Texts: an array of them, or a single one.
    pub(super) fn texts<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = self.get(key)?;
        let DeValue::Array(items) = value.value else {
            return value.text(wanted, parse).map(|one| vec![one]);
        };
        let read = |(n, item): (usize, &'t Spanned<DeValue<'t>>)| {
            let path = format!("{}[{n}]", value.path);
            let item = Value { path, offset: item.span().start, value: item.get_ref(), problems: self.problems };
            item.text(wanted, &parse)
        };
        Some(items.iter().enumerate().filter_map(read).collect())
    }

    /// A whole number within a range.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.get(key)?;
        let number = match value.value {
            DeValue::Integer(n) => u64::from_str_radix(n.as_str(), n.radix()).ok(),
            _ => None,
        };
        let fits = number.filter(|n| range.contains(n));
        if fits.is_none() {
            value.wrong(&format!("write a whole number from {} to {}, without quotes", range.start(), range.end()));
        }
        fits
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let DeValue::Boolean(flag) = value.value else {
            value.wrong("write true or false, without quotes");
            return None;
        };
        Some(*flag)
    }

    /// A table inside this one.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'t>> {
        self.get(key)?.table(&format!("write a table: [{}]", join(&self.path, key)))
    }

    /// The entries of a table whose keys are names, in the order of the file.
    pub(super) fn named(self) -> Vec<(&'t str, Value<'t>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(name, value)| name.span().start.min(value.span().start));
        let one = |(name, value): (&'t Spanned<_>, &'t Spanned<DeValue<'t>>)| {
            let name: &Spanned<std::borrow::Cow<'t, str>> = name;
            (name.get_ref().as_ref(), self.value(name.get_ref(), name.span().start, value))
        };
        entries.into_iter().map(one).collect()
    }

    /// Notes a problem with the table itself.
    pub(super) fn wrong(&self, message: &str) {
        self.problems.add(self.offset, self.path.clone(), message);
    }

    /// Refuses every key that was not asked for.
    pub(super) fn finish(self) {
        for (name, _) in self.entries {
            let key = name.get_ref().as_ref();
            if self.known.contains(&key) {
                continue;
            }
            let message = match nearest(key, &self.known) {
                Some(meant) => format!("there is no such key; did you mean `{meant}`?"),
                None => format!("there is no such key; known here: {}", self.known.join(", ")),
            };
            self.problems.add(name.span().start, join(&self.path, key), message);
        }
    }

    fn value(&self, key: &str, offset: usize, value: &'t Spanned<DeValue<'t>>) -> Value<'t> {
        Value { path: join(&self.path, key), offset, value: value.get_ref(), problems: self.problems }
    }
}

impl<'t> Value<'t> {
    /// A non-empty text that `parse` accepts.
    pub(super) fn text<T>(&self, wanted: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = match self.value {
            DeValue::String(text) if !text.trim().is_empty() => Some(text.as_ref()),
            _ => None,
        };
        let parsed = text.and_then(parse);
        if parsed.is_none() {
            self.wrong(wanted);
        }
        parsed
    }

    /// A text, number or boolean as text.
    pub(super) fn plain(&self) -> Option<String> {
        match self.value {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(n) => Some(i64::from_str_radix(n.as_str(), n.radix()).ok()?.to_string()),
            DeValue::Float(n) => Some(n.as_str().to_owned()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// A table.
    pub(super) fn table(&self, wanted: &str) -> Option<Table<'t>> {
        let DeValue::Table(entries) = self.value else {
            self.wrong(wanted);
            return None;
        };
        let (path, offset, problems) = (self.path.clone(), self.offset, self.problems);
        Some(Table { path, entries, offset, problems, known: Vec::new() })
    }

    /// Notes a problem with it.
    pub(super) fn wrong(&self, message: &str) {
        self.problems.add(self.offset, self.path.clone(), message);
    }
}

/// A TOML path, quoted where TOML wants it.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if bare && !key.is_empty() { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// The known key that was probably meant: at most two letters differ.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    const LETTERS_MAX: usize = 2;
    let near = |k: &&'k str| Some((distance(key, k), *k)).filter(|(d, _)| *d <= LETTERS_MAX && *d < k.len());
    known.iter().filter_map(near).min().map(|(_, k)| k)
}

/// Letters to insert, remove or replace to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(*slot + 1);
            diagonal = std::mem::replace(slot, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
