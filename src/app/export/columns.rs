//! A model's inputs, and how they are encoded.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::crosses::values_of_part;
use super::encoded::{Encoded, Looked};
use super::tags::places_of;
use super::{OUTPUTS, OnnxEmbeddings, OnnxInput, OnnxInputs, OnnxOptions, PLACES, ROWS};
use crate::config::ConfigError;
use crate::data::{Coding, Encoder, Transform, UnknownScenario, ValueType};
use crate::graph::{Cross, Graph};
use crate::onnx::{Attribute, Builder, Dim, Element, Value};
use crate::ops::Op;
use crate::train::Error;

/// What comes after a column's name in the names of further inputs.
pub(super) const LENGTH: &str = ".length";
const SCENARIO: &str = ".scenario";

/// Values that a text, integer or float stands for.
pub(super) enum Keys<'a> {
    /// Rows 1, 2 and so on of a vocabulary.
    Vocabulary(&'a crate::data::Vocabulary),
    /// Numbers 0, 1 and so on.
    Scenarios(&'a [String]),
    /// Numbers 1, 2 and so on of the values that one column has in a cross.
    Part(Vec<String>),
}

impl Keys<'_> {
    /// Each with its number.
    fn iter(&self) -> Box<dyn Iterator<Item = (&str, i64)> + '_> {
        match self {
            Self::Vocabulary(known) => {
                Box::new(known.rows().filter_map(|row| known.value(row).map(|value| (value, i64::from(row)))))
            }
            Self::Scenarios(names) => Box::new(names.iter().map(String::as_str).zip(0..)),
            Self::Part(values) => Box::new(values.iter().map(String::as_str).zip(1..)),
        }
    }
}

/// The inputs, while they are made.
pub(super) struct Columns<'a> {
    pub(super) onnx: &'a mut Builder,
    graph: &'a Graph,
    pub(super) encoder: &'a Encoder,
    pub(super) options: &'a OnnxOptions,
    pub(super) run: &'a str,
    made: BTreeMap<String, Value>,
    inputs: Vec<OnnxInput>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(
        onnx: &'a mut Builder,
        graph: &'a Graph,
        encoder: &'a Encoder,
        options: &'a OnnxOptions,
        run: &'a str,
    ) -> Self {
        let fields = encoder.fields().iter().map(|field| &field.name);
        let crossed = encoder.schema().fields.values().flat_map(|options| &options.cross);
        let weights = encoder.schema().fields.values().filter_map(|options| options.weights.as_ref());
        let sequences = encoder.sequences().iter().map(|sequence| &sequence.name);
        let columns = fields.chain(sequences).chain(crossed).chain(weights);
        let columns: Vec<&String> = columns.collect();
        OUTPUTS.iter().for_each(|name| onnx.reserve(name));
        graph.heads.iter().for_each(|(name, _)| onnx.reserve(name));
        if let Some(scenario) = &encoder.schema().scenario {
            [scenario.clone(), format!("{scenario}{SCENARIO}")].iter().for_each(|name| onnx.reserve(name));
        }
        for column in columns {
            let of_tables = graph.tables.iter().map(|table| format!("{}.{column}", table.name));
            let names = of_tables.chain([column.clone(), format!("{column}{LENGTH}"), format!("{column}{SCENARIO}")]);
            names.for_each(|name| onnx.reserve(&name));
        }
        onnx.set_scope("columns");
        Self { onnx, graph, encoder, options, run, made: BTreeMap::new(), inputs: Vec::new() }
    }

    /// All inputs that were made.
    pub(super) fn inputs(self) -> Vec<OnnxInput> {
        self.inputs
    }

    /// Makes the inputs, and encodes them.
    pub(super) fn read(&mut self) -> Result<Encoded, Error> {
        let scenarios = self.scenarios()?;
        let mut ids = BTreeMap::new();
        let mut factors = BTreeMap::new();
        let mut items = BTreeMap::new();
        let mut tags = BTreeMap::new();
        let mut vectors = BTreeMap::new();
        let (mut of_fields, mut of_sequences) = (BTreeSet::new(), BTreeSet::new());
        for node in &self.graph.nodes {
            let Op::Embed(embed) = &node.op else { continue };
            let table = &self.graph.tables[embed.table];
            if embed.longest == 0 {
                of_fields.extend(table.fields.iter().map(|field| (embed.table, field.source)));
            } else {
                of_sequences.extend(table.tokens.iter().map(|token| (embed.table, token.sequence)));
                let targets = table.tokens.iter().filter(|_| self.graph.with_target);
                of_fields.extend(targets.map(|token| (embed.table, table.fields[token.field].source)));
            }
        }
        let external = self.options.embeddings == OnnxEmbeddings::External;
        for &(table, field) in &of_fields {
            if let Some(info) = self.encoder.fields()[field].tags {
                let of = Looked::Field(field);
                let vector = if external { Some(self.vector(table, of)?) } else { None };
                if let Entry::Vacant(place) = tags.entry(field) {
                    place.insert(self.tags(field, info, vector.as_ref())?);
                }
                vectors.extend(vector.map(|vector| ((table, of), vector)));
            } else if external && self.encoder.codings()[field].is_category() {
                vectors.insert((table, Looked::Field(field)), self.vector(table, Looked::Field(field))?);
            } else if let Entry::Vacant(place) = ids.entry(field) {
                let (id, factor) = self.field(field)?;
                place.insert(id);
                factors.extend(factor.map(|factor| (field, factor)));
            }
        }
        for &(table, sequence) in &of_sequences {
            if external {
                vectors.insert((table, Looked::Sequence(sequence)), self.vector(table, Looked::Sequence(sequence))?);
            } else if let Entry::Vacant(place) = items.entry(sequence) {
                place.insert(self.items(sequence)?);
            }
        }
        let (mut lengths, mut places) = (None, None);
        if let Some(&(table, sequence)) = of_sequences.first() {
            let info = &self.encoder.sequences()[sequence];
            let what = "how many items of the row's sequences, from the first on, are there; the others are padding";
            let value = self.input(&format!("{}{LENGTH}", info.name), Element::I64, &[ROWS], what)?;
            lengths = Some((value, info.max_length));
            let places_of = items.get(&sequence).or_else(|| vectors.get(&(table, Looked::Sequence(sequence))));
            places = places_of.map(|value| self.size(value, 1));
        }
        let first = self.inputs.first().map(|input| self.made[&input.name].clone());
        let Some(first) = first else {
            return Err(ConfigError::value(self.run, "model", "a model that reads the data's columns", "none").into());
        };
        let rows = self.size(&first, 0);
        let scenario_count = self.encoder.scenarios().len();
        Ok(Encoded { rows, scenario_count, scenarios, ids, factors, items, tags, vectors, lengths, places })
    }

    /// [1]: a dimension of a value.
    pub(super) fn size(&mut self, value: &Value, axis: i64) -> Value {
        let attributes = [("start", Attribute::Int(axis)), ("end", Attribute::Int(axis + 1))];
        self.onnx.node("Shape", &[value], &attributes)
    }

    /// The input of this name, made if it is not there yet.
    pub(super) fn input(&mut self, name: &str, element: Element, dims: &[&str], what: &str) -> Result<Value, Error> {
        let dims: Vec<Dim> = dims.iter().map(|dim| Dim::named(dim)).collect();
        self.input_of(name, element, dims, what)
    }

    fn input_of(&mut self, name: &str, element: Element, dims: Vec<Dim>, what: &str) -> Result<Value, Error> {
        if let Some(known) = self.inputs.iter_mut().find(|input| input.name == name) {
            if known.element != element || known.dims != dims {
                let found = format!("{} and {element}", known.element);
                let expected = format!("one kind of values in column \"{name}\"; --inputs encoded takes them apart");
                return Err(ConfigError::value(self.run, "--inputs", &expected, &found).into());
            }
            return Ok(self.made[name].clone());
        }
        let outputs: Vec<&str> =
            OUTPUTS.into_iter().chain(self.graph.heads.iter().map(|(name, _)| name.as_str())).collect();
        if outputs.contains(&name) {
            let expected = format!("columns that are not called as an output ({})", outputs.join(", "));
            return Err(ConfigError::value(self.run, "data", &expected, &format!("\"{name}\"")).into());
        }
        let value = self.onnx.input(name, element, &dims, what);
        self.made.insert(name.to_owned(), value.clone());
        self.inputs.push(OnnxInput { name: name.to_owned(), element, dims, what: what.to_owned() });
        Ok(value)
    }

    /// Each row's scenario, where the data has them and the model or its user wants to know.
    fn scenarios(&mut self) -> Result<Option<Value>, Error> {
        let schema = self.encoder.schema();
        let Some(column) = schema.scenario.as_deref() else { return Ok(None) };
        if self.graph.scenarios == 0 && schema.unknown_scenario == UnknownScenario::Shared {
            return Ok(None);
        }
        if self.options.inputs == OnnxInputs::Encoded {
            let what = "the scenario's number, from 0 in the order of the run's scenarios; -1 if it is none of them";
            return self.input(&format!("{column}{SCENARIO}"), Element::I64, &[ROWS], what).map(Some);
        }
        let element = self.element_of(column);
        let what = "the scenario";
        let input = self.input(column, element, &[ROWS], what)?;
        let keys = Keys::Scenarios(self.encoder.scenarios());
        Ok(Some(self.look_up(&input, element, self.encoder.scenario_type(), &keys, -1)))
    }

    /// The types and keys by which a column's values are looked up: as a field's, and as scenarios.
    fn keys_of(&self, column: &str) -> Vec<(ValueType, Keys<'a>)> {
        let encoder = self.encoder;
        let is_column = |name: &str| name == column && encoder.schema().is_column(name);
        let field = encoder.fields().iter().position(|field| is_column(&field.name));
        let field = field.and_then(|f| Some((encoder.value_type(f), Keys::Vocabulary(encoder.vocabulary(f)?))));
        let is_scenario = encoder.schema().scenario.as_deref() == Some(column);
        let scenario = is_scenario.then(|| (encoder.scenario_type(), Keys::Scenarios(encoder.scenarios())));
        let mut keys: Vec<(ValueType, Keys<'a>)> = field.into_iter().chain(scenario).collect();
        for (number, field) in encoder.fields().iter().enumerate() {
            let cross = encoder.schema().field_options(&field.name).cross;
            if let (Some(part), Some(known)) =
                (cross.iter().position(|part| part == column), encoder.vocabulary(number))
            {
                keys.push((encoder.part_types(number)[part], Keys::Part(values_of_part(known, part))));
            }
        }
        keys
    }

    /// What a column of categories is taken as.
    pub(super) fn element_of(&self, column: &str) -> Element {
        let keys = self.keys_of(column);
        let all = |value_type: ValueType, fits: &dyn Fn(&str) -> bool| {
            keys.iter().all(|(of_keys, keys)| *of_keys == value_type && keys.iter().all(|(key, _)| fits(key)))
        };
        if all(ValueType::Integer, &|key| key.parse::<i64>().is_ok()) {
            return Element::I64;
        }
        let is_single = |key: &str| key.parse::<f32>().is_ok_and(|x| x.is_finite() && x.to_string() == key);
        if all(ValueType::Float, &is_single) { Element::F32 } else { Element::Text }
    }

    /// A field's embedding row and, of a numeric one, factor.
    fn field(&mut self, field: usize) -> Result<(Value, Option<Value>), Error> {
        let encoder = self.encoder;
        let name = encoder.fields()[field].name.as_str();
        let coding = &encoder.codings()[field];
        if self.options.inputs == OnnxInputs::Encoded {
            return match coding {
                Coding::Numeric { mean, std, transform } => {
                    let number = transform.map_or("x", |Transform::Log| "sign(x) ln(1 + |x|)");
                    let what = format!("({number} - {mean}) / {std}; not a number where x is missing");
                    let x = self.input(name, Element::F32, &[ROWS], &what)?;
                    let missing = self.onnx.node("IsNaN", &[&x], &[]);
                    Ok(self.numeric(&missing, &x))
                }
                _ => {
                    let what = "the number of the value's embedding row; 0 if it is missing or unknown";
                    Ok((self.input(name, Element::I64, &[ROWS], what)?, None))
                }
            };
        }
        match coding {
            Coding::Category(known) if known.hashed() > 0 => Err(self.cannot_hash(name)),
            Coding::Category(known) if !encoder.schema().is_column(name) => {
                let cross = encoder.schema().field_options(name).cross;
                Ok((self.cross(field, &cross, known)?, None))
            }
            Coding::Category(known) => {
                let element = self.element_of(name);
                let input = self.input(name, element, &[ROWS], &in_words(encoder.value_type(field), element))?;
                let keys = Keys::Vocabulary(known);
                Ok((self.look_up(&input, element, encoder.value_type(field), &keys, 0), None))
            }
            Coding::Hash(_) => Err(self.cannot_hash(name)),
            Coding::Numeric { mean, std, transform } => {
                let (mut x, missing) = self.number(name)?;
                if let Some(Transform::Log) = transform {
                    let (sign, size) = (self.onnx.node("Sign", &[&x], &[]), self.onnx.node("Abs", &[&x], &[]));
                    let one = self.onnx.doubles("one", &[], &[1.0]);
                    let size = self.onnx.node("Add", &[&size, &one], &[]);
                    let size = self.onnx.node("Log", &[&size], &[]);
                    x = self.onnx.node("Mul", &[&sign, &size], &[]);
                }
                let [mean, std] = [*mean, *std].map(|x| self.onnx.doubles("statistic", &[], &[x]));
                let x = self.onnx.node("Sub", &[&x, &mean], &[]);
                let x = self.onnx.node("Div", &[&x, &std], &[]);
                let x = self.onnx.cast(&x, Element::F32);
                Ok(self.numeric(&missing, &x))
            }
            Coding::Bucket { edges, .. } => {
                let (x, missing) = self.number(name)?;
                let onnx = &mut *self.onnx;
                let edges = onnx.doubles("edges", &[edges.len()], edges);
                let x = onnx.unsqueeze(&x, 1);
                let is_past = onnx.node("GreaterOrEqual", &[&x, &edges], &[]);
                let is_past = onnx.cast(&is_past, Element::I64);
                let bucket = onnx.sum(&is_past, 1, false);
                let (zero, one) = (onnx.ints(&[0]), onnx.ints(&[1]));
                let row = onnx.add(&bucket, &one);
                Ok((onnx.select(&missing, &zero, &row), None))
            }
            Coding::Shared(_) => unreachable!("a field of tags has lists"),
        }
    }

    pub(super) fn cannot_hash(&self, name: &str) -> Error {
        let expected = format!(
            "--inputs encoded or --embeddings external, for the field \"{name}\" is hashed (data.fields.{name}.hash), which ONNX \
             cannot do"
        );
        ConfigError::value(self.run, "--inputs", &expected, "raw").into()
    }

    /// A column of numbers, and which of them are missing.
    fn number(&mut self, name: &str) -> Result<(Value, Value), Error> {
        let x = self.input(name, Element::F64, &[ROWS], "a number; not a number where it is missing")?;
        let mut missing = self.onnx.node("IsNaN", &[&x], &[]);
        for &null in self.encoder.nulls().numbers() {
            let null = self.onnx.doubles("null", &[], &[null]);
            let is_null = self.onnx.node("Equal", &[&x, &null], &[]);
            missing = self.onnx.node("Or", &[&missing, &is_null], &[]);
        }
        Ok((x, missing))
    }

    /// The row and factor of a standardised number.
    fn numeric(&mut self, missing: &Value, x: &Value) -> (Value, Option<Value>) {
        let (zero, one, unit) = (self.onnx.ints(&[0]), self.onnx.ints(&[1]), self.onnx.float(1.0));
        (self.onnx.select(missing, &zero, &one), Some(self.onnx.select(missing, &unit, x)))
    }

    /// The embedding rows of a sequence's items.
    fn items(&mut self, sequence: usize) -> Result<Value, Error> {
        let encoder = self.encoder;
        let info = &encoder.sequences()[sequence];
        let (field, dims) = (&encoder.fields()[info.field].name, [ROWS, PLACES]);
        if self.options.inputs == OnnxInputs::Encoded {
            let what = format!("the numbers of the items' embedding rows, as those of \"{field}\"; 0 as padding");
            return self.input(&info.name, Element::I64, &dims, &what);
        }
        let known = encoder.vocabulary(info.field).filter(|known| known.hashed() == 0);
        let Some(known) = known else { return Err(self.cannot_hash(field)) };
        let (element, value_type) = (self.element_of(field), encoder.value_type(info.field));
        let what = format!("items, as the values of \"{field}\": {}", in_words(value_type, element));
        let input = self.input(&info.name, element, &dims, &what)?;
        Ok(self.look_up(&input, element, value_type, &Keys::Vocabulary(known), 0))
    }

    /// Vectors of a table that were looked up elsewhere.
    fn vector(&mut self, table: usize, of: Looked) -> Result<Value, Error> {
        let table = &self.graph.tables[table];
        let tags = match of {
            Looked::Field(field) => self.encoder.fields()[field].tags,
            Looked::Sequence(_) => None,
        };
        let (column, mut dims) = match of {
            Looked::Field(field) if tags.is_some() => {
                let name = &self.encoder.fields()[field].name;
                (name, vec![Dim::named(ROWS), Dim::named(&places_of(name))])
            }
            Looked::Field(field) => (&self.encoder.fields()[field].name, vec![Dim::named(ROWS)]),
            Looked::Sequence(sequence) => {
                (&self.encoder.sequences()[sequence].name, vec![Dim::named(ROWS), Dim::named(PLACES)])
            }
        };
        let source = match of {
            Looked::Field(field) => tags.map_or(field, |tags| tags.rows_of),
            Looked::Sequence(sequence) => self.encoder.sequences()[sequence].field,
        };
        let is_crossed = table.fields.iter().any(|field| field.source == source && field.cross != Cross::None);
        if is_crossed && self.encoder.schema().unknown_scenario == UnknownScenario::Shared {
            let expected = format!(
                "inside, or another data.unknown_scenario than \"shared\": {}.{column} has vectors for each scenario, and none to \
                 look up for another",
                table.name
            );
            return Err(ConfigError::value(self.run, "--embeddings", &expected, "external").into());
        }
        dims.push(Dim::Fixed(table.width));
        let owner = &self.encoder.fields()[source].name;
        let of_tags = format!("the values' vectors, as those of \"{owner}\"; that of id 0 for an unknown one");
        let what = match of {
            Looked::Field(_) if tags.is_some() => of_tags.as_str(),
            Looked::Field(_) => "the value's vector; that of id 0 if it is missing or unknown",
            Looked::Sequence(_) => "the items' vectors; that of id 0 for an unknown one",
        };
        self.input_of(&format!("{}.{column}", table.name), Element::F32, dims, what)
    }

    /// The numbers of values.
    pub(super) fn look_up(
        &mut self,
        x: &Value,
        element: Element,
        kind: ValueType,
        keys: &Keys<'_>,
        unknown: i64,
    ) -> Value {
        let mut seen = BTreeSet::new();
        let (mut texts, mut integers, mut floats, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (key, number) in keys.iter() {
            match element {
                Element::I64 => integers.extend(key.parse::<i64>()),
                Element::F32 => floats.extend(key.parse::<f32>()),
                _ => {
                    for spelling in kind.spellings(key) {
                        if seen.insert(spelling.clone()) {
                            texts.push(spelling.into_bytes());
                            numbers.push(number);
                        }
                    }
                    continue;
                }
            }
            numbers.push(number);
        }
        let keys = match element {
            Element::I64 => ("keys_int64s", Attribute::Ints(integers)),
            Element::F32 => ("keys_floats", Attribute::Floats(floats)),
            _ => ("keys_strings", Attribute::Texts(texts)),
        };
        self.encode(x, keys, numbers, unknown)
    }

    /// The number of each value that is one of the keys.
    pub(super) fn encode(
        &mut self,
        x: &Value,
        keys: (&'static str, Attribute),
        numbers: Vec<i64>,
        unknown: i64,
    ) -> Value {
        if numbers.is_empty() {
            let (none, shape) = (self.onnx.ints(&[unknown]), self.onnx.node("Shape", &[x], &[]));
            return self.onnx.node("Expand", &[&none, &shape], &[]);
        }
        let attributes =
            [keys, ("values_int64s", Attribute::Ints(numbers)), ("default_int64", Attribute::Int(unknown))];
        self.onnx.ml_node("LabelEncoder", &[x], &attributes)
    }
}

/// What a column of categories holds.
pub(super) fn in_words(value_type: ValueType, element: Element) -> String {
    let values = value_type.in_words();
    match element {
        Element::I64 => format!("{values}; for a missing one any number that the run does not know"),
        Element::F32 => format!("{values}; not a number where it is missing"),
        _ if value_type == ValueType::Text => "text; empty where it is missing".to_owned(),
        _ => format!("{values}, as text; empty where it is missing"),
    }
}
