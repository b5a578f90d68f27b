// A weighted layer whose shape is known when the shader is built, read by fours of neighbouring inputs: which values of S
// scale them.
#import memory
#import weighted_shape

const INPUTS: u32 = 1u;
// ψ repeats S so that neighbours share a value or, TILED, every so many-th row and column.
const TILED: bool = false;
const ALIGNED: bool = true;

// Whether four neighbouring inputs have one value of S, or four that are stored side by side.
const ONE: bool = !TILED && COL_MEMBERS % 4u == 0u;
const SIDE_BY_SIDE: bool = (TILED || COL_MEMBERS == 1u) && COL_GROUPS % 4u == 0u && S_COL_STEP == 1u;
// Whether four neighbouring outputs have the same values of S.
const SAME_ROWS: bool = ROW_GROUPS == 1u || (!TILED && ROW_MEMBERS % 4u == 0u);

fn parameters4(at: u32) -> vec4<f32> {
    return parameters[at / 4u];
}

fn row_group(row: u32) -> u32 {
    let m = min(row, OUTPUTS - 1u);
    return select(m / ROW_MEMBERS, m % ROW_GROUPS, TILED);
}

fn col_group(col: u32) -> u32 {
    let n = min(col, INPUTS - 1u);
    return select(n / COL_MEMBERS, n % COL_GROUPS, TILED);
}

// S's values of a row group and the inputs col..col + 3, of the sample whose values begin at `s`.
fn scales(s: u32, group: u32, col: u32) -> vec4<f32> {
    let at = s + group * S_ROW_STEP;
    var found: vec4<f32>;
    if (ONE) {
        found = vec4<f32>(load(at + col_group(col) * S_COL_STEP));
    } else if (SIDE_BY_SIDE) {
        found = load4(at + col_group(col));
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            found[i] = load(at + col_group(col + i) * S_COL_STEP);
        }
    }
    return found;
}
