//! Embedding lookups and the gradient of the rows they read.

use super::{Arg, Cost, Cpu, Kernel, Op, Operation, TableArg, Target};
use crate::cpu::{Real, for_chunks, for_row_blocks};
use crate::graph::{Graph, Node, Shape, TensorId};

/// The embeddings of all fields of a table, side by side; a numeric field's embedding is multiplied by its value.
///
/// No inputs. Output: [B, fields·width].
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// Number of the table.
    pub table: usize,
    /// Fields that read it.
    pub fields: usize,
    /// Values in a row.
    pub width: usize,
}

impl Operation for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        vec![Shape::batch(self.fields * self.width)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        if let Some(dx) = grads[0] {
            let op = EmbedGrad { table: self.table, fields: self.fields, width: self.width };
            graph.add(&node.name, op, &[dx]);
        }
        Vec::new()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let values = batch * self.fields * self.width;
        let flops = if graph.tables[self.table].has_values() { values } else { 0 };
        Cost::of(node, graph, batch, flops).plus_bytes(4 * (values + batch * (self.fields + 1)))
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let width = self.fields * self.width;
        let weights = &cpu.tables[self.table].weights;
        for_row_blocks(&mut outputs[0][..cpu.rows() * width], width, |first, block| {
            for (i, out) in block.chunks_exact_mut(width).enumerate() {
                let source = cpu.order()[first + i] as usize;
                for (f, out) in out.chunks_exact_mut(self.width).enumerate() {
                    let field = &cpu.layout[self.table].fields[f];
                    let row = cpu.source.ids[source * cpu.source.fields + field.column] as usize;
                    out.copy_from_slice(&weights[row * self.width..][..self.width]);
                    if let Some(column) = field.value {
                        let value = T::of(f64::from(cpu.source.values[source * cpu.source.value_count + column]));
                        for x in out {
                            *x *= value;
                        }
                    }
                }
            }
        });
    }

    fn kernels(&self, _: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let table = &graph.tables[self.table];
        target
            .shards(self.table, table.rows())
            .map(|(shard, first, rows)| {
                let kernel = Kernel::new("embed", target.capacity * self.fields * self.width)
                    .with("FIRST_ROW", first)
                    .with("ROWS", rows)
                    .with("ORDER", target.schedule.order);
                lookup_constants(kernel, graph, self.table, target).bind([
                    Arg::Table { table: self.table, shard, what: TableArg::Weights },
                    Arg::Ids,
                    Arg::Values,
                    Arg::Schedule,
                    Arg::Output(0),
                ])
            })
            .collect()
    }
}

/// Fields a table with numeric fields can have: shaders keep one bit for each.
pub const MOST_FIELDS_WITH_NUMERIC: usize = 96;

/// The constants of `shaders/common/lookup.wgsl`: fields, widths and which fields are numeric.
fn lookup_constants(kernel: Kernel, graph: &Graph, table: usize, target: &Target) -> Kernel {
    let table = &graph.tables[table];
    let first_column = table.fields[0].column;
    let mut masks = [0usize; MOST_FIELDS_WITH_NUMERIC / 32];
    let mut numeric = 0;
    for (f, field) in table.fields.iter().enumerate() {
        assert_eq!(field.column, first_column + f, "a table's fields are consecutive columns of the ids");
        if let Some(column) = field.value {
            // A shader finds a field's value by counting the numeric fields before it.
            assert_eq!(column, numeric, "a table's numeric fields are the values' columns in order");
            numeric += 1;
            masks[f / 32] |= 1 << (f % 32);
        }
    }
    kernel
        .with("FIELDS", table.fields.len())
        .with("WIDTH", table.width)
        .with("ID_STRIDE", target.fields)
        .with("FIRST_COLUMN", first_column)
        .with("VALUE_STRIDE", target.value_count)
        .with("VALUE_MASK_0", masks[0])
        .with("VALUE_MASK_1", masks[1])
        .with("VALUE_MASK_2", masks[2])
}

/// The gradient of every distinct row the batch read: for row `unique[u]` the sum over its lookups, in order of
/// position, of dx (times the value, for numeric fields).
///
/// Input: dx [B, fields·width]. Output: [B, fields·width], read as B·fields rows of which the first `count` are used.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedGrad {
    /// Number of the table.
    pub table: usize,
    /// Fields that read it.
    pub fields: usize,
    /// Values in a row.
    pub width: usize,
}

impl Operation for EmbedGrad {
    fn name(&self) -> &'static str {
        "embed_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[0].cols, self.fields * self.width, "embed_grad: width");
        vec![inputs[0]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let lookups = batch * self.fields;
        Cost::of(node, graph, batch, lookups * self.width).plus_bytes(8 * lookups)
    }

    fn run<T: Real>(&self, cpu: &Cpu<'_, T>, outputs: &mut [Vec<T>]) {
        let keys = cpu.schedule.keys[self.table];
        let count = cpu.words[keys.count] as usize;
        let starts = &cpu.words[keys.starts..];
        let positions = &cpu.words[keys.positions..];
        let fields = &cpu.layout[self.table].fields;
        for_chunks(&mut outputs[0][..count * self.width], ROWS_PER_TASK * self.width, |chunk, block| {
            for (i, out) in block.chunks_exact_mut(self.width).enumerate() {
                out.fill(T::zero());
                let u = chunk * ROWS_PER_TASK + i;
                for &position in &positions[starts[u] as usize..starts[u + 1] as usize] {
                    let position = position as usize;
                    let dx = &cpu.inputs[0][position * self.width..][..self.width];
                    if let Some(column) = fields[position % self.fields].value {
                        let source = cpu.order()[position / self.fields] as usize;
                        let value = T::of(f64::from(cpu.source.values[source * cpu.source.value_count + column]));
                        for (sum, &d) in out.iter_mut().zip(dx) {
                            *sum += value * d;
                        }
                    } else {
                        for (sum, &d) in out.iter_mut().zip(dx) {
                            *sum += d;
                        }
                    }
                }
            }
        });
    }

    fn kernels(&self, _: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let keys = target.schedule.keys[self.table];
        let kernel = Kernel::new("embed_grad", keys.lookups * self.width)
            .with("COUNT", keys.count)
            .with("STARTS", keys.starts)
            .with("POSITIONS", keys.positions)
            .with("ORDER", target.schedule.order);
        vec![lookup_constants(kernel, graph, self.table, target).bind([
            Arg::Input(0),
            Arg::Values,
            Arg::Schedule,
            Arg::Output(0),
        ])]
    }
}

/// Distinct rows one task sums.
const ROWS_PER_TASK: usize = 256;
