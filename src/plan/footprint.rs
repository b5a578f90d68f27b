//! What a model needs of memory, before anything of it is made: sizes that a configuration asks for may be absurd.
//!
//! Sums are made in 128 bits, in which no product of a model's sizes overflows.

use super::cpu_layout::Layout;
use super::{DispatchLimits, Error, Plan, parameter_places};
use crate::cpu::LANES;
use crate::gpu::human;
use crate::graph::{EmbeddingTable, Graph, Optimizer, Parameter, RowExtent, Shape, token_places};

/// Bytes of a value.
const VALUE: u128 = size_of::<f32>() as u128;

/// Bytes of a parameter with what the optimiser keeps of it.
fn parameter_bytes(parameter: &Parameter, optimizer: Optimizer) -> u128 {
    let numbers = 1 + optimizer.kept(1).iter().sum::<usize>();
    VALUE * numbers as u128 * parameter.rows as u128 * parameter.cols as u128
}

/// Bytes of a table with what the optimiser keeps of it, which is in f32 however the table is stored.
fn table_bytes(table: &EmbeddingTable) -> u128 {
    let kept: usize = table.optimizer.kept(table.width).iter().sum();
    (table.precision.bytes() as u128 * table.width as u128 + VALUE * kept as u128) * table.rows() as u128
}

/// Fails where a graph's state, or what one of its tensors takes for a few samples, is larger than the main memory. All
/// else about the graph's size can then be computed in 64 bits.
///
/// # Errors
/// [`Error::MainMemory`].
pub fn check_graph(graph: &Graph, available: u64) -> Result<(), Error> {
    let dense = graph.parameters.iter().map(|parameter| {
        let shape = format!("the parameter {} of {}×{} values", parameter.name, parameter.rows, parameter.cols);
        (parameter_bytes(parameter, graph.optimizer), shape)
    });
    let tables = graph.tables.iter().map(|table| {
        let shape = format!("the embedding table {} of {}×{} values", table.name, table.rows(), table.width);
        (table_bytes(table), shape)
    });
    let state: Vec<(u128, String)> = dense.chain(tables).collect();
    let needed = state.iter().map(|(bytes, _)| bytes).sum();
    let largest = state.into_iter().max_by_key(|(bytes, _)| *bytes);
    compare("the model's parameters with what the optimiser keeps of them", needed, available, largest)?;
    for tensor in &graph.tensors {
        // On the CPU many tensors are never there for the whole batch.
        let bytes = VALUE * tensor_rows(tensor.shape, LANES) * tensor.shape.cols as u128;
        let what = format!("{LANES} samples of the tensor {} ({})", tensor.name, tensor.shape);
        compare(&what, bytes, available, None)?;
    }
    Ok(())
}

fn tensor_rows(shape: Shape, capacity: usize) -> u128 {
    match shape.rows {
        RowExtent::Batch => capacity as u128,
        RowExtent::Tokens(longest) => token_places(capacity, longest) as u128,
        RowExtent::Fixed(rows) => rows as u128,
    }
}

fn compare(what: &str, needed: u128, available: u64, largest: Option<(u128, String)>) -> Result<(), Error> {
    if needed <= u128::from(available) {
        return Ok(());
    }
    let shortened = |bytes: u128| human(u64::try_from(bytes).unwrap_or(u64::MAX));
    let max = largest.map_or_else(String::new, |(bytes, name)| format!(" ({} of it {name})", shortened(bytes)));
    Err(Error::MainMemory {
        what: what.to_owned(),
        needed: format!("{} of main memory{max}", shortened(needed)),
        available: human(available),
    })
}

impl Plan {
    /// Bytes of main memory that a step takes on the CPU beside the model's state.
    pub fn cpu_bytes(&self) -> u128 {
        let layout = Layout::new(self);
        let block = VALUE * LANES as u128;
        let blocks = self.capacity.div_ceil(LANES) as u128;
        let token_blocks = (self.batch_layout.token_capacity() / LANES) as u128;
        let threads = rayon::current_num_threads() as u128 + 1;
        let values = |shape: Shape| VALUE * tensor_rows(shape, self.capacity) * shape.cols as u128;
        let gradients = self.gradients.iter().flatten().map(|tensor| values(self.graph.shape(*tensor)));
        let rows = layout.row_tensors.iter().map(|tensor| values(self.graph.shape(*tensor)));
        blocks * block * (layout.shared_columns + self.graph.loss_columns) as u128
            + token_blocks * block * layout.token_columns as u128
            + threads * block * layout.local_columns as u128
            + gradients.chain(rows).sum::<u128>()
            + VALUE * self.batch_layout.stride as u128
    }

    /// Fails where the main memory does not hold what a step takes on the CPU and the model's state.
    ///
    /// # Errors
    /// [`Error::MainMemory`].
    pub fn check_on_cpu(&self, available: u64) -> Result<(), Error> {
        let dense = self.graph.parameters.iter().map(|parameter| parameter_bytes(parameter, self.graph.optimizer));
        let state: u128 = dense.chain(self.graph.tables.iter().map(table_bytes)).sum();
        let what = format!("the model and its activations for a batch of {}", self.capacity);
        compare(&what, state + self.cpu_bytes(), available, None)
    }

    /// Fails where a device with these limits cannot bind what the plan needs; `device` is its name.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn check_on_device(&self, limits: &DispatchLimits, device: &str) -> Result<(), Error> {
        let check_bytes = |what: &str, needed: u64, fix: &str| {
            if needed <= limits.binding_bytes {
                return Ok(());
            }
            Err(Error::TooLarge {
                what: what.to_owned(),
                needed: format!("{} in one binding", human(needed)),
                allowed: human(limits.binding_bytes),
                device: device.to_owned(),
                fix: fix.to_owned(),
            })
        };
        let check = |what: &str, values: usize, fix: &str| check_bytes(what, 4 * values as u64, fix);
        let smaller = "use smaller layers, or another device";
        check("the dense parameters need", parameter_places(&self.graph).total, smaller)?;
        for table in &self.graph.tables {
            check(&format!("a row of the embedding table {} needs", table.name), table.width, smaller)?;
        }
        let batch = format!("a batch of {}", self.capacity);
        let fix = "use a smaller train.batch_size or smaller layers, or another device";
        for bytes in self.memory(limits).bytes() {
            check_bytes(&format!("activations of {batch} need"), bytes, fix)?;
        }
        check(&format!("the step uniforms and sorted keys of {batch} need"), self.batch_layout.stride, fix)
    }

    /// The plan of predicting batches of `capacity` samples, or of half as many, and so on, where `fits` refuses a plan.
    ///
    /// # Errors
    /// That of `fits` where a single sample is too much.
    pub fn inference_that_fits(
        graph: &Graph,
        mut capacity: usize,
        fits: impl Fn(&Self) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        loop {
            let plan = Self::inference(graph, capacity);
            match fits(&plan) {
                Err(_) if capacity > 1 => capacity = capacity.div_ceil(2),
                outcome => return outcome.map(|()| plan),
            }
        }
    }
}
