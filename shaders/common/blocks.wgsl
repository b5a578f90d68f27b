// Which elements of a weight share a value of S, and how four column groups' members are read at once. ψ repeats S either
// so that neighbours share a value or, TILED, every so many-th row and column.
#import memory

const TILED: bool = false;
// 0: values are read one by one. 1: four neighbouring column groups' members are neighbours. 2: four neighbouring members
// of a column group are neighbours, and members are read four at a time.
const COL_MODE: u32 = 0u;
// Whether S's values of four neighbouring column groups are neighbours, and how many neighbouring outputs have the same
// ones.
const S_VECTOR: bool = false;
const SAME_ROWS: u32 = 1u;
// Members of a column group that are read at once.
const TOGETHER: u32 = select(1u, 4u, COL_MODE == 2u);

struct Blocks {
    outputs: u32,
    row_groups: u32,
    col_groups: u32,
    row_members: u32,
    col_members: u32,
    // S is stored by row groups of the outputs, or by column groups of the inputs.
    s_row_step: u32,
    s_col_step: u32,
}

// The layer's input that is member j of a column group; beyond the last group, the last one's.
fn column(b: Blocks, group: u32, j: u32) -> u32 {
    let c = min(group, b.col_groups - 1u);
    return select(c * b.col_members + j, c + j * b.col_groups, TILED);
}

fn row_group(b: Blocks, row: u32) -> u32 {
    let m = min(row, b.outputs - 1u);
    return select(m / b.row_members, m % b.row_groups, TILED);
}

// The output that is member i of a row group.
fn row_member(b: Blocks, group: u32, i: u32) -> u32 {
    return select(group * b.row_members + i, group + i * b.row_groups, TILED);
}

// Members j.. of the column groups c.. c + 3 in a row of activations: column i of the result is member j + i of the four
// groups, for i < TOGETHER.
fn members(b: Blocks, row: u32, c: u32, j: u32) -> mat4x4<f32> {
    var found: mat4x4<f32>;
    if (COL_MODE == 2u) {
        found = transpose(mat4x4<f32>(
            load4(row + column(b, c, j)), load4(row + column(b, c + 1u, j)), load4(row + column(b, c + 2u, j)),
            load4(row + column(b, c + 3u, j))));
    } else if (COL_MODE == 1u) {
        found[0] = load4(row + column(b, c, j));
    } else {
        found[0] = vec4<f32>(
            load(row + column(b, c, j)), load(row + column(b, c + 1u, j)), load(row + column(b, c + 2u, j)),
            load(row + column(b, c + 3u, j)));
    }
    return found;
}

// S's values of a row group and the column groups c.. c + 3; 0 where there is no group.
fn values(b: Blocks, row: u32, group: u32, c: u32) -> vec4<f32> {
    let at = row + group * b.s_row_step + c * b.s_col_step;
    var found = vec4<f32>();
    if (S_VECTOR) {
        found = load4(at);
    } else {
        for (var i = 0u; i < 4u; i += 1u) {
            if (c + i < b.col_groups) {
                found[i] = load(at + i * b.s_col_step);
            }
        }
    }
    return found;
}
