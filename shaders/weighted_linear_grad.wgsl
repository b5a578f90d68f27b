// With y[r,n] = Σ_{m in group r} W[m,n] dz[m]: dh[n] = SCALE · Σ_r S[r,c(n)] y[r,n] and
// dS[r,c] = SCALE · Σ_{n in group c} h[n] y[r,n]. An invocation owns a whole column group of 4 samples, so that both
// sums end in it; vectors run over the samples.
#import blocks
#import clock
#import grid

@group(0) @binding(0) var<storage, read> dz: array<f32>;
@group(0) @binding(1) var<storage, read> h: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read_write> dh: array<f32>;
@group(0) @binding(5) var<storage, read_write> ds: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    let sample = at / COL_GROUPS * 4u;
    if (sample >= clock.rows) {
        return;
    }
    let group = at % COL_GROUPS;
    let last = clock.rows - 1u;
    let samples = vec4<u32>(sample, min(sample + 1u, last), min(sample + 2u, last), min(sample + 3u, last));
    let start = samples * INPUTS;
    let gradients = samples * OUTPUTS;
    let scales = samples * (ROW_GROUPS * COL_GROUPS) + group * S_COL_STEP;
    for (var tile = 0u; tile < COL_TILES; tile += 1u) {
        let member = tile * COL_TILE;
        var cols: array<u32, COL_TILE>;
        var x: array<vec4<f32>, COL_TILE>;
        var sums: array<vec4<f32>, COL_TILE>;
        for (var j = 0u; j < COL_TILE; j += 1u) {
            let n = col_member(group, member + j);
            cols[j] = n;
            // Members beyond the group must not count towards dS.
            let inside = select(0.0, 1.0, member + j < COL_MEMBERS);
            x[j] = inside * vec4<f32>(h[start.x + n], h[start.y + n], h[start.z + n], h[start.w + n]);
            sums[j] = vec4<f32>();
        }
        for (var r = 0u; r < ROW_GROUPS; r += 1u) {
            var products: array<vec4<f32>, COL_TILE>;
            for (var j = 0u; j < COL_TILE; j += 1u) {
                products[j] = vec4<f32>();
            }
            for (var i = 0u; i < ROW_MEMBERS; i += 1u) {
                let m = row_member(r, i);
                let d = vec4<f32>(
                    dz[gradients.x + m], dz[gradients.y + m], dz[gradients.z + m], dz[gradients.w + m]);
                for (var j = 0u; j < COL_TILE; j += 1u) {
                    products[j] += w[m * INPUTS + cols[j]] * d;
                }
            }
            let k = r * S_ROW_STEP;
            let scale = vec4<f32>(s[scales.x + k], s[scales.y + k], s[scales.z + k], s[scales.w + k]);
            var partial = vec4<f32>();
            for (var j = 0u; j < COL_TILE; j += 1u) {
                sums[j] += scale * products[j];
                partial += x[j] * products[j];
            }
            for (var b = 0u; b < 4u; b += 1u) {
                if (sample + b < clock.rows) {
                    // A group of several tiles is summed in place: the value is this invocation's alone.
                    let index = scales[b] + k;
                    let before = select(ds[index], 0.0, tile == 0u);
                    ds[index] = before + SCALE * partial[b];
                }
            }
        }
        for (var j = 0u; j < COL_TILE; j += 1u) {
            if (member + j < COL_MEMBERS) {
                for (var b = 0u; b < 4u; b += 1u) {
                    if (sample + b < clock.rows) {
                        dh[(sample + b) * INPUTS + cols[j]] = SCALE * sums[j][b];
                    }
                }
            }
        }
    }
}
