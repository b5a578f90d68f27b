// The step uniforms; the same struct stands in src/ops/kernel.rs.
struct StepUniforms {
    // Samples in this step.
    rows: u32,
    // First word of the step's batch.
    batch_offset: u32,
    // Number of the batch within its chunk: its row of the loss log.
    batch_index: u32,
    // Row of the results where this step's first prediction goes.
    first_result: u32,
    // Seed of the run's random masks.
    seed: u32,
    // Optimiser steps taken before this one.
    step: u32,
    // Learning rate times Adam's bias correction.
    learning_rate: f32,
    // 1 / rows.
    inverse_rows: f32,
    // Tokens in this step, padding included.
    tokens: u32,
    // Learning rate of embedding rows times Adam's bias correction.
    embedding_rate: f32,
    // What is added to a logit before it is compared with the label.
    logit_offset: f32,
}

@group(1) @binding(0) var<uniform> uniforms: StepUniforms;
