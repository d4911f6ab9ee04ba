//! A value of a configuration, kept beyond the text that it was parsed from.
//!
//! `toml`'s own values either borrow from the text, or have no positions and copy secrets. These own their text, wipe it on drop,
//! are deserialized by reference, and errors have a position.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::DeValue;
use zeroize::Zeroizing;

use crate::config::interpolate;
use crate::support::environment::Environment;

/// A value and the offset of its first byte in the text.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) offset: usize,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Text(Zeroizing<String>),
    /// A number, a truth value or a date.
    Other(toml::Value),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
}

/// Why a value cannot be used, and where.
#[derive(Debug)]
pub(super) struct ValueError {
    pub(super) offset: Option<usize>,
    /// The keys that lead to the value, the innermost first.
    path: Vec<String>,
    message: String,
}

impl Value {
    /// Copies a value out of the text.
    ///
    /// # Errors
    /// For a number that is too large.
    pub(super) fn of(value: &Spanned<DeValue<'_>>) -> Result<Value, ValueError> {
        let offset = value.span().start;
        let kind = match value.get_ref() {
            DeValue::String(text) => Kind::Text(Zeroizing::new(text.as_ref().to_owned())),
            DeValue::Array(items) => Kind::List(items.iter().map(Value::of).collect::<Result<_, _>>()?),
            DeValue::Table(table) => {
                let mut entries = Vec::with_capacity(table.len());
                for (name, value) in table {
                    let value = Value::of(value).map_err(|error| error.within(name.get_ref()))?;
                    entries.push((name.get_ref().clone().into_owned(), value));
                }
                Kind::Table(entries)
            }
            _ => {
                let other = toml::Value::deserialize(value.clone().into_deserializer());
                Kind::Other(other.map_err(|error| ValueError::at(offset, error.message()))?)
            }
        };
        Ok(Value { offset, kind })
    }

    /// Interpolates all texts.
    pub(super) fn interpolate(&mut self, environment: &Environment) -> Result<(), ValueError> {
        match &mut self.kind {
            Kind::Text(text) if text.contains("%{") => {
                *text = interpolate(text, environment).map_err(|message| ValueError::at(self.offset, &message))?;
                Ok(())
            }
            Kind::List(items) => items.iter_mut().try_for_each(|item| item.interpolate(environment)),
            Kind::Table(table) => table
                .iter_mut()
                .try_for_each(|(name, item)| item.interpolate(environment).map_err(|error| error.within(name))),
            _ => Ok(()),
        }
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        T::deserialize(self)
    }
}

impl ValueError {
    fn at(offset: usize, message: &str) -> ValueError {
        ValueError { offset: Some(offset), path: Vec::new(), message: message.to_owned() }
    }

    fn within(mut self, name: &str) -> ValueError {
        self.path.push(name.to_owned());
        self
    }

    /// The keys that lead to the value from this one.
    pub(super) fn key(&self, outer: &str) -> String {
        let names = self.path.iter().rev().map(|name| format!(".{}", crate::text::shown(name)));
        std::iter::once(outer.to_owned()).chain(names).collect()
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ValueError {}

impl serde::de::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        ValueError { offset: None, path: Vec::new(), message: message.to_string() }
    }

    /// Without the value, which may be a secret.
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}, not {}", kind_of(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::custom(format_args!("expected {expected}, not this {}", kind_of(unexpected)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        let expected: Vec<_> = expected.iter().map(|name| format!("\"{name}\"")).collect();
        Self::custom(format_args!("expected {}", expected.join(" or ")))
    }
}

fn kind_of(unexpected: Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "number",
        Unexpected::Float(_) => "fraction",
        Unexpected::Str(_) | Unexpected::Char(_) => "text",
        Unexpected::Seq => "list",
        Unexpected::Map => "section",
        _ => "value",
    }
}

impl<'de> Deserializer<'de> for &Value {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        let read = match &self.kind {
            Kind::Text(text) => visitor.visit_str(text),
            Kind::Other(toml::Value::Integer(number)) => visitor.visit_i64(*number),
            Kind::Other(toml::Value::Float(number)) => visitor.visit_f64(*number),
            Kind::Other(toml::Value::Boolean(truth)) => visitor.visit_bool(*truth),
            Kind::Other(other) => visitor.visit_string(other.to_string()),
            Kind::List(items) => {
                let mut items = SeqDeserializer::new(items.iter());
                visitor.visit_seq(&mut items).and_then(|read| items.end().map(|()| read))
            }
            Kind::Table(table) => {
                let entries = table.iter().map(|(name, value)| (Key(name, value.offset), Named(name, value)));
                let mut entries = MapDeserializer::new(entries);
                visitor.visit_map(&mut entries).and_then(|read| entries.end().map(|()| read))
            }
        };
        read.map_err(|error| ValueError { offset: error.offset.or(Some(self.offset)), ..error })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let read = match &self.kind {
            Kind::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Kind::Table(table) => {
                let entries = table.iter().map(|(name, value)| (name.as_str(), value));
                let entries = MapDeserializer::new(entries);
                visitor.visit_enum(serde::de::value::MapAccessDeserializer::new(entries))
            }
            _ => Err(serde::de::Error::custom("expected text or a section")),
        };
        read.map_err(|error: ValueError| ValueError { offset: error.offset.or(Some(self.offset)), ..error })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, ValueError> for &Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A key; an unknown one is an error at its value's offset.
struct Key<'a>(&'a str, usize);

/// A value, and its key for errors.
struct Named<'a>(&'a str, &'a Value);

macro_rules! delegate {
    ($type:ident, |$this:ident| $inner:expr, |$error:ident| $placed:expr) => {
        impl<'de> IntoDeserializer<'de, ValueError> for $type<'_> {
            type Deserializer = Self;

            fn into_deserializer(self) -> Self {
                self
            }
        }

        impl<'de> Deserializer<'de> for $type<'_> {
            type Error = ValueError;

            fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
                let $this = &self;
                $inner.deserialize_any(visitor).map_err(|$error: ValueError| $placed)
            }

            fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
                let $this = &self;
                $inner.deserialize_option(visitor).map_err(|$error: ValueError| $placed)
            }

            fn deserialize_newtype_struct<V: Visitor<'de>>(
                self,
                name: &'static str,
                visitor: V,
            ) -> Result<V::Value, ValueError> {
                let $this = &self;
                $inner.deserialize_newtype_struct(name, visitor).map_err(|$error: ValueError| $placed)
            }

            fn deserialize_enum<V: Visitor<'de>>(
                self,
                name: &'static str,
                variants: &'static [&'static str],
                visitor: V,
            ) -> Result<V::Value, ValueError> {
                let $this = &self;
                $inner.deserialize_enum(name, variants, visitor).map_err(|$error: ValueError| $placed)
            }

            forward_to_deserialize_any! {
                bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
                tuple tuple_struct map struct identifier ignored_any
            }
        }
    };
}

delegate!(Key, |this| serde::de::value::StrDeserializer::<ValueError>::new(this.0), |error| {
    ValueError { offset: error.offset.or(Some(this.1)), ..error }
});
delegate!(Named, |this| this.1, |error| error.within(this.0));
