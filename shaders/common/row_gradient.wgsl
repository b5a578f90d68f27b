// What the lookups of an embedding row add to its gradient.
#import uniforms
#import lookup
#import memory
const STARTS: u32 = 0u;
const POSITIONS: u32 = 0u;
const ORDER: u32 = 0u;
const DX: u32 = 0u;
const DX_STRIDE: u32 = 4u;
const GRADIENT: u32 = 0u;
// Sequences that read the table, the first position of their items, and the gradient of these.
const SEQUENCES: u32 = 0u;
const FIRST_TOKEN: u32 = 0u;
const OF_TOKENS: u32 = 0u;
const OF_TOKENS_STRIDE: u32 = 4u;

@group(0) @binding(3) var<storage, read> values: array<f32>;
@group(0) @binding(4) var<storage, read> batches: array<u32>;

// The number of the first lookup of a distinct row, or of the first beyond the last row's.
fn first_lookup(unique: u32) -> u32 {
    return batches[uniforms.batch_offset + STARTS + unique];
}

// The gradient of four values of lookup number i.
fn lookup_gradient(i: u32, quad: u32) -> vec4<f32> {
    let position = batches[uniforms.batch_offset + POSITIONS + i];
    if (SEQUENCES > 0u && position >= FIRST_TOKEN) {
        let place = position - FIRST_TOKEN;
        let at_token = OF_TOKENS + place / max(SEQUENCES, 1u) * OF_TOKENS_STRIDE;
        let within = place % max(SEQUENCES, 1u) * WIDTH + 4u * quad;
        return load_any4(at_token + within, WIDTH % 4u == 0u);
    }
    let sample = position / FIELDS;
    let field = position % FIELDS;
    let address = DX + sample * DX_STRIDE + field * WIDTH + 4u * quad;
    let d = load_any4(address, WIDTH % 4u == 0u);
    if (is_numeric(field)) {
        return d * values[batches[uniforms.batch_offset + ORDER + sample] * VALUE_STRIDE + value_column(field)];
    }
    return d;
}

fn store_gradient(unique: u32, quad: u32, sum: vec4<f32>) {
    // What lies behind the row in a padded table stays 0.
    const LAST = WIDTH - 4u * (QUADS - 1u);
    let kept = select(vec4<f32>(), sum, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(LAST));
    store4(GRADIENT + 4u * (unique * QUADS + quad), select(sum, kept, quad == QUADS - 1u));
}
