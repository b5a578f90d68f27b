//! The gradient of the rows that lookups have read.

use super::embed::lookup_constants;
use super::tags::{TagPart, owner};
use crate::cpu::{LANES, Real, for_chunks};
use crate::gpu::DeviceClass;
use crate::graph::{Graph, KeyLayout, Node, Shape};
use crate::ops::{Arg, BLOCK_INVOCATIONS, Batch, Cost, Kernel, Op, Operation, Phase, Reduce, Target};

/// The gradient of every distinct row the batch read: for row `unique[u]` the sum over its lookups, in order of
/// position, of dx (times the value, for numeric fields; times a value's part in what its list is pooled to, for tags).
///
/// Inputs: dx [B, fields·width], where sequences read the table theirs [T, sequences·width], and where tags are pooled by
/// maxima what [`Embed`](crate::ops::Embed) noted of these. Output: [B, (fields + longest·sequences + tags)·width], read as
/// rows `width` wide of which the first `count` are used.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedGrad {
    /// Number of the table.
    pub table: usize,
    /// Fields that read it.
    pub fields: usize,
    /// Sequences that read it.
    pub sequences: usize,
    /// The most tokens of a sample.
    pub longest: usize,
    /// The most values of a sample in all fields of tags.
    pub tags: usize,
    /// Columns that note maxima.
    pub argmax: usize,
    /// Values in a row.
    pub width: usize,
}

impl EmbedGrad {
    /// Rows for each sample: no step reads more different ones.
    pub fn rows(&self) -> usize {
        self.fields + self.longest * self.sequences + self.tags
    }

    /// Which input has what was noted of maxima, if any has.
    fn noted(&self) -> Option<usize> {
        (self.argmax > 0).then_some(1 + usize::from(self.sequences > 0))
    }
}

impl Operation for EmbedGrad {
    fn name(&self) -> &'static str {
        "embed_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let widths = [self.fields * self.width, self.sequences * self.width, self.argmax];
        let expected = widths.into_iter().filter(|&width| width > 0);
        assert!(inputs.iter().map(|input| input.cols).eq(expected), "embed_grad: widths");
        vec![Shape::batch(self.rows() * self.width)]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let lookups = batch * self.rows();
        Cost::of(node, graph, batch, lookups * self.width).plus_bytes(8 * lookups)
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let keys = target.batch_layout.keys[self.table];
        let quads = self.width.div_ceil(4);
        let of_lookups = |kernel: Kernel| {
            let dx = target.location(node.inputs[0]);
            let kernel = kernel
                .with("DX", dx.first)
                .with("DX_STRIDE", dx.stride)
                .with("GRADIENT", target.location(node.outputs[0]).first)
                .with("STARTS", keys.starts)
                .with("POSITIONS", keys.positions)
                .with("ORDER", target.batch_layout.order);
            let first_token = target.capacity * self.fields;
            let kernel = match node.inputs.get(1).filter(|_| self.sequences > 0) {
                None => kernel,
                Some(&tokens) => {
                    let of_tokens = target.location(tokens);
                    kernel
                        .with("SEQUENCES", self.sequences)
                        .with("FIRST_TOKEN", first_token)
                        .with("OF_TOKENS", of_tokens.first)
                        .with("OF_TOKENS_STRIDE", of_tokens.stride)
                }
            };
            let kernel = match &target.batch_layout.tags[self.table] {
                _ if self.tags == 0 => kernel,
                layout => kernel
                    .with("TAGS", true)
                    .with("FIRST_TAG", first_token + target.tokens * self.sequences)
                    .with("OWNERS", layout.owners)
                    .with("FACTORS", layout.factors),
            };
            let kernel = match self.noted() {
                None => kernel,
                Some(noted) => {
                    let argmax = target.location(node.inputs[noted]);
                    kernel.with("ARGMAX", argmax.first).with("ARGMAX_STRIDE", argmax.stride)
                }
            };
            lookup_constants(kernel, graph, self.table, target).bind([Arg::Values, Arg::Batches])
        };
        let kernel = target.kernel("embed_grad", keys.lookups * quads).by_items().with("COUNT", keys.count);
        let most_hot = KeyLayout::hot_capacity(keys.lookups);
        // Renderers have few threads to wait for.
        if target.class == DeviceClass::Software || most_hot == 0 || quads > BLOCK_INVOCATIONS / 2 {
            return vec![of_lookups(kernel)];
        }
        let hot = target
            .kernel("embed_grad_hot", most_hot * BLOCK_INVOCATIONS)
            .by_tiles()
            .with("HOT_COUNT", keys.hot_count)
            .with("HOT", keys.hot);
        let hot = target.exchanging(hot, "parts", "parts_subgroup");
        // What takes longest begins first.
        [hot, kernel.with("MOST", KeyLayout::MOST)].map(of_lookups).into()
    }
}

impl Reduce for EmbedGrad {
    fn phase(&self) -> Phase {
        Phase::Sums
    }

    fn reduce<T: Real>(&self, batch: &Batch<'_, T>, outputs: &mut [Vec<T>]) {
        let step = batch.step;
        let keys = step.batch_layout.keys[self.table];
        let count = step.words[keys.count] as usize;
        let starts = &step.words[keys.starts..];
        let positions = &step.words[keys.positions..];
        let fields = &step.layout[self.table].fields;
        let dx = batch.tensor(0);
        let of_tokens = (self.sequences > 0).then(|| batch.tensor(1));
        let noted = self.noted().map(|input| batch.tensor(input));
        let first_token = step.batch_layout.capacity * self.fields;
        let first_tag = first_token + step.batch_layout.token_capacity() * self.sequences;
        let of_tags = (self.tags > 0).then(|| &step.batch_layout.tags[self.table]);
        for_chunks(&mut outputs[0][..count * self.width], ROWS_PER_TASK * self.width, |chunk, rows| {
            for (i, out) in rows.chunks_exact_mut(self.width).enumerate() {
                out.fill(T::zero());
                let u = chunk * ROWS_PER_TASK + i;
                for &position in &positions[starts[u] as usize..starts[u + 1] as usize] {
                    if let (Some(layout), Some(place)) = (of_tags, (position as usize).checked_sub(first_tag)) {
                        let (position, part) = owner(&step, layout, place);
                        let (sample, field) = (position / self.fields, position % self.fields);
                        let (block, lane) = (sample / LANES, sample % LANES);
                        let dx = &dx.block(block)[field * self.width..][..self.width];
                        match (part, noted) {
                            (TagPart::Factor(factor), _) => {
                                let factor = T::of(f64::from(factor));
                                out.iter_mut().zip(dx).for_each(|(sum, d)| *sum += factor * d.0[lane]);
                            }
                            (TagPart::Largest { column, number }, Some(noted)) => {
                                let (number, noted) = (T::of(number as f64), &noted.block(block)[column..]);
                                for ((sum, d), noted) in out.iter_mut().zip(dx).zip(noted) {
                                    if noted.0[lane] == number {
                                        *sum += d.0[lane];
                                    }
                                }
                            }
                            (TagPart::Largest { .. }, None) => {
                                unreachable!("maxima are noted where they have gradients")
                            }
                        }
                        continue;
                    }
                    if let (Some(dx), Some(place)) = (of_tokens, (position as usize).checked_sub(first_token)) {
                        let (token, sequence) = (place / self.sequences, place % self.sequences);
                        let dx = &dx.block(token / LANES)[sequence * self.width..][..self.width];
                        for (sum, d) in out.iter_mut().zip(dx) {
                            *sum += d.0[token % LANES];
                        }
                        continue;
                    }
                    let (sample, field) = (position as usize / self.fields, position as usize % self.fields);
                    let dx = &dx.block(sample / LANES)[field * self.width..][..self.width];
                    let lane = sample % LANES;
                    let value = fields[field].value.map_or(T::one(), |column| {
                        let source = step.order()[sample] as usize;
                        T::of(f64::from(step.source.values[source * step.source.value_count + column]))
                    });
                    for (sum, d) in out.iter_mut().zip(dx) {
                        *sum += value * d.0[lane];
                    }
                }
            }
        });
    }
}

/// Distinct rows one task sums.
const ROWS_PER_TASK: usize = 256;
