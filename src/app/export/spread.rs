//! Rows of scenarios that a run does not know, under `data.unknown_scenario = "shared"`.

use crate::onnx::{Attribute, Builder, Element, Value};

/// Such rows stand, after all rows of the batch, once more for each scenario that the run knows; their probability is the mean
/// over these (as in [`predict`](crate::train::evaluation::predict::predict)).
pub(super) struct Spread {
    /// [U]: which rows they are.
    new: Value,
    /// [2]: U, and how many scenarios there are.
    shape: Value,
    /// [1]: the batch's rows, N.
    rows: Value,
    /// [N + U · scenarios]: which row each is.
    source: Value,
    /// The same long: in which scenario.
    scenarios: Value,
}

impl Spread {
    /// For rows with these scenarios, −1 where the run does not know it.
    pub(super) fn new(onnx: &mut Builder, scenarios: &Value, rows: &Value, count: usize) -> Self {
        let zero = onnx.ints(&[0]);
        let is_new = onnx.node("Less", &[scenarios, &zero], &[]);
        let new = onnx.node("NonZero", &[&is_new], &[]);
        let new = onnx.squeeze(&new, 0);
        let of_new = onnx.node("Shape", &[&new], &[]);
        let all = onnx.ints(&[count as i64]);
        let shape = onnx.concat(&[of_new, all], 0);
        let column = onnx.unsqueeze(&new, 1);
        let numbers = onnx.ints(&(0..count as i64).collect::<Vec<_>>());
        let [again, in_scenario] = [column, numbers].map(|x| {
            let each = onnx.node("Expand", &[&x, &shape], &[]);
            onnx.reshape(&each, &[-1])
        });
        let first = onnx.range(rows);
        let known = onnx.node("Max", &[scenarios, &zero], &[]);
        let source = onnx.concat(&[first, again], 0);
        let scenarios = onnx.concat(&[known, in_scenario], 0);
        Self { new, shape, rows: rows.clone(), source, scenarios }
    }

    /// The scenario of every row.
    pub(super) fn scenarios(&self) -> Value {
        self.scenarios.clone()
    }

    /// A batch's values, row by row, for all the rows.
    pub(super) fn rows_of(&self, onnx: &mut Builder, x: &Value) -> Value {
        onnx.gather(x, &self.source)
    }

    /// Logits of the batch's rows, made of those of all the rows.
    pub(super) fn means(&self, onnx: &mut Builder, logits: &Value) -> Value {
        let zero = onnx.ints(&[0]);
        let end = onnx.ints(&[i64::MAX]);
        let own = onnx.node("Slice", &[logits, &zero, &self.rows], &[]);
        let others = onnx.node("Slice", &[logits, &self.rows, &end], &[]);
        let others = onnx.node("Reshape", &[&others, &self.shape], &[]);
        let yes = onnx.cast(&others, Element::F64);
        let no = onnx.node("Neg", &[&yes], &[]);
        let [yes, no] = [yes, no].map(|x| {
            let probability = onnx.sigmoid(&x);
            let mean = onnx.node(
                "ReduceMean",
                &[&probability],
                &[("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(0))],
            );
            onnx.node("Log", &[&mean], &[])
        });
        let means = onnx.node("Sub", &[&yes, &no], &[]);
        let means = onnx.cast(&means, Element::F32);
        onnx.node("ScatterElements", &[&own, &self.new, &means], &[("axis", Attribute::Int(0))])
    }
}
