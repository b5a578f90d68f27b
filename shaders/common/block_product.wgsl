// Products of a block's rows with a weight, made by all invocations of a workgroup together, 128 outputs at a time.
//
// Weights are read once for all samples of the block and by neighbours from neighbouring places, the samples' values from
// workgroup memory. Eight invocations share the inner dimension of four outputs, and their sums are added at the end:
// neighbours, each with four inputs of a row of weights, where W's rows are outputs; and one of each 32 where they are
// inputs, so that again neighbours read neighbouring weights.
#import block
#import memory
// Columns of a pass, four for each of 32 invocations.
const PASS: u32 = 128u;
// Groups of four inner values that are staged of each sample.
const STAGED: u32 = TILE / BLOCK;

// Samples of which an invocation finishes four outputs.
const OWN: u32 = BLOCK / 8u;

// Columns k.. of x for all samples of a block: quad q of sample i is tile[i * STAGED + q]; 0 beyond `inner`.
fn stage(x: u32, stride: u32, inner: u32, k: u32, first: u32, local: u32) {
    workgroupBarrier();
    let quads = min((inner - k + 3u) / 4u, STAGED);
    for (var at = local; at < BLOCK * quads; at += WORKGROUP) {
        let i = at / quads;
        let col = k + 4u * (at % quads);
        let values = load_some4(x + row_of(first, i) * stride + col, inner - col, ALIGNED);
        tile[i * STAGED + at % quads] = select(vec4<f32>(), values, col + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(inner));
    }
    workgroupBarrier();
}

// Adds to the sums of four outputs of samples rows.x..rows.y - 1: a part of the product of what is staged with the four rows
// of weights that begin at `w`.
fn add_rows(
    w: vec4<u32>, k: u32, inner: u32, rows: vec2<u32>, local: u32, sums: ptr<function, array<vec4<f32>, BLOCK>>,
) {
    let quads = min((inner - k + 3u) / 4u, STAGED);
    for (var q = local % 8u; q < quads; q += 8u) {
        let w0 = parameters4(w.x + 4u * q);
        let w1 = parameters4(w.y + 4u * q);
        let w2 = parameters4(w.z + 4u * q);
        let w3 = parameters4(w.w + 4u * q);
        for (var i = 0u; i < BLOCK; i += 1u) {
            if (i >= rows.x && i < rows.y) {
                let x = tile[i * STAGED + q];
                (*sums)[i] += vec4<f32>(dot(w0, x), dot(w1, x), dot(w2, x), dot(w3, x));
            }
        }
    }
}

// The same where W's rows are inputs: at `w` begin four columns of the first that is staged, each `step` further the next.
fn add_columns(
    w: u32, step: u32, k: u32, inner: u32, rows: vec2<u32>, local: u32,
    sums: ptr<function, array<vec4<f32>, BLOCK>>,
) {
    let quads = min((inner - k + 3u) / 4u, STAGED);
    for (var q = local / 32u; q < quads; q += 8u) {
        let at = w + 4u * q * step;
        let w0 = parameters4(at);
        let w1 = parameters4(at + step);
        let w2 = parameters4(at + 2u * step);
        let w3 = parameters4(at + 3u * step);
        for (var i = 0u; i < BLOCK; i += 1u) {
            if (i >= rows.x && i < rows.y) {
                let x = tile[i * STAGED + q];
                (*sums)[i] += x.x * w0 + x.y * w1 + x.z * w2 + x.w * w3;
            }
        }
    }
}

// Adds what eight invocations have of each sum, in a fixed order. Afterwards an invocation has in totals[u] the four outputs
// local % 32 of sample 8 u + local / 32. `across`: the eight are neighbours.
fn collect(
    across: bool, local: u32, sums: ptr<function, array<vec4<f32>, BLOCK>>,
    totals: ptr<function, array<vec4<f32>, OWN>>,
) {
    let quad = local % 32u;
    for (var t = 0u; t < BLOCK / 2u; t += 1u) {
        workgroupBarrier();
        tile[local] = (*sums)[2u * t];
        tile[WORKGROUP + local] = (*sums)[2u * t + 1u];
        workgroupBarrier();
        if (local / 64u == t % 4u) {
            let begin = local / 32u % 2u * WORKGROUP;
            var total = vec4<f32>();
            for (var i = 0u; i < 8u; i += 1u) {
                // Neighbours begin with different ones, so that they do not ask the same bank.
                total += tile[begin + select(i * 32u + quad, 8u * quad + (i + quad) % 8u, across)];
            }
            (*totals)[t / 4u] += total;
        }
    }
}
