//! Embedding lookups.

use super::{EmbedGrad, tags};
use crate::cpu::{LANES, Lanes, Real, prefetch};
use crate::graph::{EmbeddingTable, Graph, Node, Pooling, Precision, Shape, TableField, TensorId};
use crate::ops::{
    Arg, Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Renumbered, Stored, TableArg, TableValues, Target,
};

/// The embeddings of all fields of a table, side by side; a numeric field's embedding is multiplied by its value, those of
/// a field of tags are pooled. Or those of the sequences that read the table, token by token.
///
/// No inputs. Outputs: [B, fields·width], and where tags are pooled by maxima [B, argmax], which notes for
/// [`EmbedGrad`] of which value each is; or [T, sequences·width].
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// Number of the table.
    pub table: usize,
    /// Fields that read it, or sequences.
    pub fields: usize,
    /// Values in a row.
    pub width: usize,
    /// The most tokens of a sample, where these are looked up; 0 where its fields are.
    pub longest: usize,
    /// Columns that note maxima; 0 where none are pooled, or no gradient is wanted.
    pub argmax: usize,
}

impl Embed {
    /// One block, of a table whose values are stored as `S`.
    fn look_up<T: Real, S: Stored<T>>(&self, block: &mut Block<'_, T>, weights: &[S]) {
        if self.longest > 0 { self.look_up_tokens(block, weights) } else { self.look_up_fields(block, weights) }
    }

    fn look_up_tokens<T: Real, S: Stored<T>>(&self, block: &mut Block<'_, T>, weights: &[S]) {
        let step = block.step;
        let layout = step.batch_layout.tokens.as_ref().expect("a graph with tokens has them in its batch layout");
        let rows = &step.words[layout.rows[self.table] + block.first() * self.fields..];
        let count = block.count();
        let mut buffer = S::buffer(self.width);
        let out = block.output(0);
        for (f, out) in out.chunks_exact_mut(self.width).enumerate() {
            for lane in 0..count {
                let row = rows[lane * self.fields + f] as usize;
                let weights = S::values(&weights[row * self.width..][..self.width], &mut buffer);
                for (x, &w) in out.iter_mut().zip(weights) {
                    x.0[lane] = w;
                }
            }
        }
    }

    fn look_up_fields<T: Real, S: Stored<T>>(&self, block: &mut Block<'_, T>, weights: &[S]) {
        let step = block.step;
        let first = block.first();
        let count = block.count();
        let mut buffer = S::buffer(self.width);
        let (out, mut noted) = if self.argmax > 0 {
            let [out, noted] = block.two_outputs();
            (out, Some(noted))
        } else {
            (block.output(0), None)
        };
        if count < LANES {
            out.fill(Lanes::zero());
        }
        let table = &step.layout[self.table];
        let mut lists = 0..;
        let order = &step.order()[first..first + count];
        let row_of = |field: &TableField, source: u32| {
            step.source.ids[source as usize * step.source.fields + field.column] as usize
        };
        for (f, out) in out.chunks_exact_mut(self.width).enumerate() {
            let field = &table.fields[f];
            if let (Some(tags), Some(list)) = (field.tags, field.tags.and_then(|_| lists.next())) {
                let noted = noted.as_deref_mut().filter(|_| tags.pooling == Pooling::Max);
                let noted = noted.map(|noted| &mut noted[tags::argmax_column(table, f)..][..self.width]);
                tags::pool(&step, (self.table, list), tags, weights, first..first + count, out, noted);
                continue;
            }
            let next = table.fields.get(f + 1).filter(|next| next.tags.is_none());
            for (lane, &source) in order.iter().enumerate() {
                if let Some(next) = next {
                    prefetch(weights.as_ptr().wrapping_add(row_of(next, source) * self.width));
                }
                let row = row_of(field, source);
                let weights = S::values(&weights[row * self.width..][..self.width], &mut buffer);
                match field.value {
                    None => {
                        for (x, &w) in out.iter_mut().zip(weights) {
                            x.0[lane] = w;
                        }
                    }
                    Some(column) => {
                        let source = source as usize;
                        let value = T::of(f64::from(step.source.values[source * step.source.value_count + column]));
                        for (x, &w) in out.iter_mut().zip(weights) {
                            x.0[lane] = w * value;
                        }
                    }
                }
            }
        }
    }
}

impl Operation for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn outputs(&self, _: &[Shape]) -> Vec<Shape> {
        let width = self.fields * self.width;
        let looked_up = if self.longest > 0 { Shape::tokens(self.longest, width) } else { Shape::batch(width) };
        [looked_up].into_iter().chain((self.argmax > 0).then(|| Shape::batch(self.argmax))).collect()
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        if let Some(dx) = grads[0] {
            let (fields, sequences) = if self.longest > 0 { (0, self.fields) } else { (self.fields, 0) };
            let tags = if self.longest > 0 { 0 } else { graph.tables[self.table].longest_tags() };
            let argmax = self.argmax;
            let op = EmbedGrad {
                table: self.table,
                fields,
                sequences,
                longest: self.longest,
                tags,
                argmax,
                width: self.width,
            };
            let inputs: Vec<TensorId> = [dx].into_iter().chain(node.outputs.get(1).copied()).collect();
            graph.add(&node.name, op, &inputs);
        }
        Vec::new()
    }

    fn renumber(&mut self, numbers: &Renumbered) {
        self.table = numbers.tables[self.table];
    }

    fn inference(&self) -> Op {
        Self { argmax: 0, ..self.clone() }.into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let of_tags = if self.longest > 0 { 0 } else { batch * graph.tables[self.table].longest_tags() * self.width };
        let values = batch * self.fields * self.width + of_tags;
        let flops = 2 * of_tags + if graph.tables[self.table].has_values() { values - of_tags } else { 0 };
        Cost::of(node, graph, batch, flops)
            .plus_bytes(graph.tables[self.table].precision.bytes() * values + 4 * batch * (self.fields + 1))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let table = &graph.tables[self.table];
        let x = target.location(node.outputs[0]);
        target
            .shards(self.table, table.rows())
            .flat_map(|(shard, first, rows)| {
                let kernel = target
                    .kernel("embed", target.rows(self.longest > 0) * x.stride as usize / 4)
                    .with("X", x.first)
                    .with("FIRST_ROW", first)
                    .with("ROWS", rows)
                    .with("ORDER", target.batch_layout.order);
                let kernel = if self.longest > 0 { kernel } else { kernel.by_pieces() };
                let kernel = match &target.batch_layout.tokens {
                    Some(tokens) if self.longest > 0 => kernel
                        .with("TOKENS", true)
                        .with("TOKEN_ROWS", tokens.rows[self.table])
                        .with("FIELDS", self.fields)
                        .with("WIDTH", self.width),
                    _ => lookup_constants(kernel, graph, self.table, target),
                };
                let kernel = row_import(kernel, table).bind([
                    Arg::Table { table: self.table, shard, what: TableArg::Weights },
                    Arg::Ids,
                    Arg::Values,
                    Arg::Batches,
                ]);
                let of_tags = match self.longest {
                    0 => tags::kernels(self, node, table, target, (shard, first, rows)),
                    _ => Vec::new(),
                };
                [kernel].into_iter().chain(of_tags)
            })
            .collect()
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let value = export.embeddings[&(self.table, self.longest > 0)].clone();
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Embed {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        match &block.tables[self.table].weights {
            TableValues::Full(weights) => self.look_up(block, weights),
            TableValues::Half(weights) => self.look_up(block, weights),
        }
    }
}

/// The shader's import for the rows of a table as it stores them.
pub(crate) fn row_import(kernel: Kernel, table: &EmbeddingTable) -> Kernel {
    match table.precision {
        Precision::F32 => kernel,
        Precision::F16 => kernel.import("rows", "half_rows"),
    }
}

/// Fields a table with numeric fields can have: shaders keep one bit for each.
pub const MAX_FIELDS_WITH_NUMERIC: usize = 96;

/// The constants of `shaders/common/lookup.wgsl`: fields, widths and which fields are numeric.
pub(super) fn lookup_constants(kernel: Kernel, graph: &Graph, table: usize, target: &Target) -> Kernel {
    let table = &graph.tables[table];
    let first_column = table.fields[0].column;
    let mut masks = [0usize; MAX_FIELDS_WITH_NUMERIC / 32];
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
