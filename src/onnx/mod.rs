//! Graphs of ONNX operators: built node by node, and written as a file that any ONNX runtime runs.
//!
//! Operators of opset 17 and, for vocabularies, of `ai.onnx.ml` 3.
//!
//! *Stability*: grows with what operations need.

mod file;
mod messages;

use std::collections::{HashMap, HashSet};
use std::fmt;

use half::f16;

pub use file::{Weights, Written};

use messages::{
    AttributeProto, DimensionProto, DimensionValue, GraphProto, NodeProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};

/// What a tensor's elements are; the numbers are ONNX's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// `float`.
    F32 = 1,
    /// `int64`.
    I64 = 7,
    /// `string`.
    Text = 8,
    /// `bool`.
    Bool = 9,
    /// `float16`.
    F16 = 10,
    /// `double`.
    F64 = 11,
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "float",
            Self::I64 => "int64",
            Self::Text => "string",
            Self::Bool => "bool",
            Self::F16 => "float16",
            Self::F64 => "double",
        })
    }
}

/// A dimension of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// This many.
    Fixed(usize),
    /// As many as a run's input has; the same wherever the name is the same.
    Named(String),
}

impl Dim {
    /// A dimension of this name.
    pub fn named(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// A tensor of the graph: an input, a constant, or what a node makes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Value(String);

/// A node's constant.
#[derive(Clone, Debug)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f32),
    /// Integers.
    Ints(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
    /// Texts.
    Texts(Vec<Vec<u8>>),
}

/// A graph while it is built.
#[derive(Debug, Default)]
pub struct Builder {
    graph: GraphProto,
    /// What names of nodes begin with.
    scope: String,
    /// How often each name was wanted by nodes and constants.
    wanted: HashMap<String, usize>,
    /// Names that nodes and constants cannot have any more.
    taken: HashSet<String>,
    /// Short constants, each once.
    constants: HashMap<Vec<i64>, Value>,
}

impl Builder {
    /// An empty graph of this name.
    pub fn new(name: &str) -> Self {
        Self { graph: GraphProto { name: name.to_owned(), ..GraphProto::default() }, ..Self::default() }
    }

    /// What the names of all later nodes begin with.
    pub fn set_scope(&mut self, scope: &str) {
        scope.clone_into(&mut self.scope);
    }

    /// Keeps a name for an input or output: the names of these are the user's.
    pub fn reserve(&mut self, name: &str) {
        self.taken.insert(name.to_owned());
    }

    /// A new input; its name is to be reserved before there are any nodes or constants.
    pub fn input(&mut self, name: &str, element: Element, dims: &[Dim], doc: &str) -> Value {
        self.graph.input.push(value_info(name, element, dims, doc));
        self.reserve(name);
        Value(name.to_owned())
    }

    /// Makes `value` an output of this name.
    pub fn output(&mut self, name: &str, value: &Value, element: Element, dims: &[Dim], doc: &str) {
        self.graph.output.push(value_info(name, element, dims, doc));
        let node = NodeProto {
            input: vec![value.0.clone()],
            output: vec![name.to_owned()],
            name: format!("output.{name}"),
            op_type: "Identity".to_owned(),
            ..NodeProto::default()
        };
        self.graph.node.push(node);
    }

    fn unique(&mut self, what: &str) -> String {
        let name = if self.scope.is_empty() { what.to_owned() } else { format!("{}/{what}", self.scope) };
        let number = self.wanted.entry(name.clone()).or_default();
        loop {
            *number += 1;
            let unique = if *number == 1 { name.clone() } else { format!("{name}#{number}") };
            if self.taken.insert(unique.clone()) {
                return unique;
            }
        }
    }

    /// Adds a node with one output.
    pub fn node(&mut self, op: &str, inputs: &[&Value], attributes: &[(&str, Attribute)]) -> Value {
        self.node_of("", op, inputs, attributes)
    }

    /// The same, with an operator of `ai.onnx.ml`.
    pub fn ml_node(&mut self, op: &str, inputs: &[&Value], attributes: &[(&str, Attribute)]) -> Value {
        self.node_of("ai.onnx.ml", op, inputs, attributes)
    }

    fn node_of(&mut self, domain: &str, op: &str, inputs: &[&Value], attributes: &[(&str, Attribute)]) -> Value {
        let name = self.unique(op);
        let node = NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: op.to_owned(),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            domain: domain.to_owned(),
        };
        self.graph.node.push(node);
        Value(name)
    }

    fn constant(&mut self, what: &str, element: Element, dims: &[usize], raw_data: Vec<u8>) -> Value {
        let name = self.unique(what);
        let tensor = TensorProto {
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: element as i32,
            name: name.clone(),
            raw_data,
            ..TensorProto::default()
        };
        self.graph.initializer.push(tensor);
        Value(name)
    }

    /// A constant of floats, row-major.
    pub fn floats(&mut self, what: &str, dims: &[usize], values: &[f32]) -> Value {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len());
        self.constant(what, Element::F32, dims, values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// A constant of half floats, row-major.
    pub fn halves(&mut self, what: &str, dims: &[usize], values: &[f16]) -> Value {
        self.constant(what, Element::F16, dims, values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// A constant of doubles, row-major.
    pub fn doubles(&mut self, what: &str, dims: &[usize], values: &[f64]) -> Value {
        self.constant(what, Element::F64, dims, values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// A float without dimensions.
    pub fn float(&mut self, value: f32) -> Value {
        self.floats("constant", &[], &[value])
    }

    /// A constant of integers, row-major.
    pub fn ints_of(&mut self, what: &str, dims: &[usize], values: &[i64]) -> Value {
        self.constant(what, Element::I64, dims, values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    /// A list of integers, as operators take shapes and axes.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        if let Some(known) = self.constants.get(values) {
            return known.clone();
        }
        let value = self.ints_of("list", &[values.len()], values);
        self.constants.insert(values.to_vec(), value.clone());
        value
    }

    /// 0, 1 and so on below `count`, a list of one number.
    pub fn range(&mut self, count: &Value) -> Value {
        let (zero, one) = (self.ints_of("constant", &[], &[0]), self.ints_of("constant", &[], &[1]));
        let count = self.squeeze(count, 0);
        self.node("Range", &[&zero, &count, &one], &[])
    }

    /// a + b, with broadcasting.
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Add", &[a, b], &[])
    }

    /// a ⊙ b, with broadcasting.
    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Mul", &[a, b], &[])
    }

    /// `factor` · a.
    pub fn scaled(&mut self, a: &Value, factor: f64) -> Value {
        if factor == 1.0 {
            return a.clone();
        }
        let factor = self.float(factor as f32);
        self.mul(a, &factor)
    }

    /// a b, matrix by matrix.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("MatMul", &[a, b], &[])
    }

    /// 1 / (1 + e⁻ˣ).
    pub fn sigmoid(&mut self, x: &Value) -> Value {
        self.node("Sigmoid", &[x], &[])
    }

    /// `condition ? yes : no`, with broadcasting.
    pub fn select(&mut self, condition: &Value, yes: &Value, no: &Value) -> Value {
        self.node("Where", &[condition, yes, no], &[])
    }

    /// The same values as another type.
    pub fn cast(&mut self, x: &Value, to: Element) -> Value {
        self.node("Cast", &[x], &[("to", Attribute::Int(to as i64))])
    }

    /// The same values in another shape; 0 keeps a dimension.
    pub fn reshape(&mut self, x: &Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.node("Reshape", &[x, &shape], &[])
    }

    /// Another order of dimensions.
    pub fn transpose(&mut self, x: &Value, order: &[i64]) -> Value {
        self.node("Transpose", &[x], &[("perm", Attribute::Ints(order.to_vec()))])
    }

    /// A dimension of size 1 more.
    pub fn unsqueeze(&mut self, x: &Value, axis: i64) -> Value {
        let axes = self.ints(&[axis]);
        self.node("Unsqueeze", &[x, &axes], &[])
    }

    /// Without a dimension of size 1.
    pub fn squeeze(&mut self, x: &Value, axis: i64) -> Value {
        let axes = self.ints(&[axis]);
        self.node("Squeeze", &[x, &axes], &[])
    }

    /// All of them one after another along a dimension; the value itself where there is one.
    pub fn concat(&mut self, values: &[Value], axis: i64) -> Value {
        match values {
            [only] => only.clone(),
            values => self.node("Concat", &values.iter().collect::<Vec<_>>(), &[("axis", Attribute::Int(axis))]),
        }
    }

    /// Columns `first..first + count` of the last dimension.
    pub fn columns(&mut self, x: &Value, first: usize, count: usize) -> Value {
        let [starts, ends, axes] = [first as i64, (first + count) as i64, -1].map(|number| self.ints(&[number]));
        self.node("Slice", &[x, &starts, &ends, &axes], &[])
    }

    /// Rows of `x` by number: the indices' shape and then a row's.
    pub fn gather(&mut self, x: &Value, indices: &Value) -> Value {
        self.node("Gather", &[x, indices], &[])
    }

    /// x\[b, choice\[b\]\] for each b.
    pub fn choose(&mut self, x: &Value, choice: &Value) -> Value {
        let indices = self.unsqueeze(choice, 1);
        self.node("GatherND", &[x, &indices], &[("batch_dims", Attribute::Int(1))])
    }

    /// The sum along a dimension, which is left out or, with `keep`, is of size 1 then.
    pub fn sum(&mut self, x: &Value, axis: i64, keep: bool) -> Value {
        let axes = self.ints(&[axis]);
        self.node("ReduceSum", &[x, &axes], &[("keepdims", Attribute::Int(i64::from(keep)))])
    }

    /// Sums over so many, [N, 1], as means; 0 where there are none.
    pub fn mean_of(&mut self, sums: &Value, counts: &Value) -> Value {
        let least = self.float(1.0);
        let counts = self.node("Max", &[counts, &least], &[]);
        self.node("Div", &[sums, &counts], &[])
    }

    /// The softmax along the last dimension.
    pub fn softmax(&mut self, x: &Value) -> Value {
        self.node("Softmax", &[x], &[("axis", Attribute::Int(-1))])
    }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let attribute = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    match value {
        Attribute::Float(f) => AttributeProto { f: Some(*f), r#type: 1, ..attribute },
        Attribute::Int(i) => AttributeProto { i: Some(*i), r#type: 2, ..attribute },
        Attribute::Floats(floats) => AttributeProto { floats: floats.clone(), r#type: 6, ..attribute },
        Attribute::Ints(ints) => AttributeProto { ints: ints.clone(), r#type: 7, ..attribute },
        Attribute::Texts(strings) => AttributeProto { strings: strings.clone(), r#type: 8, ..attribute },
    }
}

fn value_info(name: &str, element: Element, dims: &[Dim], doc: &str) -> ValueInfoProto {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => DimensionProto { value: Some(DimensionValue::Number(*size as i64)) },
        Dim::Named(name) => DimensionProto { value: Some(DimensionValue::Name(name.clone())) },
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: element as i32, shape: Some(shape) };
    let r#type = Some(TypeProto { tensor_type: Some(tensor) });
    ValueInfoProto { name: name.to_owned(), r#type, doc_string: doc.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messages::ModelProto;
    use prost::Message;

    fn small() -> Builder {
        let mut onnx = Builder::new("small");
        onnx.reserve("layer/weight#2");
        let x = onnx.input("x", Element::F32, &[Dim::named("N"), Dim::Fixed(300)], "numbers");
        onnx.set_scope("layer");
        let weights = onnx.floats("weight", &[300, 2], &vec![0.5; 600]);
        let other = onnx.floats("weight", &[300, 2], &vec![0.25; 600]);
        let [y, z] = [weights, other].map(|w| onnx.matmul(&x, &w));
        let first = onnx.columns(&y, 0, 1);
        let last = onnx.columns(&z, 1, 1);
        let sum = onnx.add(&first, &last);
        onnx.output("y", &sum, Element::F32, &[Dim::named("N"), Dim::Fixed(1)], "sums");
        onnx
    }

    #[test]
    fn nodes_read_what_stands_before_them_and_names_are_theirs_alone() {
        let graph = small().graph;
        let mut known: Vec<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
        known.extend(graph.initializer.iter().map(|tensor| tensor.name.as_str()));
        for node in &graph.node {
            assert!(node.input.iter().all(|input| known.contains(&input.as_str())), "{node:?}");
            known.extend(node.output.iter().map(String::as_str));
        }
        let all = known.len();
        known.sort_unstable();
        known.dedup();
        assert_eq!(known.len(), all);
        assert!(known.contains(&"layer/MatMul") && known.contains(&"layer/MatMul#2"));
        // Where a column has the name that a constant would have.
        assert!(known.contains(&"layer/weight") && known.contains(&"layer/weight#3"));
        // Shapes and axes that are the same are there once.
        assert_eq!(graph.initializer.iter().filter(|tensor| tensor.dims == [1]).count(), 4);
    }

    #[test]
    fn weights_apart_are_where_the_model_says() {
        let within = small().finish("a sum", Weights::Within, "small.data").unwrap();
        assert!(!within.has_weights_apart());
        let apart = small().finish("a sum", Weights::Apart, "small.data").unwrap();
        let mut file = tempfile::tempfile().unwrap();
        apart.write_weights(&mut file).unwrap();
        let mut bytes = Vec::new();
        std::io::Seek::rewind(&mut file).unwrap();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        let [within, apart] = [&within, &apart].map(|written| ModelProto::decode(written.model.as_slice()).unwrap());
        assert_eq!((within.ir_version, within.opset_import.len()), (8, 2));
        let [within, apart] = [within, apart].map(|model| model.graph.unwrap().initializer);
        let mut found = 0;
        for (within, apart) in within.iter().zip(&apart) {
            if apart.external_data.is_empty() {
                assert_eq!(within, apart);
                continue;
            }
            let entry = |key: &str| {
                let entry = apart.external_data.iter().find(|entry| entry.key == key).unwrap();
                entry.value.clone()
            };
            let [offset, length] = ["offset", "length"].map(|key| entry(key).parse::<usize>().unwrap());
            assert_eq!((entry("location").as_str(), offset % 4096), ("small.data", 0));
            assert!(apart.raw_data.is_empty());
            assert_eq!(within.raw_data, bytes[offset..offset + length]);
            found += 1;
        }
        assert_eq!(found, 2);
    }
}
