// The gradients of the shared matrix and of each scenario's own, from that of what is made of them: the sum of PARTS
// copies. One invocation per four values of the own ones; those of the first scenario also sum the shared one's.
#import pieces
#import shared_and_own
const D: u32 = 0u;
const TO_SHARED: u32 = 0u;
const TO_OWN: u32 = 0u;
const PARTS: u32 = 1u;
const COPY: u32 = 4u;

@group(0) @binding(0) var<storage, read> parameters: array<f32>;
@group(0) @binding(1) var<storage, read_write> gradients: array<f32>;

fn gradient(place: u32) -> f32 {
    var sum = gradients[D + place];
    for (var part = 1u; part < PARTS; part += 1u) {
        sum += gradients[part * COPY + D + place];
    }
    return sum;
}

fn piece(at: u32) {
    const ACROSS = OWN_STRIDE / 4u;
    let row = at / ACROSS;
    if (row >= OWN_ROWS) {
        return;
    }
    for (var i = 0u; i < 4u; i += 1u) {
        let col = at % ACROSS * 4u + i;
        if (col >= OWN_COLS) {
            continue;
        }
        let place = row * OWN_STRIDE + col;
        let shared_place = row % ROWS * SHARED_STRIDE + col % COLS;
        let d = gradient(place);
        gradients[TO_OWN + place] = select(d * parameters[SHARED + shared_place], d, SUM);
        if (row < ROWS && col < COLS) {
            var total = 0.0;
            for (var y = row; y < OWN_ROWS; y += ROWS) {
                for (var x = col; x < OWN_COLS; x += COLS) {
                    let part = y * OWN_STRIDE + x;
                    total += gradient(part) * select(parameters[OWN + part], 1.0, SUM);
                }
            }
            gradients[TO_SHARED + shared_place] = total;
        }
    }
}
