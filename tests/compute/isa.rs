//! What is won for GPUs stays: the bars that every kernel of the papers' models keeps, by the word of a GPU's compiler
//! (`benches/isa`), and how many dispatches a step takes.

#[path = "../../benches/isa/compiler.rs"]
#[allow(dead_code, unreachable_pub, reason = "the benchmark prints what this does not ask")]
mod compiler;
#[path = "../../benches/isa/table.rs"]
#[allow(dead_code, unreachable_pub, reason = "the benchmark prints what this does not ask")]
mod table;

use polyscene::gpu::DeviceClass;
use polyscene::graph::Optimizer;
use polyscene::plan::Tuning;

use crate::common::every_case;

/// Models, and the most dispatches of a step in batches of 512.
const MODELS: [(&str, usize); 4] = [("dnn", 5), ("mi-dpg", 6), ("optmsm", 7), ("saml", 5)];

/// The Vulkan loader reads its environment once, so the compiler has a process of its own.
#[test]
fn kernels_for_gpus_fill_a_gpu() {
    if compiler::driver().is_none() && std::env::var("POLYSCENE_TEST_NO_ADAPTER").is_ok_and(|value| value == "1") {
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "isa::asked_of_the_compiler", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "changes its environment: run by the test above"]
fn asked_of_the_compiler() {
    compiler::choose("navi21").unwrap();
    let compiler = compiler::Compiler::open().unwrap();
    let mut faults = Vec::new();
    for (model, most) in MODELS {
        let guess = Tuning::of_class(DeviceClass::Hardware);
        let plain = table::Asked::new(512, guess);
        let mut asked = vec![plain];
        // Larger batches, what else may be chosen for a device, and mixed precision: seen in one model. The compiler takes eight
        // times as long for the one that has most kinds of kernels.
        if model == if every_case() { "mi-dpg" } else { "dnn" } {
            asked.push(table::Asked { batch: 8192, ..plain });
            asked.push(table::Asked { tuning: Tuning { block: Some(16), grad_tile: 32, ..guess }, ..plain });
            asked.push(table::Asked { mixed: true, ..plain });
            let optimizers = [Optimizer::Adagrad, Optimizer::RowwiseAdagrad];
            asked.push(table::Asked { optimizers, max_gradient_norm: Some(1.0), ..plain });
        }
        for asked in asked {
            let rows = table::rows(&compiler, model, &asked).unwrap();
            // Clipping takes a dispatch for the dense gradients, one for each table's, and one for their sum.
            let clips = if asked.max_gradient_norm.is_some() { 3 } else { 0 };
            if asked.batch == 512 && rows.len() > most + usize::from(asked.mixed) + clips {
                faults.push(format!("{model}: {} dispatches, {most} at most", rows.len()));
            }
            for row in rows {
                let told = &row.statistics;
                let good = row.workgroup.is_multiple_of(64)
                    && told.vgprs <= 128
                    && told.subgroups_per_simd >= 8
                    && told.spilled == 0
                    && told.scratch == 0;
                if !good {
                    faults.push(format!("{row:?}"));
                }
                // A segment's products read weights and activations by whole lines for the most part. MI-DPG's sums of weighted
                // gradients read a column of S for each of their tiles: 32 %.
                let least = if model == "mi-dpg" && row.dispatch.ends_with("to gradients") { 0.3 } else { 0.35 };
                if row.shader == "segment"
                    && row.dispatch.starts_with("embedding to")
                    && asked.batch == 512
                    && asked.tuning == guess
                    && !asked.mixed
                    && row.loads < least
                {
                    faults.push(format!("loads: {row:?}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
