//! Multi-head self-attention over the samples' sequences (SAML, equations 1 and 2), averaged over each sequence.

use super::{Arg, Block, Cost, Kernel, Op, Operation, Target};
use crate::cpu::{Columns, LANES, Lanes, Real, vectorized};
use crate::graph::{Graph, Node, Rows, Shape, TensorId};

/// The mean over a sample's tokens p of softmax_j(q_p · k_j / √d) v_j, head by head; 0 for an empty sequence.
///
/// Each head has the same number of neighbouring columns. What comes after an average, such as a projection of the heads
/// together, can as well be applied to it as to every token.
///
/// Inputs: q and k [T, heads·d], v [T, heads·W]. Output: [B, heads·W].
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// How many heads there are.
    pub heads: usize,
}

/// The gradients of [`Attention`]'s inputs.
///
/// Inputs: dy [B, heads·W], q, k, v. Outputs: those of q, k and v, 0 for tokens of no sample.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionGrad {
    /// That of the operation.
    pub heads: usize,
}

fn longest(shape: Shape) -> usize {
    match shape.rows {
        Rows::Tokens(longest) => longest,
        _ => panic!("attention is over tokens"),
    }
}

/// One sample's sequence: the columns of a head, each with its values side by side.
struct Head<T> {
    length: usize,
    q: Vec<T>,
    k: Vec<T>,
    v: Vec<T>,
    /// Token p's attention to token j, at p · length + j.
    weights: Vec<T>,
}

impl<T: Real> Head<T> {
    fn new() -> Self {
        Self { length: 0, q: Vec::new(), k: Vec::new(), v: Vec::new(), weights: Vec::new() }
    }

    /// Reads head number `head` and computes its attention.
    #[inline(always)]
    fn read(&mut self, head: usize, tokens: std::ops::Range<usize>, [q, k, v]: [Columns<'_, T>; 3], heads: usize) {
        self.length = tokens.len();
        let (size, width) = (q.width() / heads, v.width() / heads);
        gather(&mut self.q, q, tokens.clone(), head * size, size);
        gather(&mut self.k, k, tokens.clone(), head * size, size);
        gather(&mut self.v, v, tokens, head * width, width);
        let n = self.length;
        self.weights.clear();
        self.weights.resize(n * n, T::zero());
        let scale = T::one() / T::of(size as f64).sqrt();
        for (p, weights) in self.weights.chunks_exact_mut(n).enumerate() {
            for (q, k) in self.q.chunks_exact(n).zip(self.k.chunks_exact(n)) {
                for (weight, &k) in weights.iter_mut().zip(k) {
                    *weight = q[p].mul_add(k, *weight);
                }
            }
            let most = weights.iter().fold(T::of(f64::NEG_INFINITY), |most, &score| most.max(score));
            let mut total = T::zero();
            for weight in weights.iter_mut() {
                *weight = ((*weight - most) * scale).exp_of_negative();
            }
            for weight in weights.iter() {
                total += *weight;
            }
            let inverse = T::one() / total;
            weights.iter_mut().for_each(|weight| *weight *= inverse);
        }
    }

    /// How much token j counts: the mean of the attention to it.
    fn mean_weight(&self, j: usize) -> T {
        let sum = self.weights.iter().skip(j).step_by(self.length).fold(T::zero(), |sum, &weight| sum + weight);
        sum / T::of(self.length as f64)
    }
}

/// Columns of a sample's tokens, one after another.
#[inline(always)]
fn gather<T: Real>(
    to: &mut Vec<T>,
    columns: Columns<'_, T>,
    tokens: std::ops::Range<usize>,
    first: usize,
    count: usize,
) {
    to.clear();
    for column in first..first + count {
        to.extend(tokens.clone().map(|token| columns.value(token, column)));
    }
}

impl Operation for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        assert_eq!(inputs[0], inputs[1], "attention: q and k");
        assert!(inputs.iter().all(|input| input.cols.is_multiple_of(self.heads)), "attention: whole heads");
        longest(inputs[2]);
        vec![Shape::batch(inputs[2].cols)]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 3] };
        let op = AttentionGrad { heads: self.heads };
        let inputs = [dy, node.inputs[0], node.inputs[1], node.inputs[2]];
        graph.add(&node.name, op, &inputs).into_iter().map(Some).collect()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let shape = graph.shape(node.inputs[0]);
        let pairs = longest(shape) * longest(shape);
        Cost::of(node, graph, batch, batch * pairs * (2 * shape.cols + 4 * self.heads))
    }

    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let columns = [0, 1, 2].map(|input| block.token_tensor(input));
        let width = columns[2].width() / self.heads;
        block.output(0).fill(Lanes::zero());
        let mut attention = Head::new();
        vectorized(
            #[inline(always)]
            || {
                for lane in 0..block.count() {
                    let tokens = block.tokens(lane);
                    if tokens.is_empty() {
                        continue;
                    }
                    for head in 0..self.heads {
                        attention.read(head, tokens.clone(), columns, self.heads);
                        for j in 0..attention.length {
                            let weight = attention.mean_weight(j);
                            for (c, v) in attention.v.chunks_exact(attention.length).enumerate() {
                                let out = &mut block.output(0)[head * width + c].0[lane];
                                *out = weight.mul_add(v[j], *out);
                            }
                        }
                    }
                }
            },
        );
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let y = target.location(node.outputs[0]);
        let kernel = kernel("attention", self.heads, &node.inputs, graph, target);
        vec![kernel.with("Y", y.first).with("Y_STRIDE", y.stride).bind([Arg::Schedule])]
    }
}

/// A kernel with the constants that both operations share; `tensors` are q, k and v.
fn kernel(shader: &'static str, heads: usize, tensors: &[TensorId], graph: &Graph, target: &Target) -> Kernel {
    let [q, k, v] = [0, 1, 2].map(|i| target.location(tensors[i]));
    let layout = target.schedule.tokens.as_ref().expect("a graph with tokens has them in its slots");
    target
        .kernel(shader, target.capacity)
        .with("Q", q.first)
        .with("K", k.first)
        .with("Q_STRIDE", q.stride)
        .with("V", v.first)
        .with("V_STRIDE", v.stride)
        .with("HEADS", heads)
        .with("SIZE", graph.width(tensors[0]) / heads)
        .with("WIDTH", graph.width(tensors[2]) / heads)
        .with("LONGEST", longest(graph.shape(tensors[0])))
        .with("STARTS", layout.starts)
        .with("LENGTHS", layout.lengths)
}

impl Operation for AttentionGrad {
    fn name(&self) -> &'static str {
        "attention_grad"
    }

    fn outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        inputs[1..].to_vec()
    }

    fn inference(&self) -> Op {
        self.clone().into()
    }

    fn cost(&self, node: &Node, graph: &Graph, batch: usize) -> Cost {
        let shape = graph.shape(node.inputs[1]);
        let pairs = longest(shape) * longest(shape);
        Cost::of(node, graph, batch, batch * pairs * (6 * shape.cols + 10 * self.heads))
    }

    fn runs_by_samples(&self) -> bool {
        true
    }

    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let dy = block.columns(0);
        let columns = [1, 2, 3].map(|input| block.token_tensor(input));
        let (size, width) = (columns[0].width() / self.heads, columns[2].width() / self.heads);
        for tokens in block.token_blocks() {
            (0..3).for_each(|output| block.token_output(output, tokens).fill(Lanes::zero()));
        }
        let mut attention = Head::new();
        let (mut of_q, mut of_k, mut towards) = (Vec::new(), Vec::new(), Vec::new());
        vectorized(
            #[inline(always)]
            || {
                for lane in 0..block.count() {
                    let tokens = block.tokens(lane);
                    let n = tokens.len();
                    if n == 0 {
                        continue;
                    }
                    let inverse = T::one() / T::of(n as f64);
                    let scale = T::one() / T::of(size as f64).sqrt();
                    for head in 0..self.heads {
                        attention.read(head, tokens.clone(), columns, self.heads);
                        // The gradient of the attention to token j, whoever pays it.
                        towards.clear();
                        towards.resize(n, T::zero());
                        for (c, v) in attention.v.chunks_exact(n).enumerate() {
                            let d = dy[head * width + c].0[lane] * inverse;
                            for (towards, &v) in towards.iter_mut().zip(v) {
                                *towards = d.mul_add(v, *towards);
                            }
                        }
                        for (j, token) in tokens.clone().enumerate() {
                            let weight = attention.mean_weight(j);
                            let dv = block.token_output(2, token / LANES);
                            for c in 0..width {
                                dv[head * width + c].0[token % LANES] = weight * dy[head * width + c].0[lane];
                            }
                        }
                        // From here on the gradients of the scores.
                        for weights in attention.weights.chunks_exact_mut(n) {
                            let mean = weights.iter().zip(&towards).fold(T::zero(), |sum, (&a, &d)| a.mul_add(d, sum));
                            for (weight, &d) in weights.iter_mut().zip(&towards) {
                                *weight = *weight * (d - mean) * scale;
                            }
                        }
                        for c in 0..size {
                            let (q, k) = (&attention.q[c * n..][..n], &attention.k[c * n..][..n]);
                            of_q.clear();
                            of_k.clear();
                            of_k.resize(n, T::zero());
                            for (weights, &q) in attention.weights.chunks_exact(n).zip(q) {
                                of_q.push(weights.iter().zip(k).fold(T::zero(), |sum, (&d, &k)| d.mul_add(k, sum)));
                                for (of_k, &d) in of_k.iter_mut().zip(weights) {
                                    *of_k = d.mul_add(q, *of_k);
                                }
                            }
                            for (j, token) in tokens.clone().enumerate() {
                                let (at, lane) = (head * size + c, token % LANES);
                                block.token_output(0, token / LANES)[at].0[lane] = of_q[j];
                                block.token_output(1, token / LANES)[at].0[lane] = of_k[j];
                            }
                        }
                    }
                }
            },
        );
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let dy = target.location(node.inputs[0]);
        let place = |output: usize| target.location(node.outputs[output]).first;
        let kernel = kernel("attention_grad", self.heads, &node.inputs[1..], graph, target)
            .with("DY", dy.first)
            .with("DY_STRIDE", dy.stride)
            .with("DQ", place(0))
            .with("DK", place(1))
            .with("DV", place(2));
        vec![kernel.bind([Arg::Schedule])]
    }
}
