//! A model, its table and the data on one device, and steps of it.

use std::time::Instant;

use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::prelude::*;
use serde::Deserialize;

use crate::model::{Form, Network, Sizes, embedding};
use crate::rows::Rows;

/// What is asked for; `../README.md` says what each key means.
#[derive(Clone, Debug, Deserialize)]
pub struct Task {
    model: String,
    variant: String,
    batch: usize,
    rows: usize,
    fields: usize,
    aware: usize,
    width: usize,
    hidden: Vec<usize>,
    samples: usize,
    data: String,
    learning_rate: f64,
}

/// One batch, on the device; the ids on the host as well, where their distinct rows are found.
struct Batch {
    host_ids: Vec<u32>,
    ids: Tensor<2, Int>,
    labels: Tensor<2>,
    shuffle: Tensor<1, Int>,
}

pub struct Trainer {
    task: Task,
    form: Form,
    device: Device,
    network: Option<Network>,
    optimiser: ModuleOptimizer,
    rows: Option<Rows>,
    batches: Vec<Batch>,
    steps: usize,
}

/// The device that a variant's first word names.
fn device(name: &str) -> Result<Device, String> {
    match name {
        "flex" => Ok(Device::flex()),
        #[expect(deprecated, reason = "compared as long as Burn has it")]
        "ndarray" => Ok(Device::ndarray()),
        "wgpu_software" => Ok(Device::wgpu(DeviceKind::Cpu)),
        "wgpu" => Ok(Device::wgpu(DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        _ => Err(format!("no device {name} in this build")),
    }
}

impl Trainer {
    pub fn new(task: Task) -> Result<Self, String> {
        let words: Vec<&str> = task.variant.split('-').collect();
        let [name, form, embeddings] = words[..] else {
            return Err(format!("{}: expected DEVICE-FORM-EMBEDDINGS", task.variant));
        };
        let form = if form == "inputs" { Form::Inputs } else { Form::Outputs };
        let device = device(name)?.autodiff();
        device.seed(1);
        let sizes = Sizes { fields: task.fields, aware: task.aware, width: task.width, hidden: task.hidden.clone() };
        let table = embedding(task.rows, task.width, &device);
        let (table, rows) = match embeddings {
            "rows" => (None, Some(Rows::new(table))),
            _ => (Some(table), None),
        };
        let network = Network::new(task.model == "mi-dpg", &sizes, table, &device);
        let optimiser = AdamConfig::new().with_epsilon(1e-8).init();
        let batches = load(&task, &device)?;
        Ok(Self { form, network: Some(network), optimiser, rows, batches, steps: 0, device, task })
    }

    pub fn describe(&self) -> String {
        let identity = self.device.identity().map_or_else(String::new, |identity| format!(", {identity:?}"));
        format!("Burn 0.22 {}{identity}", self.task.variant.split('-').next().unwrap_or_default())
    }

    /// One step; its cross entropy, still on the device.
    fn step(&mut self) -> Tensor<1> {
        let batch = &self.batches[self.steps % self.batches.len()];
        self.steps += 1;
        let network = self.network.take().expect("it is put back after each step");
        let (x, leaf) = match &self.rows {
            Some(rows) => {
                let (x, leaf) = rows.look_up(&batch.host_ids, self.task.batch, &self.device);
                (x, Some(leaf))
            }
            None => (network.look_up(batch.ids.clone()), None),
        };
        let (total, bce) = network.loss(x, batch.labels.clone(), &batch.shuffle, self.form);
        let mut gradients = total.backward();
        if let (Some(rows), Some(leaf)) = (&mut self.rows, leaf) {
            rows.step(leaf, &mut gradients, self.task.learning_rate);
        }
        let gradients = GradientsParams::from_grads(gradients, &network);
        self.network = Some(self.optimiser.step(self.task.learning_rate, network, gradients));
        bce
    }

    /// Milliseconds of a step, and the last loss, of each block of steps.
    pub fn run(&mut self, blocks: usize, steps: usize) -> Result<(Vec<f64>, Vec<f32>), String> {
        let (mut times, mut losses) = (Vec::new(), Vec::new());
        for _ in 0..blocks {
            let started = Instant::now();
            let mut last = None;
            for _ in 0..steps {
                last = Some(self.step());
            }
            losses.extend(last.map(|bce| bce.without_autodiff().into_scalar::<f32>()));
            self.device.sync().map_err(|error| error.to_string())?;
            times.push(1e3 * started.elapsed().as_secs_f64() / steps as f64);
        }
        Ok((times, losses))
    }
}

fn load(task: &Task, device: &Device) -> Result<Vec<Batch>, String> {
    let bytes = std::fs::read(&task.data).map_err(|error| format!("{}: {error}", task.data))?;
    let (ids, labels) = bytes.split_at(4 * task.samples * task.fields);
    let word = |bytes: &[u8]| bytes.try_into().expect("four bytes");
    let ids: Vec<u32> = ids.chunks_exact(4).map(|bytes| u32::from_le_bytes(word(bytes))).collect();
    let labels: Vec<f32> = labels.chunks_exact(4).map(|bytes| f32::from_le_bytes(word(bytes))).collect();
    let Task { batch, fields, .. } = *task;
    let parts = ids.chunks_exact(batch * fields).zip(labels.chunks_exact(batch)).enumerate();
    Ok(parts
        .map(|(number, (ids, labels))| {
            let signed: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
            // An odd stride through a power of two is a permutation, and another one for each batch.
            let stride = (2 * number + 12345) | 1;
            let shuffle: Vec<i32> = (0..batch).map(|i| (i * stride % batch) as i32).collect();
            Batch {
                host_ids: ids.to_vec(),
                ids: Tensor::from_data(TensorData::new(signed, [batch, fields]), device),
                labels: Tensor::from_data(TensorData::new(labels.to_vec(), [batch, 1]), device),
                shuffle: Tensor::from_data(TensorData::new(shuffle, [batch]), device),
            }
        })
        .collect())
}
