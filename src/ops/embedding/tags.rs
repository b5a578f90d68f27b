//! Fields of tags: the embeddings of a sample's values, pooled to one.
//!
//! `embed` pools as it looks up, and `embed_grad` hands the pooled embedding's gradient to the lookups: nothing has a row for
//! each value. Of maxima `embed` notes, while training, which value of the list each column is of.

use crate::cpu::{Lanes, Real};
use crate::graph::{EmbeddingTable, Node, Pooling, TagLayout, Tags};
use crate::ops::{Arg, Embed, Kernel, Location, StepView, Stored, TableArg, Target, row_import};

/// Columns of a sample's row that lie in the same groups of four as a field's: those of the fields beside it as well.
fn quads(table: &EmbeddingTable, field: usize) -> usize {
    (shift(table, field) + table.width).div_ceil(4)
}

/// Columns of fields before it in the first such group.
fn shift(table: &EmbeddingTable, field: usize) -> usize {
    field * table.width % 4
}

/// Columns of what `embed` notes of maxima: for each field so pooled as many groups of four as its embedding has a part of.
pub(crate) fn argmax_width(table: &EmbeddingTable) -> usize {
    argmax_group(table, table.fields.len())
}

/// The first of these columns that belongs to a field's groups.
fn argmax_group(table: &EmbeddingTable, field: usize) -> usize {
    let before = table.tags().filter(|&(other, tags)| other < field && tags.pooling == Pooling::Max);
    before.map(|(other, _)| 4 * quads(table, other)).sum()
}

/// The column that stands for the first of a field's embedding.
pub(crate) fn argmax_column(table: &EmbeddingTable, field: usize) -> usize {
    argmax_group(table, field) + shift(table, field)
}

impl StepView<'_> {
    /// The places of a sample's values, in a table's field of tags number `number`.
    pub(super) fn places(&self, table: usize, number: usize, sample: usize) -> std::ops::Range<usize> {
        let starts = &self.words[self.batch_layout.tags[table].starts[number] + sample..];
        starts[0] as usize..starts[1] as usize
    }
}

/// One field of one block: `out` are the columns of its embedding, `argmax` those that note maxima, if any does.
pub(super) fn pool<T: Real, S: Stored<T>>(
    step: &StepView<'_>,
    (table, number): (usize, usize),
    tags: Tags,
    weights: &[S],
    samples: std::ops::Range<usize>,
    out: &mut [Lanes<T>],
    mut argmax: Option<&mut [Lanes<T>]>,
) {
    let layout = &step.batch_layout.tags[table];
    let width = out.len();
    let mut buffer = S::buffer(width);
    out.fill(Lanes::zero());
    for (lane, sample) in samples.enumerate() {
        for (number, place) in step.places(table, number, sample).enumerate() {
            let row = step.words[layout.rows + place] as usize;
            let values = S::values(&weights[row * width..][..width], &mut buffer);
            if tags.pooling != Pooling::Max {
                let factor = T::of(f64::from(f32::from_bits(step.words[layout.factors + place])));
                for (x, &value) in out.iter_mut().zip(values) {
                    x.0[lane] = factor.mul_add(value, x.0[lane]);
                }
                continue;
            }
            for (column, (x, &value)) in out.iter_mut().zip(values).enumerate() {
                if number == 0 || value > x.0[lane] {
                    x.0[lane] = value;
                    if let Some(argmax) = &mut argmax {
                        argmax[column].0[lane] = T::of(number as f64);
                    }
                }
            }
        }
    }
}

/// What the embedding of a tag counts in the pooled one.
pub(super) enum TagPart {
    /// So much, in all columns.
    Factor(f32),
    /// All, in the columns that are its own: where from `column` on this number is noted.
    Largest { column: usize, number: usize },
}

/// Of the value at a place of a table's tags: `sample * fields + field`, and its part.
pub(super) fn owner(step: &StepView<'_>, layout: &TagLayout, place: usize) -> (usize, TagPart) {
    let [owner, word] = [layout.owners, layout.factors].map(|first| step.words[first + place]);
    let part = if owner & TagLayout::OF_MAX != 0 {
        let number = word as usize & ((1 << TagLayout::NUMBER_BITS) - 1);
        TagPart::Largest { column: (word >> TagLayout::NUMBER_BITS) as usize, number }
    } else {
        TagPart::Factor(f32::from_bits(word))
    };
    ((owner & !TagLayout::OF_MAX) as usize, part)
}

/// A kernel for each field of tags, of one shard of the table.
pub(super) fn kernels(
    op: &Embed,
    node: &Node,
    table: &EmbeddingTable,
    target: &Target,
    (shard, first, rows): (usize, usize, usize),
) -> Vec<Kernel> {
    let layout = &target.batch_layout.tags[op.table];
    let x = target.location(node.outputs[0]);
    let argmax = node.outputs.get(1).map_or(Location { first: 0, stride: 0 }, |&noted| target.location(noted));
    table
        .tags()
        .enumerate()
        .map(|(number, (field, tags))| {
            let across = quads(table, field);
            let is_max = tags.pooling == Pooling::Max;
            let kernel = target
                .kernel("embed_tags", target.capacity * across)
                .by_pieces()
                .with("X", x.first + (field * op.width - shift(table, field)) as u32)
                .with("X_STRIDE", x.stride)
                .with("WIDTH", op.width)
                .with("SHIFT", shift(table, field))
                .with("ACROSS", across)
                .with("STARTS", layout.starts[number])
                .with("TAG_ROWS", layout.rows)
                .with("FACTORS", layout.factors)
                .with("LARGEST", is_max)
                .with("NOTED", is_max && op.argmax > 0)
                .with("ARGMAX", argmax.first + argmax_group(table, field) as u32)
                .with("ARGMAX_STRIDE", argmax.stride)
                .with("FIRST_ROW", first)
                .with("ROWS", rows);
            row_import(kernel, table)
                .bind([Arg::Table { table: op.table, shard, what: TableArg::Weights }, Arg::Batches])
        })
        .collect()
}
