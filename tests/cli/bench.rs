//! `polyscene bench`: what it prints is complete and agrees with itself. How fast anything is, is not tested.

use crate::place::{Place, has_software};
use serde_json::Value;

fn positive(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!(number.is_finite() && number > 0.0, "{number}");
    number
}

/// The best copy of at least this size, as the report promises.
fn copy_rate(ceilings: &Value, bytes: f64) -> f64 {
    let copies = ceilings["copies"].as_array().unwrap();
    let larger = copies.iter().filter(|copy| copy["footprint"].as_f64().unwrap() >= bytes);
    let rate = |copy: &Value| positive(&copy["bytes_per_second"]);
    larger.map(rate).fold(positive(&ceilings["bytes_per_second"]), f64::max)
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * a.abs().max(b.abs()), "{a} and {b}");
}

fn check(report: &Value) {
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["date"].as_str().unwrap().len(), 10);
    assert!(!report["device"]["name"].as_str().unwrap().is_empty());
    let ceilings = &report["ceilings"];
    let (flops, dispatch) = (positive(&ceilings["flops_per_second"]), positive(&ceilings["dispatch_seconds"]));
    let ways = ceilings["multiply_adds"].as_array().unwrap();
    near(flops, ways.iter().map(|way| positive(&way["flops_per_second"])).fold(0.0, f64::max));
    let latency = dispatch.max(ceilings["record_seconds"].as_f64().unwrap_or(0.0));

    let kernels = &report["kernels"];
    let list = kernels["dispatches"].as_array().unwrap();
    for operation in ["embed", "affine", "weighted_linear", "logit_loss", "dense_adam", "row_adam"] {
        assert!(list.iter().any(|kernel| kernel["operation"] == operation), "{operation}");
    }
    let mut sums = [0.0; 4];
    for kernel in list {
        let seconds = positive(&kernel["seconds"]);
        let [arithmetic, memory] = [
            kernel["flops"].as_f64().unwrap() / flops,
            positive(&kernel["bytes"]) / copy_rate(ceilings, kernel["bytes"].as_f64().unwrap()),
        ];
        near(positive(&kernel["fraction"]) * seconds, arithmetic.max(memory));
        // Ceilings are measured, and may be missed by a machine that is busy meanwhile; a wrong unit is off by more.
        assert!(kernel["fraction"].as_f64().unwrap() < 50.0, "{kernel}");
        let bound = kernel["bound"].as_str().unwrap();
        match bound {
            "arithmetic" => assert!(arithmetic >= memory && seconds >= 2.0 * dispatch, "{kernel}"),
            "memory" => assert!(arithmetic < memory && seconds >= 2.0 * dispatch, "{kernel}"),
            _ => assert_eq!(bound, "latency"),
        }
        for (sum, value) in sums.iter_mut().zip([seconds, arithmetic, memory, latency]) {
            *sum += value;
        }
    }
    near(positive(&kernels["sum_seconds"]), sums[0]);
    positive(&kernels["step_seconds"]);

    let steps = report["steps"].as_array().unwrap();
    assert!(steps.iter().map(|step| step["model"].as_str().unwrap()).eq(polyscene::models::SYSTEMS.iter().copied()));
    for step in steps {
        let seconds = positive(&step["seconds"]);
        near(positive(&step["samples_per_second"]) * seconds, step["batch_size"].as_f64().unwrap());
        let floors = ["arithmetic_seconds", "memory_seconds", "latency_seconds"].map(|key| positive(&step[key]));
        near(positive(&step["fraction"]) * seconds, floors.into_iter().fold(0.0, f64::max));
        if step["model"] == kernels["model"] && step["batch_size"] == kernels["batch_size"] {
            for (floor, sum) in floors.into_iter().zip(&sums[1..]) {
                near(floor, *sum);
            }
        }
    }
}

fn bench(place: &Place, device: &str) -> Value {
    let line = format!("bench --device {device} --quick --json --batch-size 32 --rows 1600");
    place.run(&line).succeeds().json()
}

#[test]
fn the_cpu_executors_report_agrees_with_itself() {
    let report = bench(&Place::empty(), "cpu");
    assert_eq!(report["device"]["kind"], "cpu");
    assert_eq!(report["kernels"]["timed_by"], "operations");
    assert_eq!(report["ceilings"]["submit_seconds"], Value::Null);
    check(&report);
}

#[test]
fn an_adapters_report_agrees_with_itself() {
    if !has_software() {
        return;
    }
    let report = bench(&Place::empty(), "software");
    assert_eq!(report["device"]["kind"], "software");
    let by = if report["device"]["timestamps"] == true { "passes" } else { "repeats" };
    assert_eq!(report["kernels"]["timed_by"], by);
    for key in ["record_seconds", "submit_seconds"] {
        positive(&report["ceilings"][key]);
    }
    assert_eq!(report["ceilings"]["multiply_adds"].as_array().unwrap().len(), 4);
    check(&report);
}

#[test]
fn tables_name_what_was_measured() {
    let place = Place::empty();
    let bench = |more: &str| {
        place.run(&format!("bench --device cpu --quick --batch-size 16 --rows 160 --model dnn {more}")).succeeds().out
    };
    let grouped = bench("");
    for word in ["GB/s", "GFLOP/s", "a step of dnn in batches of 16, 160 embedding rows", "row_adam", "samples/s"] {
        assert!(grouped.contains(word), "{word}: {grouped}");
    }
    // Rows to be published are measured with care, and on the workload of the others.
    assert!(!grouped.contains("docs/results.md"), "{grouped}");
    let all = bench("--all");
    assert!(all.contains("mlp.0") && !grouped.contains("mlp.0"), "{all}");
    place.run("bench --batch-size 0").fails(2, &["--batch-size"]);
    place.run("bench --rows 15").fails(2, &["--rows", "16"]);
    place.run("bench --model dnm").fails(2, &["dnm", "mi-dpg"]);
    place.run("bench --device nonexistent").fails(4, &["nonexistent"]);
}
