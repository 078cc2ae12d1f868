//! Reading JSON without trust: a value that has another type than expected is noted and skipped, it does not end the
//! reading of what stands around it.
//!
//! What must hold: reading a [`Loose`] fails only where the text is no JSON, cannot be held in memory (half a surrogate
//! pair, a number beyond all bounds) or names a member twice; then it is read again as [`super::repair`] mends it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, NaiveDate, Utc};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::time::Told;

/// A value that may be absent (or null), as expected, or of another type.
#[derive(Debug, Default)]
pub(super) enum Loose<T> {
    #[default]
    Absent,
    Good(T),
    /// With a word for what was found.
    Wrong(&'static str),
}

/// How a type is made of the one or two kinds of JSON values that it accepts.
pub(super) trait FromJson<'de>: Sized {
    /// A word for the type, for drift reports.
    const EXPECTED: &'static str;

    fn text(_: Cow<'de, str>) -> Option<Self> {
        None
    }
    fn integer(_: i64) -> Option<Self> {
        None
    }
    fn float(_: f64) -> Option<Self> {
        None
    }
    fn flag(_: bool) -> Option<Self> {
        None
    }
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl<'de, T: FromJson<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor(PhantomData))
    }
}

struct LooseVisitor<T>(PhantomData<T>);

fn or_wrong<T>(value: Option<T>, found: &'static str) -> Loose<T> {
    value.map_or(Loose::Wrong(found), Loose::Good)
}

impl<'de, T: FromJson<'de>> Visitor<'de> for LooseVisitor<T> {
    type Value = Loose<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose::Absent)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(or_wrong(T::text(Cow::Borrowed(text)), "text"))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.visit_string(text.to_owned())
    }
    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(or_wrong(T::text(Cow::Owned(text)), "text"))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(or_wrong(T::integer(value), "number"))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(or_wrong(i64::try_from(value).ok().and_then(T::integer), "number"))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(or_wrong(T::float(value), "number"))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(or_wrong(T::flag(value), "boolean"))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(or_wrong(T::map(map)?, "object"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Ok(or_wrong(T::seq(seq)?, "array"))
    }
}

/// Text, borrowed from the page where it holds no escapes.
#[derive(Debug)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> FromJson<'de> for Text<'a> {
    const EXPECTED: &'static str = "text";
    fn text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(text))
    }
}

impl Text<'_> {
    pub(super) fn into_string(self) -> String {
        self.0.into_owned()
    }
}

/// A key of an object, borrowed where it holds no escapes.
pub(super) struct Key<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Loose::<Text<'de>>::deserialize(deserializer)? {
            Loose::Good(text) => Ok(Self(text.0)),
            Loose::Absent | Loose::Wrong(_) => Ok(Self(Cow::Borrowed(""))),
        }
    }
}

/// One of Jira's numeric ids, which it writes as text.
#[derive(Debug)]
pub(super) struct Id(pub i64);

impl FromJson<'_> for Id {
    const EXPECTED: &'static str = "numeric id";
    fn text(text: Cow<'_, str>) -> Option<Self> {
        text.trim().parse().ok().map(Self)
    }
    fn integer(value: i64) -> Option<Self> {
        Some(Self(value))
    }
}

/// Any finite number, also one that is written as text.
#[derive(Debug)]
pub(super) struct Number(pub f64);

impl FromJson<'_> for Number {
    const EXPECTED: &'static str = "number";
    fn text(text: Cow<'_, str>) -> Option<Self> {
        Self::float(text.trim().parse().ok()?)
    }
    #[allow(clippy::cast_precision_loss)] // an estimate of 2^53 points is none
    fn integer(value: i64) -> Option<Self> {
        Some(Self(value as f64))
    }
    fn float(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(value))
    }
}

/// A whole number, also one that is written as `5.0` or as text.
#[derive(Debug)]
pub(super) struct Whole(pub i64);

impl FromJson<'_> for Whole {
    const EXPECTED: &'static str = "whole number";
    fn text(text: Cow<'_, str>) -> Option<Self> {
        let text = text.trim();
        text.parse().ok().map(Self).or_else(|| Self::float(text.parse().ok()?))
    }
    #[allow(clippy::cast_possible_truncation)] // in range, by the guard
    fn float(value: f64) -> Option<Self> {
        (value.fract() == 0.0 && value.abs() < 9e15).then_some(Self(value as i64))
    }
    fn integer(value: i64) -> Option<Self> {
        Some(Self(value))
    }
}

/// A single value as text, whatever its type: histories write ids now as text and now as numbers.
#[derive(Debug)]
pub(super) struct Scalar<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> FromJson<'de> for Scalar<'a> {
    const EXPECTED: &'static str = "single value";
    fn text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(text))
    }
    fn integer(value: i64) -> Option<Self> {
        Some(Self(Cow::Owned(value.to_string())))
    }
    fn float(value: f64) -> Option<Self> {
        Some(Self(Cow::Owned(value.to_string())))
    }
    fn flag(value: bool) -> Option<Self> {
        Some(Self(Cow::Borrowed(if value { "true" } else { "false" })))
    }
}

/// True or false.
#[derive(Debug)]
pub(super) struct Flag(pub bool);

impl FromJson<'_> for Flag {
    const EXPECTED: &'static str = "boolean";
    fn flag(value: bool) -> Option<Self> {
        Some(Self(value))
    }
}

/// An instant; the last one that columns hold where Jira names one beyond it.
#[derive(Debug)]
pub(super) struct Moment(pub DateTime<Utc>);

/// Numbers below are no milliseconds since 1970: they would be times before September 2001.
const EARLIEST_EPOCH_MILLISECONDS: i64 = 1_000_000_000_000;

impl FromJson<'_> for Moment {
    const EXPECTED: &'static str = "time";
    /// The bulk changelog and the worklog feeds write milliseconds since 1970.
    fn integer(value: i64) -> Option<Self> {
        (value >= EARLIEST_EPOCH_MILLISECONDS).then(|| DateTime::from_timestamp_millis(value).map(Self))?
    }
    fn text(text: Cow<'_, str>) -> Option<Self> {
        match super::time::instant(&text) {
            Told::At(at) => Some(Self(at)),
            Told::Beyond => Some(Self(super::time::last())),
            Told::Nothing => None,
        }
    }
}

/// A day.
#[derive(Debug)]
pub(super) struct Day(pub NaiveDate);

impl FromJson<'_> for Day {
    const EXPECTED: &'static str = "date";
    fn text(text: Cow<'_, str>) -> Option<Self> {
        super::time::day(&text).at().map(Self)
    }
}

/// An array whose elements are read one by one.
#[derive(Debug)]
pub(super) struct List<T>(pub Vec<Loose<T>>);

impl<'de, T: FromJson<'de>> FromJson<'de> for List<T> {
    const EXPECTED: &'static str = "array";
    fn seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Option<Self>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Some(Self(elements)))
    }
}
