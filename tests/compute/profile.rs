//! Steps taken apart: all parts are there, and what they compute is what a step computes.

use polyscene::bench::Device;
use polyscene::bench::workload::{FIELDS, Subject, Workload};
use polyscene::gpu::{OpenOptions, testing};

const WORKLOAD: Workload = Workload { dense_embedding_adam: true, ..Workload::new("dnn", 24, 64 * FIELDS) };

/// The CPU executor, and the adapter with and without its clock.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::Cpu];
    for timestamps in [true, false] {
        let gpu = testing::software_with(OpenOptions { timestamps, ..OpenOptions::default() });
        devices.extend(gpu.map(Device::untuned));
    }
    devices
}

fn weights(subject: &mut Subject) -> Vec<Vec<f32>> {
    let state = subject.executor.state().unwrap();
    state.dense.weights.into_iter().chain(state.tables.into_iter().map(|table| table.weights.to_vec())).collect()
}

#[test]
fn a_profiled_step_is_a_step() {
    for device in devices() {
        let mut whole = Subject::new(&device, WORKLOAD).unwrap();
        let before = weights(&mut whole);
        whole.step_seconds(1).unwrap();
        let after = weights(&mut whole);
        assert_ne!(before, after);

        let mut apart = Subject::new(&device, WORKLOAD).unwrap();
        let has_uniforms = apart.executor.has_uniforms();
        let times = apart.profile(1).unwrap();
        // Without the device's clock parts are repeated, which no step does.
        assert_eq!(weights(&mut apart) == after, has_uniforms, "{}", apart.executor.device());
        let times = times.into_iter().chain(apart.profile(2).unwrap());
        let counts: Vec<usize> = times.map(|times| times.len()).collect();
        let parts = apart.executor.parts().len();
        assert_eq!(counts, [vec![1; parts], vec![2; parts]].concat());
    }
}

#[test]
fn parts_can_be_repeated_alone() {
    for device in devices() {
        let mut subject = Subject::new(&device, WORKLOAD).unwrap();
        subject.step_seconds(1).unwrap();
        let parts = subject.executor.parts();
        for operation in ["embed", "affine", "weight_grads", "dense_adam", "row_adam", "dense_row_adam"] {
            let number = parts.iter().position(|part| part.operation == operation).unwrap();
            // More than one submit takes.
            assert!(subject.repeat(number, 300).unwrap() > subject.repeat(number, 1).unwrap(), "{operation}");
        }
    }
}
