//! Multi-head self-attention over the samples' sequences (SAML, equations 1 and 2).

use crate::cpu::{Columns, Lanes, Real, vectorized};
use crate::graph::{Graph, Node, Shape, TensorId};
use crate::ops::sequence::tokens::{clear, longest, place, with_tokens};
use crate::ops::{Block, Cost, Kernel, OnnxExport, Op, Operation, PerSample, Target};

/// softmax_j(q_p · k_j / √d) v_j for a sample's tokens p, head by head; or its mean over them, 0 for an empty sequence.
///
/// Each head has the same number of neighbouring columns. What comes after an average, such as a projection of the heads
/// together, can as well be applied to it as to every token.
///
/// Inputs: q and k [T, heads·d], v [T, heads·W]. Output: [T, heads·W], or the mean [B, heads·W].
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// How many heads there are.
    pub heads: usize,
    /// Whether the mean over a sample's tokens is taken.
    pub mean: bool,
}

/// The gradients of [`Attention`]'s inputs.
///
/// Inputs: dy [T, heads·W] or [B, heads·W], q, k, v. Outputs: those of q, k and v, 0 for tokens of no sample.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionGrad {
    /// That of the operation.
    pub attention: Attention,
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
            let max = weights.iter().fold(T::of(f64::NEG_INFINITY), |max, &score| max.max(score));
            let mut total = T::zero();
            for weight in weights.iter_mut() {
                *weight = ((*weight - max) * scale).exp_of_negative();
            }
            for weight in weights.iter() {
                total += *weight;
            }
            let inverse = T::one() / total;
            weights.iter_mut().for_each(|weight| *weight *= inverse);
        }
    }

    /// How much each token counts in the mean: the mean of the attention to it.
    fn mean_weights(&self) -> Vec<T> {
        let share = T::one() / T::of(self.length as f64);
        let to = |j: usize| self.weights.iter().skip(j).step_by(self.length).fold(T::zero(), |sum, &w| sum + w);
        (0..self.length).map(|j| to(j) * share).collect()
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
        vec![if self.mean { Shape::batch(inputs[2].cols) } else { inputs[2] }]
    }

    fn gradient(&self, node: &Node, grads: &[Option<TensorId>], graph: &mut Graph) -> Vec<Option<TensorId>> {
        let Some(dy) = grads[0] else { return vec![None; 3] };
        let op = AttentionGrad { attention: self.clone() };
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

    fn runs_by_samples(&self) -> bool {
        true
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let y = target.location(node.outputs[0]);
        let kernel = kernel("attention", self, &node.inputs, graph, target);
        vec![kernel.with("Y", y.first).with("Y_STRIDE", y.stride)]
    }

    fn onnx(&self, node: &Node, export: &mut OnnxExport<'_>) {
        let [q, k, v] = [0, 1, 2].map(|input| {
            let size = export.width(node.inputs[input]) / self.heads;
            let x = export.value(node.inputs[input]);
            let x = export.onnx.reshape(&x, &[0, 0, self.heads as i64, size as i64]);
            // [N, heads, P, size], and transposed keys
            export.onnx.transpose(&x, &if input == 1 { [0, 2, 3, 1] } else { [0, 2, 1, 3] })
        });
        let tokens = export.tokens();
        let size = export.width(node.inputs[0]) / self.heads;
        let width = export.width(node.outputs[0]) as i64;
        let onnx = &mut export.onnx;
        let scores = onnx.matmul(&q, &k);
        let scores = onnx.scaled(&scores, 1.0 / (size as f64).sqrt());
        // What is no token gets no attention, by a score that no other comes near; the mask then takes what is left.
        let [one, lowest] = [1.0, -1e30].map(|x| onnx.float(x));
        let absent = onnx.node("Sub", &[&one, &tokens.mask], &[]);
        let lowered = onnx.mul(&absent, &lowest);
        let lowered = onnx.unsqueeze(&lowered, 1);
        let lowered = onnx.unsqueeze(&lowered, 1);
        let scores = onnx.add(&scores, &lowered);
        let weights = onnx.softmax(&scores);
        let asks = onnx.unsqueeze(&tokens.mask, 2);
        let asks = onnx.unsqueeze(&asks, 1);
        let weights = onnx.mul(&weights, &asks);
        let value = if self.mean {
            let weights = onnx.sum(&weights, 2, true);
            let sums = onnx.matmul(&weights, &v);
            let sums = onnx.reshape(&sums, &[0, width]);
            onnx.mean_of(&sums, &tokens.counts)
        } else {
            let attended = onnx.matmul(&weights, &v);
            let attended = onnx.transpose(&attended, &[0, 2, 1, 3]);
            onnx.reshape(&attended, &[0, 0, width])
        };
        export.set(node.outputs[0], value);
    }
}

impl PerSample for Attention {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let columns = [0, 1, 2].map(|input| block.token_tensor(input));
        let width = columns[2].width() / self.heads;
        if self.mean {
            block.output(0).fill(Lanes::zero());
        } else {
            clear(block, 0..1);
        }
        let mut attention = Head::new();
        vectorized::<T, _>(
            #[inline(always)]
            || {
                for lane in 0..block.count() {
                    let tokens = block.tokens(lane);
                    if tokens.is_empty() {
                        continue;
                    }
                    for head in 0..self.heads {
                        attention.read(head, tokens.clone(), columns, self.heads);
                        let mean = if self.mean { attention.mean_weights() } else { Vec::new() };
                        let weights = if self.mean { mean.as_slice() } else { attention.weights.as_slice() };
                        for (p, weights) in weights.chunks_exact(attention.length).enumerate() {
                            for (c, v) in attention.v.chunks_exact(attention.length).enumerate() {
                                let sum = weights.iter().zip(v).fold(T::zero(), |sum, (&w, &v)| w.mul_add(v, sum));
                                let column = head * width + c;
                                if self.mean {
                                    block.output(0)[column].0[lane] = sum;
                                } else {
                                    let (number, at) = place(tokens.start + p);
                                    block.token_output(0, number)[column].0[at] = sum;
                                }
                            }
                        }
                    }
                }
            },
        );
    }
}

/// A kernel with the constants that both operations share; `tensors` are q, k and v.
fn kernel(shader: &'static str, op: &Attention, tensors: &[TensorId], graph: &Graph, target: &Target) -> Kernel {
    let [q, k, v] = [0, 1, 2].map(|i| target.location(tensors[i]));
    let heads = op.heads;
    let kernel = target
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
        .with("MEAN", op.mean);
    with_tokens(kernel, target)
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
        Cost::of(node, graph, batch, batch * pairs * (6 * shape.cols + 10 * self.attention.heads))
    }

    fn runs_by_samples(&self) -> bool {
        true
    }

    fn kernels(&self, node: &Node, graph: &Graph, target: &Target) -> Vec<Kernel> {
        let dy = target.location(node.inputs[0]);
        let place = |output: usize| target.location(node.outputs[output]).first;
        let kernel = kernel("attention_grad", &self.attention, &node.inputs[1..], graph, target)
            .with("DY", dy.first)
            .with("DY_STRIDE", dy.stride)
            .with("DQ", place(0))
            .with("DK", place(1))
            .with("DV", place(2));
        vec![kernel]
    }
}

impl PerSample for AttentionGrad {
    fn run<T: Real>(&self, block: &mut Block<'_, T>) {
        let Attention { heads, mean } = self.attention;
        let columns = [1, 2, 3].map(|input| block.token_tensor(input));
        let (size, width) = (columns[0].width() / heads, columns[2].width() / heads);
        clear(block, 0..3);
        let mut attention = Head::new();
        let (mut dy, mut towards) = (Vec::new(), Vec::new());
        let (mut of_q, mut of_k) = (Vec::new(), Vec::new());
        vectorized::<T, _>(
            #[inline(always)]
            || {
                for lane in 0..block.count() {
                    let tokens = block.tokens(lane);
                    let n = tokens.len();
                    if n == 0 {
                        continue;
                    }
                    let share = T::one() / T::of(n as f64);
                    let scale = T::one() / T::of(size as f64).sqrt();
                    // The rows of dy: one for the mean, or one for each token.
                    let rows = if mean { 1 } else { n };
                    for head in 0..heads {
                        attention.read(head, tokens.clone(), columns, heads);
                        if mean {
                            dy.clear();
                            dy.extend(block.columns(0)[head * width..][..width].iter().map(|dy| dy.0[lane]));
                        } else {
                            gather(&mut dy, block.token_tensor(0), tokens.clone(), head * width, width);
                        }
                        let means = if mean { attention.mean_weights() } else { Vec::new() };
                        let weights = if mean { means.as_slice() } else { attention.weights.as_slice() };
                        for (c, dy) in dy.chunks_exact(rows).enumerate() {
                            for (j, token) in tokens.clone().enumerate() {
                                let attended = weights.iter().skip(j).step_by(n).zip(dy);
                                let sum = attended.fold(T::zero(), |sum, (&w, &dy)| w.mul_add(dy, sum));
                                let (number, at) = place(token);
                                block.token_output(2, number)[head * width + c].0[at] = sum;
                            }
                        }
                        // The gradient of the attention to token j, of each row.
                        towards.clear();
                        towards.resize(rows * n, T::zero());
                        for (dy, v) in dy.chunks_exact(rows).zip(attention.v.chunks_exact(n)) {
                            for (towards, &dy) in towards.chunks_exact_mut(n).zip(dy) {
                                let dy = if mean { dy * share } else { dy };
                                for (towards, &v) in towards.iter_mut().zip(v) {
                                    *towards = dy.mul_add(v, *towards);
                                }
                            }
                        }
                        // From here on the gradients of the scores.
                        let every = towards.chunks_exact(n).cycle();
                        for (weights, towards) in attention.weights.chunks_exact_mut(n).zip(every) {
                            let mean = weights.iter().zip(towards).fold(T::zero(), |sum, (&a, &d)| a.mul_add(d, sum));
                            for (weight, &d) in weights.iter_mut().zip(towards) {
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
                                let (number, at) = place(token);
                                block.token_output(0, number)[head * size + c].0[at] = of_q[j];
                                block.token_output(1, number)[head * size + c].0[at] = of_k[j];
                            }
                        }
                    }
                }
            },
        );
    }
}
