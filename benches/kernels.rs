//! Each kernel of a training step, in up to three shapes, on each class of device that is here: the CPU executor, a
//! software renderer, the best GPU. Those of `mi-dpg`, and what `optmsm` and `saml` have beside them. A kernel runs many
//! times in a row, so it finds its data in the caches.
//! (`store_logits` takes part in predictions only.)
//!
//! `cargo bench --bench kernels [-- FILTER]`, where a name is `DEVICE/OPERATION/SHAPE…`; `-- --quick` is faster, and
//! `-- --save-baseline NAME` with `-- --baseline NAME` compares two versions of a kernel.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use polyscene::bench::workload::{Subject, Workload};
use polyscene::bench::{Device, built_in};
use polyscene::gpu::{AdapterKind, DeviceChoice, adapters};
use polyscene::plan::TimedPart;

const MODELS: [&str; 3] = ["mi-dpg", "optmsm", "saml"];

/// One device of each class.
fn devices() -> Vec<(&'static str, DeviceChoice)> {
    let adapters = adapters::list();
    let mut devices = vec![("cpu", DeviceChoice::Cpu)];
    if adapters.iter().any(|adapter| adapter.kind == AdapterKind::Software) {
        devices.push(("software", DeviceChoice::Software));
    }
    if adapters.iter().any(|adapter| !matches!(adapter.kind, AdapterKind::Software | AdapterKind::Other)) {
        devices.push(("gpu", DeviceChoice::Auto));
    }
    devices
}

/// Numbers of the parts to run: of each operation the cheapest, the middle and the dearest shape.
fn chosen(parts: &[TimedPart]) -> Vec<usize> {
    let mut operations: Vec<&str> = parts.iter().map(|part| part.operation.as_str()).collect();
    operations.sort_unstable();
    operations.dedup();
    let mut chosen = Vec::new();
    for operation in operations {
        let mut shapes: Vec<usize> = (0..parts.len()).filter(|&part| parts[part].operation == operation).collect();
        let cost = |&part: &usize| (parts[part].cost.flops + parts[part].cost.bytes, &parts[part].shape);
        shapes.sort_by_key(cost);
        shapes.dedup_by_key(|part| cost(part));
        let mut three = vec![shapes[0], shapes[shapes.len() / 2], shapes[shapes.len() - 1]];
        three.dedup();
        chosen.extend(three);
    }
    chosen
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .nresamples(2000)
        .configure_from_args();
    for (class, choice) in devices() {
        let device = Device::open(&choice, built_in()).expect("a device that is listed opens");
        let mut known: Vec<String> = Vec::new();
        for model in MODELS {
            let workload = Workload { dense_embedding_adam: true, ..Workload::new(model, 512, 100_000) };
            let mut subject = Subject::new(&device, workload).expect("the model fits");
            // Kernels read what the others have computed.
            subject.step_seconds(1).expect("the step runs");
            let parts = subject.executor.parts();
            for number in chosen(&parts) {
                let part = &parts[number];
                if known.contains(&part.operation) {
                    continue;
                }
                let mut group = criterion.benchmark_group(format!("{class}/{}", part.operation));
                // An element is a floating-point operation.
                group.throughput(match part.cost.flops > part.cost.bytes {
                    true => Throughput::Elements(part.cost.flops),
                    false => Throughput::Bytes(part.cost.bytes),
                });
                group.bench_function(format!("{} {}", part.shape, part.name), |bencher| {
                    bencher.iter_custom(|times| subject.repeat(number, times as usize).expect("the kernel runs"));
                });
                group.finish();
            }
            known.extend(parts.into_iter().map(|part| part.operation));
        }
    }
    criterion.final_summary();
}
