// The ceiling of arithmetic: eight independent chains of multiply-adds, 32 of these in each of ROUNDS rounds. FUSED
// asks for the instruction; without it the driver may still choose it.
#import grid
const ROUNDS: u32 = 1u;
const FUSED: bool = true;

// The factor and the addend, from memory so that no compiler works the chains out beforehand.
@group(0) @binding(0) var<storage, read> constants: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

struct Chains {
    a: f32,
    b: f32,
    c: f32,
    d: f32,
    e: f32,
    f: f32,
    g: f32,
    h: f32,
}

fn link(x: f32, factor: f32, addend: f32) -> f32 {
    if (FUSED) {
        return fma(x, factor, addend);
    }
    return x * factor + addend;
}

fn links(x: Chains, k: f32, t: f32) -> Chains {
    return Chains(
        link(x.a, k, t), link(x.b, k, t), link(x.c, k, t), link(x.d, k, t),
        link(x.e, k, t), link(x.f, k, t), link(x.g, k, t), link(x.h, k, t),
    );
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = invocation(id, groups);
    let k = constants[0];
    let t = constants[1];
    let x = f32(at);
    var chains = Chains(x, x + 1.0, x + 2.0, x + 3.0, x + 4.0, x + 5.0, x + 6.0, x + 7.0);
    for (var i = 0u; i < ROUNDS; i += 1u) {
        chains = links(links(links(links(chains, k, t), k, t), k, t), k, t);
    }
    sums[at] = chains.a + chains.b + chains.c + chains.d + chains.e + chains.f + chains.g + chains.h;
}
