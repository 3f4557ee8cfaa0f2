//! Whether an answer is as the OpenAPI document says: the parts of JSON Schema that it uses.

use serde_json::Value;

/// Whether `value` is as the schema of this name says.
///
/// # Errors
/// Where it is not, and why.
pub(crate) fn fits(document: &Value, name: &str, value: &Value) -> Result<(), String> {
    let schema = &document["components"]["schemas"][name];
    if schema.is_null() {
        return Err(format!("there is no schema {name}"));
    }
    one(document, schema, value, name)
}

fn one(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return one(
            document,
            &document["components"]["schemas"][name],
            value,
            at,
        );
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let tried: Vec<_> = any.iter().map(|s| one(document, s, value, at)).collect();
        if tried.iter().any(Result::is_ok) {
            return Ok(());
        }
        // The first is what it is when it is not null.
        return tried.into_iter().next().unwrap_or(Ok(()));
    }
    let no = |what: &str| Err(format!("{at}: {value} is not {what}"));
    match schema["type"].as_str() {
        Some("null") if !value.is_null() => no("null"),
        Some("boolean") if !value.is_boolean() => no("true or false"),
        Some("integer") if !(value.is_i64() || value.is_u64()) => no("a whole number"),
        Some("integer") if schema["minimum"] == 0 && !value.is_u64() => no("0 or more"),
        Some("string") => text(schema, value).or_else(no),
        Some("array") => match value.as_array() {
            Some(all) => all.iter().enumerate().try_for_each(|(n, value)| {
                one(document, &schema["items"], value, &format!("{at}[{n}]"))
            }),
            None => no("a list"),
        },
        Some("object") => object(document, schema, value, at),
        Some("null" | "boolean" | "integer") => Ok(()),
        other => Err(format!("{at}: the schema has the type {other:?}")),
    }
}

fn text<'a>(schema: &Value, value: &Value) -> Result<(), &'a str> {
    let Some(text) = value.as_str() else {
        return Err("a text");
    };
    let is_time = text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
    if schema["format"] == "date-time" && !is_time {
        return Err("a point in time");
    }
    match schema["enum"].as_array() {
        Some(words) if !words.contains(value) => Err("one of the words"),
        _ => Ok(()),
    }
}

fn object(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(fields) = value.as_object() else {
        return Err(format!("{at}: {value} is no object"));
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if !fields.contains_key(name) {
            return Err(format!("{at}: {name} is missing"));
        }
    }
    for (name, value) in fields {
        let known = &schema["properties"][name];
        if known.is_null() {
            return Err(format!("{at}: the schema has no {name}"));
        }
        one(document, known, value, &format!("{at}.{name}"))?;
    }
    Ok(())
}
