//! The shape of the configuration: as JSON Schema for editors, and compiled for checking files.
//!
//! Both come from the types of `file_model.rs`; no key is named here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::file_model;

/// The JSON Schema (2020-12) of the configuration, for completion and checks in an editor.
pub fn schema() -> Value {
    let mut schema = raw_schema();
    visit(&mut schema, &mut |object| {
        object.remove("x-hint");
    });
    schema
}

/// The shape of a whole file.
pub(super) fn root() -> &'static Table {
    &ROOT
}

/// Whether every word of `text` is a key of the configuration: such a text holds no secret.
pub(super) fn is_key(text: &str) -> bool {
    let mut words = text
        .split(|c: char| "[]. ".contains(c))
        .filter(|word| !word.is_empty())
        .peekable();
    words.peek().is_some() && words.all(|word| ROOT.knows(word))
}

static ROOT: LazyLock<Table> = LazyLock::new(|| compile_table(&raw_schema(), &Path::default()));

/// What a value may be, and the hint where it is not.
#[derive(Debug)]
pub(super) struct Node {
    pub shape: Shape,
    /// The hint at a mistake.
    pub hint: Option<String>,
    /// What stands in when it is left out, as TOML.
    pub default: Option<String>,
    /// May hold a secret: never shown unless it is a table.
    pub secret: bool,
}

/// What a value may be.
#[derive(Debug)]
pub(super) enum Shape {
    Text,
    Words(Vec<String>),
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    Boolean,
    List(Box<Node>),
    Table(Table),
    /// One of these, distinguished by the type of the value.
    Either(Vec<Shape>),
}

/// A table and its keys.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name in messages.
    pub label: String,
    /// The section that it is part of; `None`: the file itself.
    pub section: Option<String>,
    pub keys: BTreeMap<String, Node>,
    pub required: Vec<String>,
    /// Exactly one of the keys must be there.
    pub exactly_one: bool,
}

impl Table {
    /// Its keys.
    pub fn words(&self) -> impl Iterator<Item = &str> + Clone {
        self.keys.keys().map(String::as_str)
    }

    /// The table of the same section that has `key`, by its name in messages.
    pub fn home_of(&self, key: &str) -> Option<&'static str> {
        match &self.section {
            None => ROOT.search(key),
            Some(section) => ROOT.keys.get(section)?.shape.table()?.search(key),
        }
    }

    fn search(&self, key: &str) -> Option<&str> {
        if self.keys.contains_key(key) {
            return Some(&self.label);
        }
        let mut nodes = self.keys.values();
        nodes.find_map(|node| node.shape.table()?.search(key))
    }

    /// The table of this name in messages: this one, or one in it.
    #[cfg(test)]
    pub fn labelled(&self, label: &str) -> Option<&Self> {
        if self.label == label {
            return Some(self);
        }
        let mut nodes = self.keys.values();
        nodes.find_map(|node| node.shape.table()?.labelled(label))
    }

    fn knows(&self, word: &str) -> bool {
        let mut nodes = self.keys.values();
        self.keys.contains_key(word) || nodes.any(|node| node.shape.knows(word))
    }
}

impl Shape {
    /// The table that this is, or that its elements are.
    pub fn table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            Self::List(items) => items.shape.table(),
            _ => None,
        }
    }

    fn knows(&self, word: &str) -> bool {
        match self {
            Self::Table(table) => table.knows(word),
            Self::List(items) => items.shape.knows(word),
            Self::Either(shapes) => shapes.iter().any(|shape| shape.knows(word)),
            _ => false,
        }
    }
}

/// With the hints, without `null`: TOML has none, a key is left out instead.
fn raw_schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<file_model::File>()
        .to_value();
    visit(&mut schema, &mut without_null);
    visit(&mut schema, &mut describe_member);
    schema
}

fn visit(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(|value| visit(value, change));
            change(object);
        }
        Value::Array(values) => values.iter_mut().for_each(|value| visit(value, change)),
        _ => {}
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let is_null = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "null");
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| !is_null(choice));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// The documentation of an enum's member is that of its key.
fn describe_member(object: &mut Map<String, Value>) {
    let Some(description) = object.get("description").cloned() else {
        return;
    };
    let members = object.get_mut("properties").and_then(Value::as_object_mut);
    if let Some(members) = members.filter(|members| members.len() == 1) {
        for member in members.values_mut().filter_map(Value::as_object_mut) {
            member.entry("description").or_insert(description.clone());
        }
    }
}

fn compile(schema: &Value, path: &Path) -> Node {
    let hint = schema.get("x-hint").and_then(text);
    let mut shape = compile_shape(schema, path);
    if let Shape::Table(table) = &mut shape
        && table.exactly_one
    {
        // The choice explains its members.
        for node in table.keys.values_mut() {
            node.hint = node.hint.take().or_else(|| hint.clone());
        }
    }
    Node {
        shape,
        hint,
        default: schema.get("default").map(Value::to_string),
        secret: schema.get("writeOnly").is_some(),
    }
}

fn compile_shape(schema: &Value, path: &Path) -> Shape {
    if let Some(choices) = schema.get("oneOf").or_else(|| schema.get("anyOf")) {
        return compile_choice(list(choices), path);
    }
    if let Some(words) = schema.get("enum") {
        return Shape::Words(list(words).iter().filter_map(text).collect());
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Shape::Table(compile_table(schema, path)),
        Some("array") => Shape::List(Box::new(compile(&schema["items"], path))),
        Some("boolean") => Shape::Boolean,
        Some("integer") => Shape::Integer {
            min: schema["minimum"].as_i64().unwrap_or(i64::MIN),
            max: schema["maximum"].as_i64().unwrap_or(i64::MAX),
        },
        Some("number") => Shape::Number {
            min: schema["minimum"].as_f64().unwrap_or(f64::MIN),
            max: schema["maximum"].as_f64().unwrap_or(f64::MAX),
        },
        _ => Shape::Text,
    }
}

/// Words, or tables of one key each (an externally tagged enum), or values of several types.
fn compile_choice(choices: &[Value], path: &Path) -> Shape {
    let word = |choice: &Value| choice.get("const").and_then(text);
    if let Some(words) = choices.iter().map(word).collect() {
        return Shape::Words(words);
    }
    if choices
        .iter()
        .all(|choice| list(&choice["required"]).len() == 1)
    {
        let mut table = compile_table(&Value::Null, path);
        for choice in choices {
            table.keys.append(&mut compile_table(choice, path).keys);
        }
        table.exactly_one = true;
        return Shape::Table(table);
    }
    Shape::Either(
        choices
            .iter()
            .map(|choice| compile_shape(choice, path))
            .collect(),
    )
}

fn compile_table(schema: &Value, path: &Path) -> Table {
    let properties = schema.get("properties").and_then(Value::as_object);
    let compiled =
        |(key, schema): (&String, &Value)| (key.clone(), compile(schema, &path.join(key, schema)));
    Table {
        label: path.label(),
        section: path.section.clone(),
        keys: properties.into_iter().flatten().map(compiled).collect(),
        required: list(&schema["required"]).iter().filter_map(text).collect(),
        exactly_one: false,
    }
}

/// Where a part of the schema stands.
#[derive(Debug, Default)]
struct Path {
    section: Option<String>,
    /// The section as its header is written.
    header: String,
    /// The keys below the section.
    below: Vec<String>,
}

impl Path {
    /// Of the value of `key`.
    fn join(&self, key: &str, schema: &Value) -> Self {
        if self.section.is_none() {
            let is_list = schema["type"] == "array";
            return Self {
                section: Some(key.to_owned()),
                header: if is_list {
                    format!("[[{key}]]")
                } else {
                    format!("[{key}]")
                },
                below: Vec::new(),
            };
        }
        let mut below = self.below.clone();
        below.push(key.to_owned());
        Self {
            section: self.section.clone(),
            header: self.header.clone(),
            below,
        }
    }

    /// `[daemon]`, `[[firewall]]`, and below those `driver.sonicos`.
    fn label(&self) -> String {
        match (&self.section, self.below.is_empty()) {
            (None, _) => "the file".to_owned(),
            (Some(_), true) => self.header.clone(),
            (Some(_), false) => self.below.join("."),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
