// The gradient of every distinct row the batch read: the sum over its lookups in order of position. One invocation per
// four values of a row.
#import uniforms
#import pieces
#import lookup
#import memory
const COUNT: u32 = 0u;
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

fn piece(at: u32) {
    let unique = at / QUADS;
    if (unique >= batches[uniforms.batch_offset + COUNT]) {
        return;
    }
    let end = batches[uniforms.batch_offset + STARTS + unique + 1u];
    var sum = vec4<f32>();
    for (var i = batches[uniforms.batch_offset + STARTS + unique]; i < end; i += 1u) {
        let position = batches[uniforms.batch_offset + POSITIONS + i];
        if (SEQUENCES > 0u && position >= FIRST_TOKEN) {
            let place = position - FIRST_TOKEN;
            let at_token = OF_TOKENS + place / max(SEQUENCES, 1u) * OF_TOKENS_STRIDE;
            let within = place % max(SEQUENCES, 1u) * WIDTH + 4u * (at % QUADS);
            sum += load_any4(at_token + within, WIDTH % 4u == 0u);
            continue;
        }
        let sample = position / FIELDS;
        let field = position % FIELDS;
        let address = DX + sample * DX_STRIDE + field * WIDTH + 4u * (at % QUADS);
        var d = load_any4(address, WIDTH % 4u == 0u);
        if (is_numeric(field)) {
            d *= values[batches[uniforms.batch_offset + ORDER + sample] * VALUE_STRIDE + value_column(field)];
        }
        sum += d;
    }
    // What lies behind the row in a padded table stays 0.
    const LAST = WIDTH - 4u * (QUADS - 1u);
    if (at % QUADS == QUADS - 1u) {
        sum = select(vec4<f32>(), sum, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(LAST));
    }
    store4(GRADIENT + 4u * at, sum);
}
