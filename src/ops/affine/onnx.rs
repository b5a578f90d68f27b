//! Affine combinations as ONNX nodes.

use super::epilogue::LEAK;
use super::{Activation, Affine, Item, RowMap, Term};
use crate::graph::{Node, RowExtent};
use crate::onnx::{Attribute, Builder, Value};
use crate::ops::{OnnxExport, Operation, WeightPart};

/// Writes the node: each output is its items side by side.
pub(super) fn write(op: &Affine, node: &Node, export: &mut OnnxExport<'_>) {
    let inputs: Vec<_> = node.inputs.iter().map(|&input| export.shape(input)).collect();
    for (number, shape) in op.outputs(&inputs).into_iter().enumerate() {
        let mut items: Vec<&Item> = op.items.iter().filter(|item| item.output == number).collect();
        items.sort_by_key(|item| item.to);
        let of_tokens = matches!(shape.rows, RowExtent::Tokens(_));
        let parts: Vec<Value> = items.into_iter().map(|item| write_item(item, node, of_tokens, export)).collect();
        let value = export.onnx.concat(&parts, -1);
        export.set(node.outputs[number], value);
    }
}

fn write_item(item: &Item, node: &Node, of_tokens: bool, export: &mut OnnxExport<'_>) -> Value {
    assert!(item.activation_grad.is_none(), "{}: gradients are no part of predictions", node.name);
    let mut parts = Vec::new();
    for term in &item.terms {
        parts.push(product(term, item.width, node, of_tokens, export));
    }
    for view in &item.adds {
        assert_eq!(view.rows, RowMap::Same, "{}: predictions depend on a shuffle", node.name);
        parts.push(export.columns(node.inputs[view.input], view.from, item.width));
    }
    if let Some(bias) = item.bias {
        let weight = node.inputs[bias.input];
        parts.push(if bias.scenario_stride == 0 {
            export.weight(WeightPart { weight, row: 0, col: bias.from, down: 1, across: item.width }, false)
        } else {
            let rows: Vec<f32> = export.parameter(weight)[bias.from..]
                .chunks(bias.scenario_stride)
                .flat_map(|row| row[..item.width].to_vec())
                .collect();
            let rows = export.onnx.floats("bias", &[rows.len() / item.width, item.width], &rows);
            let scenarios = export.scenarios();
            let own = export.onnx.gather(&rows, &scenarios);
            if of_tokens { export.onnx.unsqueeze(&own, 1) } else { own }
        });
    }
    let alone = item.terms.is_empty() && item.adds.is_empty();
    let sum = parts.into_iter().reduce(|sum, part| export.onnx.add(&sum, &part));
    let sum = match sum {
        // A row for every sample.
        Some(bias) if alone => {
            let one = export.onnx.ints(&[1]);
            let rows = export.rows.clone();
            let shape = export.onnx.concat(&[rows, one], 0);
            export.onnx.node("Expand", &[&bias, &shape], &[])
        }
        Some(sum) => sum,
        None => panic!("{}: a sum of nothing", node.name),
    };
    activated(&mut export.onnx, item.epilogue.activation, sum)
}

/// x W of a term, with W of the sample's own scenario where each has one.
fn product(term: &Term, width: usize, node: &Node, of_tokens: bool, export: &mut OnnxExport<'_>) -> Value {
    let x = export.columns(node.inputs[term.x.input], term.x.from, term.inner);
    let (down, across) = if term.transposed { (term.inner, width) } else { (width, term.inner) };
    let part = WeightPart { weight: node.inputs[term.weight], row: term.row, col: term.col, down, across };
    if term.scenario_stride == 0 {
        let weight = export.weight(part, !term.transposed);
        return export.onnx.matmul(&x, &weight);
    }
    let scenarios = export.scenarios();
    let count = export.graph().scenarios;
    let (all, cols) = (export.parameter(part.weight), export.width(part.weight));
    // [scenario, inner, width]
    let values: Vec<f32> = (0..count)
        .flat_map(|s| (0..term.inner).flat_map(move |k| (0..width).map(move |n| (s, k, n))))
        .map(|(s, k, n)| {
            let (r, c) = if term.transposed { (k, n) } else { (n, k) };
            all[(part.row + s * term.scenario_stride + r) * cols + part.col + c]
        })
        .collect();
    if of_tokens {
        let weights = export.onnx.floats("weight", &[count, term.inner, width], &values);
        let own = export.onnx.gather(&weights, &scenarios);
        return export.onnx.matmul(&x, &own);
    }
    // All scenarios' products, of which each sample takes one: a matrix for each sample would be far more to read.
    let beside: Vec<f32> = (0..term.inner)
        .flat_map(|k| (0..count).flat_map(move |s| (0..width).map(move |n| (s * term.inner + k) * width + n)))
        .map(|at| values[at])
        .collect();
    let weights = export.onnx.floats("weight", &[term.inner, count * width], &beside);
    let products = export.onnx.matmul(&x, &weights);
    let products = export.onnx.reshape(&products, &[0, count as i64, width as i64]);
    export.onnx.choose(&products, &scenarios)
}

/// The activation of a value.
pub(in crate::ops) fn activated(onnx: &mut Builder, activation: Activation, x: Value) -> Value {
    match activation {
        Activation::None => x,
        Activation::Relu => onnx.node("Relu", &[&x], &[]),
        Activation::Sigmoid => onnx.sigmoid(&x),
        Activation::LeakyRelu => onnx.node("LeakyRelu", &[&x], &[("alpha", Attribute::Float(LEAK as f32))]),
    }
}
