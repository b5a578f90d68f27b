//! An embedding table whose updates touch the batch's rows alone. Burn's optimisers are dense; this is what a user
//! writes by hand around them.

use burn::nn::Embedding;
use burn::prelude::*;
use burn::tensor::{Gradients, IndexingUpdateOp};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The table and its moments, outside autodiff.
pub struct Rows {
    weight: Option<Tensor<2>>,
    first: Option<Tensor<2>>,
    second: Option<Tensor<2>>,
    steps: i32,
}

/// The distinct rows of a batch: where they lie, and their values as a leaf.
pub struct Leaf {
    rows: Tensor<1, Int>,
    values: Tensor<2>,
}

impl Rows {
    pub fn new(table: Embedding) -> Self {
        let weight = table.weight.val().without_autodiff();
        let zeros = weight.zeros_like();
        Self { first: Some(zeros.clone().mul_scalar(1.0)), second: Some(zeros), weight: Some(weight), steps: 0 }
    }

    /// x [B, fields·width] of the batch's ids, and the leaf it was read from.
    pub fn look_up(&self, ids: &[u32], batch: usize, device: &Device) -> (Tensor<2>, Leaf) {
        let mut distinct = ids.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let place = |id: &u32| distinct.binary_search(id).expect("it is one of them") as i32;
        let inverse: Vec<i32> = ids.iter().map(place).collect();
        let inverse = Tensor::<1, Int>::from_data(TensorData::new(inverse, [ids.len()]), device);
        let count = distinct.len();
        let rows: Vec<i32> = distinct.into_iter().map(|row| row as i32).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &device.clone().without_autodiff());
        let weight = self.weight.clone().expect("it is put back after each update");
        let values = weight.select(0, rows.clone()).autodiff().require_grad();
        let x = values.clone().select(0, inverse);
        let width = x.dims()[1] * ids.len() / batch;
        (x.reshape([batch, width]), Leaf { rows, values })
    }

    /// Adam of the leaf's rows; moments of the others stay.
    pub fn step(&mut self, leaf: Leaf, gradients: &mut Gradients, rate: f64) {
        self.steps += 1;
        let rate = rate * (1.0 - BETA2.powi(self.steps)).sqrt() / (1.0 - BETA1.powi(self.steps));
        let Leaf { rows, values } = leaf;
        let gradient = values.grad_remove(gradients).expect("every row of the batch has a gradient");
        // Taken out, so that no other handle keeps the update from being made in place.
        let (first, second) = (self.first.take().expect("put back"), self.second.take().expect("put back"));
        let weight = self.weight.take().expect("put back");
        let old_first = first.clone().select(0, rows.clone());
        let old_second = second.clone().select(0, rows.clone());
        let by_first = (gradient.clone() - old_first.clone()).mul_scalar(1.0 - BETA1);
        let by_second = (gradient.square() - old_second.clone()).mul_scalar(1.0 - BETA2);
        let delta = (old_first + by_first.clone()) / (old_second + by_second.clone()).sqrt().add_scalar(EPSILON);
        drop(values);
        self.first = Some(first.select_assign(0, rows.clone(), by_first, IndexingUpdateOp::Add));
        self.second = Some(second.select_assign(0, rows.clone(), by_second, IndexingUpdateOp::Add));
        self.weight = Some(weight.select_assign(0, rows, delta.mul_scalar(-rate), IndexingUpdateOp::Add));
    }
}
