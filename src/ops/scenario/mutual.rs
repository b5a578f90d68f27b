//! SAML's mutual unit (equations 6–8): a branch learns from those that are like it.

use crate::cpu::{LANES, Lanes, Real, dot, sigmoid, vectorized};
use crate::gpu::DeviceClass;
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::onnx::{Builder, Value};
use crate::ops::loss::orthogonality::SHORTEST;
use crate::ops::{Arg, Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target, first_lanes};

/// What α is a softmax of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alpha {
    /// Each cosine over the sum of them, as the paper has it.
    #[default]
    Paper,
    /// The cosines.
    Cosine,
}

/// The sum of the cosines is kept so far from 0.
const SMALLEST: f64 = 1e-6;

/// M_i = V_i + g_i Σ_{j≠i} α_ij V_j with g_i = σ(t_i) and α_i the softmax over j ≠ i of the cosines of V_i and V_j.
///
/// A sample's own branch has a tensor of its own: gradients flow through that one alone.
///
/// Inputs: V of all branches [B, branches·W], own V [B, W], own t [B, 1], and t of all [B, branches] where M of all is
/// wanted. Outputs: own M [B, W]; what made it [B, branches]: α, and g in its own place; and M of all
/// [B, branches·W] where t of all is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutual {
    /// How many branches there are, at least 2.
    pub branches: usize,
    /// What α is a softmax of.
    pub alpha: Alpha,
}

/// The gradients of own V and own t.
///
/// Inputs: that of own M, V of all, own V, own t. Outputs: those of own V [B, W] and of own t [B, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct MutualGrad {
    /// That of the operation.
    pub mutual: Mutual,
}

/// One branch of each sample of a block among the others.
struct Unit<T> {
    /// cos(V_i, V_j), what the softmax is of, and α; 0 at i.
    cosine: Vec<Lanes<T>>,
    score: Vec<Lanes<T>>,
    alpha: Vec<Lanes<T>>,
    /// 1 / (|V_i| |V_j|) where the cosine counts, else 0.
    inverse: Vec<Lanes<T>>,
    /// |V_i|², and what divides cosines.
    square: Lanes<T>,
    divisor: Lanes<T>,
    /// 1 where the divisor is the cosines' sum, else 0.
    divides: Lanes<T>,
}

impl<T: Real> Unit<T> {
    fn new(branches: usize) -> Self {
        let zeros = vec![Lanes::zero(); branches];
        Self {
            cosine: zeros.clone(),
            score: zeros.clone(),
            alpha: zeros.clone(),
            inverse: zeros,
            square: Lanes::zero(),
            divisor: Lanes::zero(),
            divides: Lanes::zero(),
        }
    }

    /// Computes the units of branches with values `v`, among `all`; `own[lane]` is the branch's number.
    #[inline(always)]
    fn compute(&mut self, alpha: Alpha, own: &[usize; LANES], v: &[Lanes<T>], all: &[Lanes<T>]) {
        let (zero, one) = (T::zero(), T::one());
        self.square = dot(v, v);
        let mut sum = Lanes::zero();
        for (j, other) in all.chunks_exact(v.len()).enumerate() {
            let (product, square) = (dot(v, other), dot(other, other));
            for (lane, &own) in own.iter().enumerate() {
                let (length, own_length) = (square.0[lane].sqrt(), self.square.0[lane].sqrt());
                let counts = own != j && length.min(own_length) >= T::of(SHORTEST);
                let inverse = if counts { one / (length * own_length) } else { zero };
                self.inverse[j].0[lane] = inverse;
                self.cosine[j].0[lane] = product.0[lane] * inverse;
            }
            sum = sum.plus(self.cosine[j]);
        }
        let mut max = Lanes::splat(T::of(f64::NEG_INFINITY));
        for (lane, &own) in own.iter().enumerate() {
            let sum = sum.0[lane];
            let divides = alpha == Alpha::Paper && sum.abs() >= T::of(SMALLEST);
            self.divides.0[lane] = if divides { one } else { zero };
            self.divisor.0[lane] = match alpha {
                Alpha::Cosine => one,
                Alpha::Paper if divides => sum,
                Alpha::Paper => T::of(if sum < zero { -SMALLEST } else { SMALLEST }),
            };
            for (j, score) in self.score.iter_mut().enumerate() {
                score.0[lane] = self.cosine[j].0[lane] / self.divisor.0[lane];
                if j != own {
                    max.0[lane] = max.0[lane].max(score.0[lane]);
                }
            }
        }
        let mut total = Lanes::zero();
        for (j, alpha) in self.alpha.iter_mut().enumerate() {
            for (lane, &own) in own.iter().enumerate() {
                let weight = (self.score[j].0[lane] - max.0[lane]).exp_of_negative();
                alpha.0[lane] = if own == j { zero } else { weight };
            }
            total = total.plus(*alpha);
        }
        let inverse = total.map(|total| one / total);
        self.alpha.iter_mut().for_each(|alpha| *alpha = alpha.times(inverse));
    }

    /// V_i + g Σ_j α_ij V_j.
    #[inline(always)]
    fn mix(&self, gate: Lanes<T>, v: &[Lanes<T>], all: &[Lanes<T>], out: &mut [Lanes<T>]) {
        out.copy_from_slice(v);
        for (&alpha, other) in self.alpha.iter().zip(all.chunks_exact(v.len())) {
            let weight = alpha.times(gate);
            for (out, &x) in out.iter_mut().zip(other) {
                out.add_product(weight, x);
            }
        }
    }
}

/// The branch of each lane's sample; that of no sample is 0.
fn own_branches<T: Real>(block: &Block<'_, T>) -> [usize; LANES] {
    let mut own = [0; LANES];
    for (own, &scenario) in own.iter_mut().zip(block.scenarios()) {
        *own = scenario as usize;
    }
    own
}

/// Numbers of one kernel in workgroup memory (`partial` in `shaders/common/block.wgsl`).
const BLOCK_NUMBERS: usize = 1024;

impl Mutual {
    /// The kernel of a shader of this name by samples or, ending in `_block`, by blocks of them: as far as `numbers` of a
    /// sample have room in workgroup memory.
    fn kernel(
        &self,
        [shader, block]: [&'static str; 2],
        numbers: usize,
        [all, own, t]: [TensorId; 3],
        graph: &Graph,
        target: &Target,
    ) -> Kernel {
        let kernel = match target.class {
            DeviceClass::Hardware if numbers <= BLOCK_NUMBERS => target.block_kernel_of_eights(block),
            _ => target.kernel(shader, target.capacity).by_pieces(),
        };
        let (at_all, at_own, at_t) = (target.location(all), target.location(own), target.location(t));
        kernel
            .with("ALL", at_all.first)
            .with("ALL_STRIDE", at_all.stride)
            .with("OWN", at_own.first)
            .with("OWN_STRIDE", at_own.stride)
            .with("T", at_t.first)
            .with("BRANCHES", self.branches)
            .with("WIDTH", graph.width(own))
            .with("DIVIDED", self.alpha == Alpha::Paper)
            .with("SHORTEST", SHORTEST)
            .with("SMALLEST", SMALLEST)
            .with("SCENARIOS", target.batch_layout.scenarios.unwrap_or(0))
    }
}

impl Mutual {
    /// M of some branches with values v [N, K, W] and gates [N, K, 1] among all [N, branches, W], and α [N, K, branches];
    /// `is_own` [·, K, branches] says which branch is itself.
    fn write_unit(&self, onnx: &mut Builder, [all, v, gate]: [&Value; 3], is_own: &Value) -> (Value, Value) {
        let [zero, one, shortest] = [0.0, 1.0, SHORTEST as f32].map(|x| onnx.float(x));
        let across = onnx.transpose(all, &[0, 2, 1]);
        let products = onnx.matmul(v, &across);
        let mut length = |x: &Value| {
            let squares = onnx.mul(x, x);
            let sum = onnx.sum(&squares, 2, true);
            onnx.node("Sqrt", &[&sum], &[])
        };
        let (of_v, of_all) = (length(v), length(all));
        let of_all = onnx.transpose(&of_all, &[0, 2, 1]);
        let shorter = onnx.node("Min", &[&of_v, &of_all], &[]);
        let is_long = onnx.node("GreaterOrEqual", &[&shorter, &shortest], &[]);
        let is_other = onnx.node("Not", &[is_own], &[]);
        let counts = onnx.node("And", &[&is_long, &is_other], &[]);
        let lengths = onnx.mul(&of_v, &of_all);
        let lengths = onnx.select(&counts, &lengths, &one);
        let cosines = onnx.node("Div", &[&products, &lengths], &[]);
        let cosines = onnx.select(&counts, &cosines, &zero);
        let scores = match self.alpha {
            Alpha::Cosine => cosines,
            Alpha::Paper => {
                let [smallest, negative] = [SMALLEST as f32, -SMALLEST as f32].map(|x| onnx.float(x));
                let sum = onnx.sum(&cosines, 2, true);
                let size = onnx.node("Abs", &[&sum], &[]);
                let divides = onnx.node("GreaterOrEqual", &[&size, &smallest], &[]);
                let is_negative = onnx.node("Less", &[&sum, &zero], &[]);
                let least = onnx.select(&is_negative, &negative, &smallest);
                let divisor = onnx.select(&divides, &sum, &least);
                onnx.node("Div", &[&cosines, &divisor], &[])
            }
        };
        let lowest = onnx.float(f32::NEG_INFINITY);
        let scores = onnx.select(is_own, &lowest, &scores);
        let alpha = onnx.softmax(&scores);
        let learned = onnx.matmul(&alpha, all);
        let learned = onnx.mul(&learned, gate);
        (onnx.add(v, &learned), alpha)
    }
}

impl Operation for Mutual {
    fn name(&self) -> &'static str {
        "mutual"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert!(self.branches > 1, "mutual: others to learn from");
        assert_eq!(inputs[0].cols, self.branches * inputs[1].cols, "mutual: the same columns for each branch");
        assert_eq!(inputs[2], Shape::batch(1), "mutual: one gate");
        let own = vec![inputs[1], Shape::batch(self.branches)];
        match inputs.get(3) {
            None => own,
            Some(gates) => {
                assert_eq!(*gates, Shape::batch(self.branches), "mutual: a gate for each branch");
                [own, vec![inputs[0]]].concat()
            }
        }
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let mut gradients = vec![None; node.inputs.len()];
        if let Some(dm) = grads[0] {
            let op = MutualGrad { mutual: self.clone() };
            let found = graph.add(&node.name, op, &[dm, node.inputs[0], node.inputs[1], node.inputs[2]]);
            (gradients[1], gradients[2]) = (Some(found[0]), Some(found[1]));
        }
        gradients
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let units = if node.inputs.len() > 3 { self.branches + 1 } else { 1 };
        Cost::of(node, graph, batch, batch * units * (self.branches - 1) * (6 * graph.width(node.inputs[1]) + 8))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [all, own, t] = [node.inputs[0], node.inputs[1], node.inputs[2]];
        let (m, made) = (target.location(node.outputs[0]), target.location(node.outputs[1]));
        let units = if node.inputs.len() > 3 { 1 + self.branches } else { 1 };
        let numbers = 1 + self.branches + units * self.branches;
        let kernel = self
            .kernel(["mutual", "mutual_block"], numbers, [all, own, t], graph, target)
            .with("M", m.first)
            .with("MADE", made.first)
            .with("MADE_STRIDE", made.stride)
            .with("EVERYONE", node.inputs.len() > 3);
        let kernel = match node.inputs.get(3) {
            None => kernel,
            Some(&gates) => {
                let gates = target.location(gates);
                let everyone = target.location(node.outputs[2]);
                kernel.with("GATES", gates.first).with("GATES_STRIDE", gates.stride).with("EVERYONES", everyone.first)
            }
        };
        vec![kernel.bind([Arg::Batches])]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let [all, own, t] = [0, 1, 2].map(|input| export.value(node.inputs[input]));
        let gates = node.inputs.get(3).map(|&gates| export.value(gates));
        let (branches, width) = (self.branches as i64, export.width(node.inputs[1]) as i64);
        let scenarios = export.scenarios();
        let onnx = &mut export.onnx;
        let all = onnx.reshape(&all, &[0, branches, width]);
        let every = onnx.ints(&(0..branches).collect::<Vec<_>>());
        // [N, 1, branches]: which branch is the sample's own
        let number = onnx.unsqueeze(&scenarios, 1);
        let number = onnx.unsqueeze(&number, 1);
        let is_own = onnx.node("Equal", &[&number, &every], &[]);
        let v = onnx.unsqueeze(&own, 1);
        let gate = onnx.sigmoid(&t);
        let gate = onnx.unsqueeze(&gate, 1);
        let (mixed, alpha) = self.write_unit(onnx, [&all, &v, &gate], &is_own);
        let mixed = onnx.reshape(&mixed, &[0, width]);
        let learned = onnx.select(&is_own, &gate, &alpha);
        let learned = onnx.reshape(&learned, &[0, branches]);
        let of_all = gates.map(|gates| {
            let gates = onnx.sigmoid(&gates);
            let gates = onnx.unsqueeze(&gates, 2);
            let column = onnx.reshape(&every, &[1, branches, 1]);
            let is_own = onnx.node("Equal", &[&column, &every], &[]);
            let (mixed, _) = self.write_unit(onnx, [&all, &all, &gates], &is_own);
            onnx.reshape(&mixed, &[0, branches * width])
        });
        for (&output, value) in node.outputs.iter().zip([Some(mixed), Some(learned), of_all].into_iter().flatten()) {
            export.set(output, value);
        }
    }
}

impl PerSample for Mutual {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let (all, v, t) = (block.columns(0), block.columns(1), block.columns(2));
        let everyone = (block.input_count() > 3).then(|| block.columns(3));
        let own = own_branches(block);
        let mut unit = Unit::new(self.branches);
        vectorized::<T, _>(
            #[inline(always)]
            || {
                unit.compute(self.alpha, &own, v, all);
                let gate = t[0].map(sigmoid);
                unit.mix(gate, v, all, block.output(0));
                let made = block.output(1);
                made.copy_from_slice(&unit.alpha);
                for (lane, &branch) in own.iter().enumerate() {
                    made[branch].0[lane] = gate.0[lane];
                }
                for (i, gate) in everyone.into_iter().flatten().enumerate() {
                    let columns = i * v.len()..(i + 1) * v.len();
                    unit.compute(self.alpha, &[i; LANES], &all[columns.clone()], all);
                    unit.mix(gate.map(sigmoid), &all[columns.clone()], all, &mut block.output(2)[columns]);
                }
            },
        );
    }
}

impl Operation for MutualGrad {
    fn name(&self) -> &'static str {
        "mutual_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        vec![inputs[2], inputs[3]]
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let others = self.mutual.branches - 1;
        Cost::of(node, graph, batch, batch * others * (12 * graph.width(node.inputs[2]) + 20))
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let [dm, all, own, t] = node.inputs[..] else { unreachable!("four inputs") };
        let place = |tensor| target.location(tensor).first;
        let shaders = ["mutual_grad", "mutual_grad_block"];
        let numbers = 2 + 3 * self.mutual.branches;
        let kernel = self.mutual.kernel(shaders, numbers, [all, own, t], graph, target).with("DM", place(dm));
        vec![kernel.with("DV", place(node.outputs[0])).with("DT", place(node.outputs[1])).bind([Arg::Batches])]
    }
}

impl PerSample for MutualGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let Mutual { branches, alpha } = self.mutual;
        let (dm, all, v, t) = (block.columns(0), block.columns(1), block.columns(2), block.columns(3));
        let own = own_branches(block);
        // Beyond the step's samples nothing may reach a sum.
        let live: Lanes<T> = first_lanes(block.count());
        let [dv, dt] = block.two_outputs();
        let mut unit = Unit::new(branches);
        let mut towards = vec![Lanes::zero(); branches];
        vectorized::<T, _>(
            #[inline(always)]
            || {
                unit.compute(alpha, &own, v, all);
                let gate = t[0].map(sigmoid);
                // dM · V_j, and its mean by α: dM · Σ α V.
                let mut mean = Lanes::zero();
                for ((towards, other), &alpha) in towards.iter_mut().zip(all.chunks_exact(v.len())).zip(&unit.alpha) {
                    *towards = dot(dm, other);
                    mean.add_product(alpha, *towards);
                }
                dt[0] = mean.times(gate).times(gate.map(|g| T::one() - g)).times(live);
                // The gradients of the scores, and Σ_j of these times the scores.
                let mut along = Lanes::zero();
                for ((towards, &alpha), &score) in towards.iter_mut().zip(&unit.alpha).zip(&unit.score) {
                    *towards = towards.plus(mean.map(|mean| -mean)).times(alpha).times(gate);
                    along.add_product(*towards, score);
                }
                let along = along.times(unit.divides);
                let mut back = Lanes::zero();
                for ((towards, &cosine), &inverse) in towards.iter_mut().zip(&unit.cosine).zip(&unit.inverse) {
                    for lane in 0..LANES {
                        let d = (towards.0[lane] - along.0[lane]) / unit.divisor.0[lane];
                        towards.0[lane] = d * inverse.0[lane];
                        // No cosine, no length to divide by.
                        if inverse.0[lane] > T::zero() {
                            back.0[lane] += d * cosine.0[lane] / unit.square.0[lane];
                        }
                    }
                }
                for ((dv, &dm), &v) in dv.iter_mut().zip(dm).zip(v) {
                    *dv = dm.plus(back.times(v).map(|x| -x));
                }
                for (&towards, other) in towards.iter().zip(all.chunks_exact(v.len())) {
                    for (dv, &x) in dv.iter_mut().zip(other) {
                        dv.add_product(towards, x);
                    }
                }
                for dv in dv {
                    *dv = dv.times(live);
                }
            },
        );
    }
}
