// out[b,m] = act(SCALE · Σ_c S[b,r(m),c] Σ_{n in group c} W[m,n] h[b,n] + bias[m]): a product whose inner dimension is
// cut into the column groups of S, each partial sum scaled before it is added. An invocation computes 4 samples × a
// tile of one row group; vectors run over the samples.
#import blocks
#import clock
#import epilogue
#import grid

@group(0) @binding(0) var<storage, read> h: array<f32>;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    let sample = at / (ROW_GROUPS * ROW_TILES) * 4u;
    if (sample >= clock.rows) {
        return;
    }
    let group = at / ROW_TILES % ROW_GROUPS;
    let member = at % ROW_TILES * ROW_TILE;
    let last = clock.rows - 1u;
    let samples = vec4<u32>(sample, min(sample + 1u, last), min(sample + 2u, last), min(sample + 3u, last));
    let start = samples * INPUTS;
    let scales = samples * (ROW_GROUPS * COL_GROUPS) + group * S_ROW_STEP;
    var weights: array<u32, ROW_TILE>;
    var sums: array<vec4<f32>, ROW_TILE>;
    for (var i = 0u; i < ROW_TILE; i += 1u) {
        weights[i] = row_member(group, member + i) * INPUTS;
        sums[i] = vec4<f32>();
    }
    for (var c = 0u; c < COL_GROUPS; c += 1u) {
        var partial: array<vec4<f32>, ROW_TILE>;
        for (var i = 0u; i < ROW_TILE; i += 1u) {
            partial[i] = vec4<f32>();
        }
        for (var j = 0u; j < COL_MEMBERS; j += 1u) {
            let n = col_member(c, j);
            let x = vec4<f32>(h[start.x + n], h[start.y + n], h[start.z + n], h[start.w + n]);
            for (var i = 0u; i < ROW_TILE; i += 1u) {
                partial[i] += w[weights[i] + n] * x;
            }
        }
        let k = c * S_COL_STEP;
        let scale = vec4<f32>(s[scales.x + k], s[scales.y + k], s[scales.z + k], s[scales.w + k]);
        for (var i = 0u; i < ROW_TILE; i += 1u) {
            sums[i] += scale * partial[i];
        }
    }
    for (var i = 0u; i < ROW_TILE; i += 1u) {
        if (member + i < ROW_MEMBERS) {
            let m = row_member(group, member + i);
            let z = SCALE * sums[i] + bias[m];
            for (var b = 0u; b < 4u; b += 1u) {
                if (sample + b < clock.rows) {
                    let index = (sample + b) * OUTPUTS + m;
                    y[index] = epilogue(z[b], index);
                }
            }
        }
    }
}
