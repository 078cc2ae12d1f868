//! The frame around a list: members of it that nobody knew when this was written.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::loose::Key;
use crate::domain::failure::sanitise;

/// More unknown members than this are not worth naming.
pub(super) const MAX_UNKNOWN: usize = 5;

/// The members of the object in `text` that are not among `known`; none of what is no object.
pub(super) fn unknown(text: &str, known: &'static [&'static str]) -> Vec<String> {
    struct Members(&'static [&'static str]);
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut unknown = Vec::new();
            while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                if !self.0.contains(&key.as_ref()) && unknown.len() < MAX_UNKNOWN {
                    unknown.push(sanitise(&key));
                }
                map.next_value::<IgnoredAny>()?;
            }
            Ok(unknown)
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_map(Members(known)).unwrap_or_default()
}
