//! `dnn` and `mi-dpg` (decomposition r, d_k 1, interleave, MIR by shuffle) as Burn modules.

use burn::module::Param;
use burn::nn::{Embedding, EmbeddingConfig, Initializer, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::{relu, sigmoid, softplus};

/// Hidden width of the auxiliary nets and of the discriminators.
const AUXILIARY: usize = 32;

/// How a weighted layer is computed. None builds a sample's d_m × d_n matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each input block's share of the outputs, then summed with the weights: B × d_c × d_m.
    Outputs,
    /// The input scaled for each output block, then multiplied by its weights: B × d_r × d_n.
    Inputs,
}

/// Sizes of a model.
#[derive(Clone, Debug)]
pub struct Sizes {
    pub fields: usize,
    pub aware: usize,
    pub width: usize,
    pub hidden: Vec<usize>,
}

impl Sizes {
    fn layers(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let outputs = self.hidden.iter().copied().chain([1]);
        let inputs = [self.fields * self.width].into_iter().chain(self.hidden.iter().copied());
        inputs.zip(outputs)
    }
}

/// Either model: `dnn` has plain layers, `mi-dpg` weighted ones. The embedding is here when its gradient is dense.
#[derive(Module, Debug)]
pub struct Network {
    embedding: Option<Embedding>,
    plain: Vec<Linear>,
    weighted: Vec<Weighted>,
    aware: usize,
}

fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    LinearConfig::new(inputs, outputs).with_initializer(Initializer::XavierUniform { gain: 1.0 }).init(device)
}

/// A table of `rows` with first values N(0, 0.05²).
pub fn embedding(rows: usize, width: usize, device: &Device) -> Embedding {
    EmbeddingConfig::new(rows, width).with_initializer(Initializer::Normal { mean: 0.0, std: 0.05 }).init(device)
}

impl Network {
    pub fn new(weighted: bool, sizes: &Sizes, embedding: Option<Embedding>, device: &Device) -> Self {
        let aware = sizes.aware * sizes.width;
        let (mut plain, mut gated) = (Vec::new(), Vec::new());
        for (inputs, outputs) in sizes.layers() {
            if weighted {
                gated.push(Weighted::new(aware, inputs, outputs, device));
            } else {
                plain.push(linear(inputs, outputs, device));
            }
        }
        Self { embedding, plain, weighted: gated, aware }
    }

    /// x [B, fields·width] of ids [B, fields], by the dense table.
    pub fn look_up(&self, ids: Tensor<2, Int>) -> Tensor<2> {
        self.embedding.as_ref().expect("the table is the network's").forward(ids).flatten(1, 2)
    }

    /// What is minimised, and its cross entropy.
    pub fn loss(
        &self,
        x: Tensor<2>,
        labels: Tensor<2>,
        shuffle: &Tensor<1, Int>,
        form: Form,
    ) -> (Tensor<1>, Tensor<1>) {
        let layers = self.plain.len().max(self.weighted.len());
        let activate = |layer: usize, h: Tensor<2>| if layer + 1 < layers { relu(h) } else { h };
        let mut h = x.clone();
        for (l, layer) in self.plain.iter().enumerate() {
            h = activate(l, layer.forward(h));
        }
        let mut terms = Vec::new();
        if !self.weighted.is_empty() {
            let aware = x.slice_dim(1, 0..self.aware);
            for (l, layer) in self.weighted.iter().enumerate() {
                let (out, s) = layer.forward(aware.clone(), h, form);
                terms.push(layer.mutual_information(aware.clone(), s, shuffle.clone()));
                h = activate(l, out);
            }
        }
        let bce = (softplus(h.clone(), 1.0) - labels * h).mean();
        let count = terms.len() as f32;
        let total = terms.into_iter().reduce(|sum, term| sum + term);
        (total.map_or_else(|| bce.clone(), |mi| bce.clone() + mi / count), bce)
    }
}

/// (ψ(S) ⊙ W) h + b with S = σ(S_R C_share), and the discriminator of S.
#[derive(Module, Debug)]
struct Weighted {
    main: Linear,
    row_hidden: Linear,
    row: Linear,
    column_share: Param<Tensor<3>>,
    from_aware: Linear,
    from_weighting: Linear,
    score: Linear,
    rows: usize,
    cols: usize,
}

impl Weighted {
    fn new(aware: usize, inputs: usize, outputs: usize, device: &Device) -> Self {
        let (rows, cols) = ((outputs / 4).max(1), (inputs / 4).max(1));
        let half = |inputs: usize| LinearConfig::new(inputs, AUXILIARY).with_bias(false).init(device);
        Self {
            main: linear(inputs, outputs, device),
            row_hidden: linear(aware + inputs, AUXILIARY, device),
            row: linear(AUXILIARY, rows, device),
            column_share: Initializer::Normal { mean: 0.0, std: 1.0 }.init([1, 1, cols], device),
            from_aware: half(aware),
            from_weighting: linear(rows * cols, AUXILIARY, device),
            score: linear(AUXILIARY, 1, device),
            rows,
            cols,
        }
    }

    /// The layer's result, and S before ψ: [B, d_r, d_c].
    fn forward(&self, aware: Tensor<2>, h: Tensor<2>, form: Form) -> (Tensor<2>, Tensor<3>) {
        let [batch, inputs] = h.dims();
        let [_, outputs] = self.main.weight.dims();
        let (rows, cols) = (self.rows, self.cols);
        let u = Tensor::cat(vec![aware, h.clone()], 1);
        let row = self.row.forward(relu(self.row_hidden.forward(u)));
        let s = sigmoid(row.unsqueeze_dim::<3>(2) * self.column_share.val());
        let out = match form {
            Form::Outputs => {
                let w = self.main.weight.val().reshape([cols, inputs / cols, outputs]);
                let z = h.reshape([batch, cols, inputs / cols]).swap_dims(0, 1).matmul(w);
                let z = z.reshape([cols, batch, rows, outputs / rows]);
                let s: Tensor<4> = s.clone().permute([2, 0, 1]).unsqueeze_dim(3);
                (s * z).sum_dim(0).reshape([batch, outputs])
            }
            Form::Inputs => {
                let h: Tensor<4> = h.reshape([batch, 1, cols, inputs / cols]);
                let scaled = (s.clone().unsqueeze_dim::<4>(3) * h).reshape([batch, rows, inputs]);
                let w = self.main.weight.val().reshape([inputs, rows, outputs / rows]).swap_dims(0, 1);
                scaled.swap_dims(0, 1).matmul(w).swap_dims(0, 1).reshape([batch, outputs])
            }
        };
        let bias = self.main.bias.as_ref().expect("it was made with a bias").val().unsqueeze_dim(0);
        (out + bias, s)
    }

    fn mutual_information(&self, aware: Tensor<2>, s: Tensor<3>, shuffle: Tensor<1, Int>) -> Tensor<1> {
        let a = self.from_aware.forward(aware);
        let b = self.from_weighting.forward(s.flatten(1, 2));
        let positive = self.score.forward(relu(a.clone() + b.clone()));
        let negative = self.score.forward(relu(a.select(0, shuffle) + b));
        (softplus(-positive, 1.0) + softplus(negative, 1.0)).mean()
    }
}
