//! Does a step's time grow with the vocabulary? Training steps with 100 thousand and with 10 million embedding rows,
//! run alternately in one process; medians and their ratio.
//!
//! `cargo bench --bench embedding_rows [-- DEVICE…]`, devices as `--device` names them (default: cpu and software).

use polyscene::bench::workload::{CHUNKS, Subject, Workload};
use polyscene::bench::{Device, Sample, built_in};
use polyscene::models;

const ROUNDS: usize = 40;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let devices = if named.is_empty() { vec!["cpu".to_owned(), "software".to_owned()] } else { named };
    println!("{:<8} {:<40} {:>14} {:>14} {:>7}", "model", "device", "100k rows, ms", "10M rows, ms", "ratio");
    for choice in devices {
        let choice = choice.parse().expect("a device as --device names it");
        let device = Device::open(&choice, built_in()).expect("the device is there");
        for &model in models::SYSTEMS {
            let mut subjects = [100_000, 10_000_000].map(|rows| {
                let workload = Workload::new(model, 512, rows);
                let mut subject = Subject::new(&device, workload).expect("the model fits");
                subject.prepare(usize::MAX);
                assert_eq!(subject.chunks(), CHUNKS);
                subject
            });
            let mut times = [const { Vec::new() }; 2];
            for round in 0..ROUNDS + CHUNKS {
                for (subject, times) in subjects.iter_mut().zip(&mut times) {
                    let seconds = subject.step_seconds(1).expect("the step runs");
                    // The first pass over the chunks brings pages and caches in.
                    if round >= CHUNKS {
                        times.push(seconds);
                    }
                }
            }
            let [small, large] = times.map(|times| Sample::of(times).seconds);
            let name = subjects[0].executor.device();
            println!("{model:<8} {name:<40} {:>14.2} {:>14.2} {:>7.2}", 1e3 * small, 1e3 * large, large / small);
        }
    }
}
