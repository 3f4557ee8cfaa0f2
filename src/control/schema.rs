//! Schemas of the answers (JSON Schema 2020-12, as OpenAPI 3.1 has it), made of the types themselves: serde is
//! had read a value of each, and what it asks for is what the type has. What serde does not know, which is
//! what a field means, whether it may be left out and that a text is a point in time, stands in the source.

use serde::Deserialize;
use serde::de::value::Error;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::model;

/// Where the types stand.
const SOURCES: [&str; 2] = [include_str!("model.rs"), include_str!("model/plan.rs")];

/// Every schema by the name of its type.
pub(super) fn all() -> Map<String, Value> {
    let mut schemas = Map::new();
    describe::<model::Status>(&mut schemas);
    describe::<model::Event>(&mut schemas);
    describe::<model::Missing>(&mut schemas);
    describe::<model::Reload>(&mut schemas);
    describe::<model::Plan>(&mut schemas);
    describe::<model::Draining>(&mut schemas);
    describe::<model::Done>(&mut schemas);
    describe::<model::Refusal>(&mut schemas);
    schemas
}

fn describe<'de, T: Deserialize<'de>>(schemas: &mut Map<String, Value>) {
    let mut schema = Value::Null;
    let read = T::deserialize(Reader {
        schemas,
        schema: &mut schema,
    });
    // Nothing here refuses a value, and the values that are given are those that are asked for.
    debug_assert!(read.is_ok(), "{:?}", read.err());
}

/// What the source says of a type and its fields.
#[derive(Default)]
struct Written {
    about: String,
    fields: Vec<Field>,
}

#[derive(Default)]
struct Field {
    name: String,
    about: String,
    may_lack: bool,
    is_time: bool,
}

fn written(name: &str) -> Written {
    let mut found = Written::default();
    let (mut about, mut may_lack, mut within) = (String::new(), false, false);
    let mut attribute = false;
    for line in SOURCES.iter().flat_map(|source| source.lines()) {
        let text = line.trim();
        if let Some(doc) = text.strip_prefix("///") {
            about.push_str(doc);
            continue;
        }
        if text.starts_with("#[") || attribute {
            may_lack |= text.contains("skip_serializing_if");
            attribute = !text.ends_with(']');
            continue;
        }
        if let Some(rest) = text.strip_prefix("pub struct ") {
            within = rest.split(' ').next() == Some(name);
            if within {
                found.about = about.trim().to_owned();
            }
        } else if let Some((field, kind)) =
            text.strip_prefix("pub ").and_then(|t| t.split_once(": "))
            && within
        {
            found.fields.push(Field {
                name: field.to_owned(),
                about: about.trim().to_owned(),
                may_lack,
                is_time: kind.contains("Stamp"),
            });
        }
        about.clear();
        may_lack = false;
    }
    found
}

/// Gives whoever asks a value of what is asked for, and notes what that was.
struct Reader<'a> {
    schemas: &'a mut Map<String, Value>,
    schema: &'a mut Value,
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let signed = <$type>::MIN != 0;
            *self.schema = match signed {
                true => json!({"type": "integer"}),
                false => json!({"type": "integer", "minimum": 0}),
            };
            visitor.$visit(0)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    whole_numbers! {
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.schema = json!({"type": "boolean"});
        visitor.visit_bool(false)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.schema = json!({"type": "string"});
        visitor.visit_str("")
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut inner = Value::Null;
        let read = visitor.visit_some(Reader {
            schemas: self.schemas,
            schema: &mut inner,
        });
        *self.schema = json!({"anyOf": [inner, {"type": "null"}]});
        read
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut items = Value::Null;
        let read = visitor.visit_seq(One(Some(Reader {
            schemas: self.schemas,
            schema: &mut items,
        })));
        *self.schema = json!({"type": "array", "items": items});
        read
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut properties = Map::new();
        let read = visitor.visit_map(Fields {
            left: fields.iter(),
            name: "",
            schemas: self.schemas,
            properties: &mut properties,
        });
        let written = written(name);
        for field in &written.fields {
            if let Some(Value::Object(schema)) = properties.get_mut(&field.name) {
                if field.is_time {
                    schema.insert("format".to_owned(), json!("date-time"));
                }
                if !field.about.is_empty() {
                    schema.insert("description".to_owned(), json!(field.about));
                }
            }
        }
        let lacks = |name: &str| written.fields.iter().any(|f| f.name == name && f.may_lack);
        let required: Vec<&str> = fields.iter().copied().filter(|name| !lacks(name)).collect();
        let schema = json!({
            "type": "object",
            "description": written.about,
            "properties": properties,
            "required": required,
            "additionalProperties": false
        });
        self.schemas.insert(name.to_owned(), schema);
        *self.schema = json!({"$ref": format!("#/components/schemas/{name}")});
        read
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.schema = json!({"type": "string", "enum": variants});
        let first = variants.first().copied().unwrap_or_default();
        let first: serde::de::value::StrDeserializer<'_, Error> = first.into_deserializer();
        first.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.schema = json!({});
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct
        map identifier ignored_any
    }
}

/// A list with one element.
struct One<'a>(Option<Reader<'a>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let reader = self.0.take();
        reader.map(|reader| seed.deserialize(reader)).transpose()
    }
}

/// Every field of a struct.
struct Fields<'a> {
    left: std::slice::Iter<'static, &'static str>,
    name: &'static str,
    schemas: &'a mut Map<String, Value>,
    properties: &'a mut Map<String, Value>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.left.next() else {
            return Ok(None);
        };
        self.name = name;
        let name: serde::de::value::StrDeserializer<'_, Error> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let mut schema = Value::Null;
        let read = seed.deserialize(Reader {
            schemas: self.schemas,
            schema: &mut schema,
        });
        // Beside a reference other words may stand.
        self.properties.insert(self.name.to_owned(), schema);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_type_and_its_meaning() {
        let all = all();
        for name in [
            "Status",
            "Instance",
            "RealServer",
            "Check",
            "Override",
            "Change",
        ] {
            assert!(all.contains_key(name), "{name}");
        }
        for (name, schema) in &all {
            assert_ne!(schema["description"], "", "{name}");
            let properties = schema["properties"].as_object().unwrap();
            assert!(!properties.is_empty(), "{name}");
            // The counters are keepalived's, each under its name.
            for (field, schema) in properties.iter().filter(|_| name != "Counters") {
                assert!(
                    schema["description"].is_string(),
                    "{name}.{field}: {schema}"
                );
            }
        }
        let check = &all["Check"];
        assert_eq!(check["properties"]["up"]["type"], "boolean");
        assert_eq!(check["properties"]["at"]["format"], "date-time");
        assert_eq!(check["properties"]["latency_us"]["anyOf"][0]["minimum"], 0);
        let weight = &all["Weight"]["properties"]["adds"];
        assert!(weight["minimum"].is_null(), "{weight}");
        let change = &all["Change"]["properties"]["change"];
        assert_eq!(change["enum"], json!(["add", "change", "remove"]));
        let required = all["Daemon"]["required"].as_array().unwrap();
        assert!(required.contains(&json!("reload")) && !required.contains(&json!("standby_since")));
    }
}
