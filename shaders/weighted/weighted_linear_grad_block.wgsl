// With y[r,n] = Σ_{m in group r} W[m,n] dz[m]: dh[n] = SCALE · Σ_r S[r,c(n)] y[r,n] and
// dS[r,c] = SCALE · Σ_{n in group c} h[n] y[r,n] (+ what else S receives), for a block of samples, eight at a time.
//
// An invocation has four inputs of four of the samples, and every fourth row group. Inputs are numbered so that four
// neighbours of one number j belong to four neighbouring column groups or to one: all of a column group's inputs are the
// same invocation's, one j after the other, and their sum is its alone.
#import block_main
#import scaled_weights
const DZ: u32 = 0u;
const DZ_STRIDE: u32 = 4u;
const H: u32 = 0u;
const H_STRIDE: u32 = 4u;
const S: u32 = 0u;
const S_STRIDE: u32 = 4u;
const DH: u32 = 0u;
const DS: u32 = 0u;
// What is added to dS; its rows lie like those of S.
const ADDS: bool = false;
const ADD: u32 = 0u;

// Samples of an invocation.
const SAMPLES: u32 = 4u;
// Units of inputs: a column group, where four neighbours are of one; four column groups, where they are of four.
const UNITS: u32 = select(COL_GROUPS / 4u, COL_GROUPS, ONE);
// Rounds that it takes to go through a unit's inputs, four at a time.
const ROUNDS: u32 = select(COL_MEMBERS, COL_MEMBERS / 4u, ONE);

// The first of a unit's four inputs in a round.
fn input_of(unit: u32, round: u32) -> u32 {
    return select(4u * unit + round * COL_GROUPS, unit * COL_MEMBERS + 4u * round, ONE);
}

// The output that is member i of a row group.
fn row_member(group: u32, i: u32) -> u32 {
    return select(group * ROW_MEMBERS + i, group + i * ROW_GROUPS, TILED);
}

// What a row group's sum over inputs becomes: dS.
fn store_ds(sample: u32, group: u32, unit: u32, round: u32, value: vec4<f32>) {
    let at = group * S_ROW_STEP + 4u * unit * S_COL_STEP + sample * S_STRIDE;
    if (S_COL_STEP == 1u) {
        var before = vec4<f32>();
        if (round > 0u) {
            before = load4(DS + at);
        } else if (ADDS) {
            before = load4(ADD + at);
        }
        store4(DS + at, before + value);
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            let place = at + i * S_COL_STEP;
            var before = 0.0;
            if (round > 0u) {
                before = load(DS + place);
            } else if (ADDS) {
                before = load(ADD + place);
            }
            store(DS + place, before + value[i]);
        }
    }
}

fn compute(first: u32, base: u32, round: u32, local: u32) {
    let unit = base + local % 32u;
    // Samples half · 4 .. + 3 of eight, and row groups slice, slice + 4, ...
    let half = local / 32u % 2u;
    let slice = local / 64u;
    let col = input_of(min(unit, UNITS - 1u), round);
    var sums: array<vec4<f32>, SAMPLES>;
    var x: array<vec4<f32>, SAMPLES>;
    for (var k = 0u; k < SAMPLES; k += 1u) {
        x[k] = load4(H + row_of(first, half * SAMPLES + k) * H_STRIDE + col);
    }
    for (var base_group = 0u; base_group < ROW_GROUPS; base_group += 4u) {
        let group = base_group + slice;
        var y: array<vec4<f32>, SAMPLES>;
        if (group < ROW_GROUPS) {
            for (var i = 0u; i < ROW_MEMBERS; i += 1u) {
                let m = row_member(group, i);
                let w = parameters[(WEIGHT + m * WEIGHT_STRIDE + col) / 4u];
                for (var k = 0u; k < SAMPLES; k += 1u) {
                    y[k] += load(DZ + row_of(first, half * SAMPLES + k) * DZ_STRIDE + m) * w;
                }
            }
            for (var k = 0u; k < SAMPLES; k += 1u) {
                sums[k] += scales(S + row_of(first, half * SAMPLES + k) * S_STRIDE, group, col) * y[k];
            }
        }
        if (ONE) {
            // Neighbours' values go together, because four are stored at once.
            workgroupBarrier();
            for (var k = 0u; k < SAMPLES; k += 1u) {
                partial[k * WORKGROUP + local] = dot(x[k], y[k]);
            }
            workgroupBarrier();
            let own = local % 8u;
            let sample = half * SAMPLES + local / 8u % 4u;
            let begin = local / 8u % 4u * WORKGROUP + local / 32u * 32u + 4u * own;
            let four = base / 4u + own;
            if (group < ROW_GROUPS && 4u * four < UNITS && first + sample < uniforms.rows) {
                let value = vec4<f32>(partial[begin], partial[begin + 1u], partial[begin + 2u], partial[begin + 3u]);
                store_ds(first + sample, group, four, round, SCALE * value);
            }
        } else if (group < ROW_GROUPS && unit < UNITS) {
            for (var k = 0u; k < SAMPLES; k += 1u) {
                let sample = first + half * SAMPLES + k;
                if (sample < uniforms.rows) {
                    store_ds(sample, group, unit, round, SCALE * x[k] * y[k]);
                }
            }
        }
    }
    // dh: what the four slices have, in order.
    for (var t = 0u; t < SAMPLES / 2u; t += 1u) {
        workgroupBarrier();
        tile[local] = sums[2u * t];
        tile[WORKGROUP + local] = sums[2u * t + 1u];
        workgroupBarrier();
        // The first two slices have a sample each.
        if (slice < 2u) {
            var total = vec4<f32>();
            for (var i = 0u; i < 4u; i += 1u) {
                total += tile[slice * WORKGROUP + i * 64u + local % 64u];
            }
            let sample = first + half * SAMPLES + 2u * t + slice;
            if (sample < uniforms.rows && unit < UNITS) {
                store4(DH + sample * H_STRIDE + col, SCALE * total);
            }
        }
    }
}

fn block(first: u32, local: u32, at: u32) {
    for (var eight = 0u; eight < BLOCK; eight += 8u) {
        if (first + eight < uniforms.rows) {
            for (var base = 0u; base < UNITS; base += 32u) {
                for (var round = 0u; round < ROUNDS; round += 1u) {
                    compute(first + eight, base, round, local);
                }
            }
        }
    }
}
