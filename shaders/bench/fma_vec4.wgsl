// The ceiling of arithmetic: four independent chains of multiply-adds of vectors, 64 of these in each of ROUNDS rounds.
// FUSED asks for the instruction; without it the driver may still choose it.
#import grid
const ROUNDS: u32 = 1u;
const FUSED: bool = true;

// The factor and the addend, from memory so that no compiler works the chains out beforehand.
@group(0) @binding(0) var<storage, read> constants: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

struct Chains {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn link(x: vec4<f32>, factor: vec4<f32>, addend: vec4<f32>) -> vec4<f32> {
    if (FUSED) {
        return fma(x, factor, addend);
    }
    return x * factor + addend;
}

fn links(x: Chains, k: vec4<f32>, t: vec4<f32>) -> Chains {
    return Chains(link(x.a, k, t), link(x.b, k, t), link(x.c, k, t), link(x.d, k, t));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    let k = vec4(constants[0]);
    let t = vec4(constants[1]);
    let x = f32(at) + vec4(0.0, 1.0, 2.0, 3.0);
    var chains = Chains(x, x + 4.0, x + 8.0, x + 12.0);
    for (var i = 0u; i < ROUNDS; i += 1u) {
        chains = links(links(links(links(chains, k, t), k, t), k, t), k, t);
    }
    sums[at] = dot(chains.a + chains.b + chains.c + chains.d, vec4(1.0));
}
