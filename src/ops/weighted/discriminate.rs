//! Discriminators of mutual-information regularisation (MI-DPG, equations 6 and 7): scores, loss and gradient in one.

use crate::cpu::{LANES, Lanes, Real, log1p_exp, sigmoid, vectorized};
use crate::gpu::DeviceClass;
use crate::graph::{Graph, Node, Shape, TensorId, WarmUp};
use crate::ops::descriptors::Groups;
use crate::ops::loss::SAMPLES_PER_GROUP;
use crate::ops::{Activation, Arg, PerSample};
use crate::ops::{
    Affine, AffinePart, Block, Cost, GradItem, GradPair, Kernel, Op, Operation, Renumbered, RowMap, Target, View,
    WeightGrads,
};

/// One discriminator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pairing {
    /// Weight of its two losses in the total.
    pub weight: f64,
    /// Where its two columns of the loss log begin.
    pub first_column: usize,
}

/// T(e, S) = w · ReLU(A e + B S + b) + c on true pairs (e_i, S_i) and on shuffled ones (e_π(i), S_i), with the loss
/// mean[softplus(−t⁺) + softplus(t⁻)] and its gradient.
///
/// Inputs, for each discriminator: A e [B, H], B S + b [B, H], w [1, H], c [1, 1].
/// Outputs, for each: z = d total / d (the sum under the ReLU) [B, 2H], of the true pair and of the shuffled one;
/// their sum [B, H]; the ReLU's values [B, 2H]; d total / d t [B, 2].
#[derive(Clone, Debug, PartialEq)]
pub struct Discriminate {
    /// H.
    pub hidden: usize,
    /// The discriminators.
    pub pairings: Vec<Pairing>,
    /// How their losses' weights grow.
    pub warm_up: WarmUp,
}

/// Inputs and outputs of one discriminator.
const EACH: usize = 4;

impl Operation for Discriminate {
    fn name(&self) -> &'static str {
        "discriminate"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let hidden = self.hidden;
        assert_eq!(inputs.len(), EACH * self.pairings.len());
        for inputs in inputs.chunks_exact(EACH) {
            let expected = [Shape::batch(hidden), Shape::batch(hidden), Shape::fixed(1, hidden), Shape::fixed(1, 1)];
            assert_eq!(inputs, expected, "discriminate: shapes");
        }
        let outputs = [2 * hidden, hidden, 2 * hidden, 2].map(Shape::batch);
        self.pairings.iter().flat_map(|_| outputs).collect()
    }

    fn is_loss(&self) -> bool {
        true
    }

    fn renumber(&mut self, numbers: &Renumbered) {
        self.pairings.iter_mut().for_each(|pairing| pairing.first_column += numbers.loss_columns);
    }

    fn gradient(&self, node: &Node, _: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let hidden = self.hidden;
        let mut gradients = Vec::new();
        for outputs in node.outputs.chunks_exact(EACH) {
            let [z, sum, _, _] = outputs[..] else { unreachable!("four outputs each") };
            let parts = [(0, RowMap::Same), (hidden, RowMap::Unshuffled)]
                .map(|(from, rows)| AffinePart::view(z, from, 0, hidden, rows));
            gradients.push(Affine::sum(graph, &node.name, hidden, &parts, Activation::None));
            gradients.push(sum);
            // t = w · y + c: both pairs count towards w and c.
            let (y, dt) = (View::of(0), View::of(1));
            let pair = |dz: View, x: Option<View>| GradPair { dz, x, scenario: None };
            let op = WeightGrads {
                items: vec![
                    GradItem {
                        output: 0,
                        row: 0,
                        col: 0,
                        rows: 1,
                        cols: hidden,
                        pairs: vec![pair(dt, Some(y)), pair(dt.shifted(1), Some(y.shifted(hidden)))],
                    },
                    GradItem {
                        output: 1,
                        row: 0,
                        col: 0,
                        rows: 1,
                        cols: 1,
                        pairs: vec![pair(dt, None), pair(dt.shifted(1), None)],
                    },
                ],
                shapes: vec![Shape::fixed(1, hidden), Shape::fixed(1, 1)],
            };
            gradients.extend(graph.add(&node.name, op, &outputs[2..]));
        }
        gradients.into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        Cost::of(node, graph, batch, batch * self.pairings.len() * (2 * 6 * self.hidden + 16))
    }

    fn shuffled_inputs(&self) -> Vec<usize> {
        (0..self.pairings.len()).map(|index| EACH * index).collect()
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        kernels(self, node, graph, target)
    }
}

impl PerSample for Discriminate {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        vectorized::<T, _>(
            #[inline(always)]
            || {
                let inverse_rows = T::one() / block.step.mean_rows::<T>();
                for (index, pairing) in self.pairings.iter().enumerate() {
                    self.pairing(block, index, *pairing, inverse_rows);
                }
            },
        );
    }
}

impl Discriminate {
    #[inline(always)]
    fn pairing<T: Real>(&self, block: &mut Block<'_, T>, index: usize, pairing: Pairing, inverse_rows: T) {
        let (hidden, count) = (self.hidden, block.count());
        let [inputs, outputs] = [EACH * index; 2];
        let (from_aware, aware) = (block.columns(inputs), block.tensor(inputs));
        let from_weighting = block.columns(inputs + 1);
        let (w, bias) = (block.matrix(inputs + 2), block.matrix(inputs + 3)[0]);
        let mut scores = [Lanes::splat(bias); 2];
        // For each lane the block and the lane that π names; for lanes without a sample, their own.
        let others: [(&[Lanes<T>], usize); LANES] = std::array::from_fn(|lane| {
            let row = if lane < count { block.mapped(RowMap::Shuffled, lane) } else { block.first() };
            (aware.block(row / LANES), row % LANES)
        });
        for k in 0..hidden {
            let mut shuffled = Lanes::zero();
            for (value, (columns, lane)) in shuffled.0.iter_mut().zip(others) {
                *value = columns[k].0[lane];
            }
            for (half, aware) in [from_aware[k], shuffled].into_iter().enumerate() {
                let y = aware.plus(from_weighting[k]).map(|x| x.max(T::zero()));
                scores[half].add_scaled(w[k], y);
                block.output(outputs + 2)[half * hidden + k] = y;
            }
        }
        let weight = T::of(pairing.weight * self.warm_up.at(block.uniforms.step)) * inverse_rows;
        for (half, t) in scores.into_iter().enumerate() {
            let target = if half == 0 { T::one() } else { T::zero() };
            let (mut losses, mut gradients) = (Lanes::zero(), Lanes::zero());
            for lane in 0..count {
                losses.0[lane] = log1p_exp(t.0[lane]) - t.0[lane] * target;
                gradients.0[lane] = weight * (sigmoid(t.0[lane]) - target);
            }
            *block.log(pairing.first_column + half) = losses;
            block.output(outputs + 3)[half] = gradients;
            for (k, &w) in w.iter().enumerate() {
                let y = block.output(outputs + 2)[half * hidden + k];
                let through = y.map(|y| if y > T::zero() { w } else { T::zero() });
                let z = gradients.times(through);
                block.output(outputs)[half * hidden + k] = z;
                let sum = &mut block.output(outputs + 1)[k];
                *sum = if half == 0 { z } else { sum.plus(z) };
            }
        }
    }
}

fn kernels(op: &Discriminate, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
    let mut groups = Groups::default();
    let mut descriptors = Vec::new();
    for ((pairing, inputs), outputs) in
        op.pairings.iter().zip(node.inputs.chunks_exact(4)).zip(node.outputs.chunks_exact(4))
    {
        let [aware, weighting, w, c] = [0, 1, 2, 3].map(|input| target.location(inputs[input]));
        let [z, sum, y, dt] = [0, 1, 2, 3].map(|output| target.location(outputs[output]));
        let quads = vec![
            [aware.first, aware.stride, weighting.first, weighting.stride],
            [z.first, sum.first, y.first, dt.first],
            [z.stride, sum.stride, y.stride, w.first],
            [c.first, pairing.first_column as u32, (pairing.weight as f32).to_bits(), 0],
        ];
        descriptors.extend(quads.iter().flatten());
        groups.begin(target.lanes);
        groups.item([0, 0], quads);
    }
    let kernel = match target.class {
        DeviceClass::Software => {
            target.kernel("discriminate", groups.count() * SAMPLES_PER_GROUP).in_groups_of(SAMPLES_PER_GROUP as u32)
        }
        DeviceClass::Hardware => target.block_kernel("discriminate_block").with("PAIRINGS", op.pairings.len()),
    };
    let kernel = kernel
        .with("HIDDEN", op.hidden)
        .with("SCALED", target.mixed_precision)
        .with("WARM_UP", op.warm_up.0)
        .with("SHUFFLE", target.batch_layout.shuffle)
        .with("LANES", target.lanes)
        .with("LOG_WIDTH", graph.loss_columns)
        .bind([Arg::Descriptors, Arg::Parameters, Arg::Batches, Arg::Losses]);
    match target.class {
        DeviceClass::Software => vec![groups.into_descriptors(kernel)],
        DeviceClass::Hardware => vec![Kernel { descriptors, ..kernel }],
    }
}
