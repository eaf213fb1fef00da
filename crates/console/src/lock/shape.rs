//! [`Shape`]: the fields and JSON types that were found in samples of an event.

use std::collections::BTreeMap;

use serde_json::Value;

/// What is nested deeper is an object or an array, and not looked into.
const DEEPEST: usize = 32;

/// The JSON types of a value in all samples, and what is inside of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    string: bool,
    integer: bool,
    number: bool,
    boolean: bool,
    null: bool,
    array: Option<Box<Shape>>,
    object: Option<Object>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Object {
    seen: u64,
    fields: BTreeMap<String, Field>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Field {
    seen: u64,
    shape: Shape,
}

impl Shape {
    /// Adds what a sample shows.
    pub(crate) fn note(&mut self, sample: &Value) {
        self.note_at(0, sample);
    }

    fn note_at(&mut self, depth: usize, sample: &Value) {
        match sample {
            Value::Null => self.null = true,
            Value::Bool(_) => self.boolean = true,
            Value::Number(number) if number.is_f64() => self.number = true,
            Value::Number(_) => self.integer = true,
            Value::String(_) => self.string = true,
            Value::Array(elements) => {
                let shape = self.array.get_or_insert_default();
                for element in elements.iter().filter(|_| depth < DEEPEST) {
                    shape.note_at(depth + 1, element);
                }
            }
            Value::Object(fields) => {
                let object = self.object.get_or_insert_default();
                object.seen += 1;
                for (name, value) in fields.iter().filter(|_| depth < DEEPEST) {
                    let field = object.fields.entry(name.clone()).or_default();
                    field.seen += 1;
                    field.shape.note_at(depth + 1, value);
                }
            }
        }
    }

    /// Every path with its types: `old.start` is a `string`, `guests[]` an `object | null`.
    ///
    /// A name that is not plain is quoted, so that no two paths are written alike. The event itself
    /// is `$`, and named only where it is not simply an object.
    pub(crate) fn fields(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let itself = self.types(false);
        if itself != "object" {
            fields.insert("$".to_owned(), itself);
        }
        self.list_inside("", &mut fields);
        fields
    }

    fn list(&self, path: &str, absent: bool, fields: &mut BTreeMap<String, String>) {
        fields.insert(path.to_owned(), self.types(absent));
        self.list_inside(path, fields);
    }

    fn list_inside(&self, path: &str, fields: &mut BTreeMap<String, String>) {
        if let Some(elements) = self
            .array
            .as_deref()
            .filter(|shape| **shape != Self::default())
        {
            elements.list(&format!("{path}[]"), false, fields);
        }
        let Some(object) = &self.object else {
            return;
        };
        for (name, field) in &object.fields {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", segment(name));
            field.shape.list(&path, field.seen < object.seen, fields);
        }
    }

    fn types(&self, absent: bool) -> String {
        let types = [
            ("string", self.string),
            ("integer", self.integer),
            ("number", self.number),
            ("boolean", self.boolean),
            ("array", self.array.is_some()),
            ("object", self.object.is_some()),
            ("null", self.null),
            ("absent", absent),
        ];
        let types = types.iter().filter(|(_, found)| *found);
        types.map(|(name, _)| *name).collect::<Vec<_>>().join(" | ")
    }
}

fn segment(name: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "_-".contains(character);
    match !name.is_empty() && name.chars().all(plain) {
        true => name.to_owned(),
        false => Value::from(name).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(samples: &[Value]) -> Vec<(String, String)> {
        let mut shape = Shape::default();
        for sample in samples {
            shape.note(sample);
        }
        shape.fields().into_iter().collect()
    }

    fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let fields = fields.iter();
        fields
            .map(|(path, types)| ((*path).to_owned(), (*types).to_owned()))
            .collect()
    }

    #[test]
    fn fields_are_the_paths_and_types_of_a_sample() {
        let sample = json!({
            "old": {"start": "2025-10-15T14:00:00Z", "seats": 2},
            "price": 1.0,
            "guests": [{"adult": true}, null],
            "rooms": [],
        });
        let expected = owned(&[
            ("guests", "array"),
            ("guests[]", "object | null"),
            ("guests[].adult", "boolean"),
            ("old", "object"),
            ("old.seats", "integer"),
            ("old.start", "string"),
            ("price", "number"),
            ("rooms", "array"),
        ]);
        assert_eq!(fields(&[sample]), expected);
    }

    #[test]
    fn several_samples_unify() {
        let samples = [
            json!({"reason": "ill", "buffers": null}),
            json!({"buffers": {"before": 5}}),
            json!({"reason": "ill", "buffers": {"before": "5", "after": 1}}),
        ];
        let expected = owned(&[
            ("buffers", "object | null"),
            ("buffers.after", "integer | absent"),
            ("buffers.before", "string | integer"),
            ("reason", "string | absent"),
        ]);
        assert_eq!(fields(&samples), expected);
    }

    #[test]
    fn an_event_that_is_no_object_has_a_type_itself() {
        assert_eq!(fields(&[json!(7)]), owned(&[("$", "integer")]));
        let expected = owned(&[("$", "object | null"), ("id", "integer")]);
        assert_eq!(fields(&[Value::Null, json!({"id": 1})]), expected);
    }

    #[test]
    fn names_that_are_not_plain_do_not_look_like_paths() {
        let sample = json!({"a.b": 1, "a": {"b": 1}, "c[]": 1, "": 1, "\"": 1, "$": 1});
        let expected = owned(&[
            ("\"\"", "integer"),
            ("\"$\"", "integer"),
            ("\"\\\"\"", "integer"),
            ("\"a.b\"", "integer"),
            ("\"c[]\"", "integer"),
            ("a", "object"),
            ("a.b", "integer"),
        ]);
        assert_eq!(fields(&[sample]), expected);
    }

    #[test]
    fn what_is_nested_too_deep_is_not_looked_into() {
        let sample = (0..100).fold(json!(1), |inside, _| json!({"a": inside}));
        let fields = fields(&[sample]);
        assert_eq!(fields.len(), DEEPEST);
        assert!(
            fields.iter().all(|(_, types)| types == "object"),
            "{fields:?}"
        );
    }
}
