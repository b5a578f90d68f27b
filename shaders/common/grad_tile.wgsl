// A tile of SIDE × SIDE values of a gradient, summed over samples by all invocations of a workgroup: DEPTH samples at a time
// are staged, so that each value is read once for the whole tile and neighbours read neighbouring ones. An invocation has
// four rows and four columns of the tile. Where a team of fewer than all have it between them, each team takes other
// samples, and their sums are added at the end.
#import block
// 32 or 64.
const SIDE: u32 = 64u;
// Groups of four across the tile.
const ACROSS: u32 = SIDE / 4u;
const TEAM: u32 = ACROSS * ACROSS;
const TEAMS: u32 = WORKGROUP / TEAM;
const DEPTH: u32 = WORKGROUP / ACROSS;

// Leaves in workgroup memory what an invocation has read of staged sample local / ACROSS: the values of four rows and of
// four columns, those of group local % ACROSS.
fn stage_pair(local: u32, rows: vec4<f32>, cols: vec4<f32>) {
    tile[local] = rows;
    tile[WORKGROUP + local] = cols;
}

// Four rows' values of staged sample s, for an invocation of the tile.
fn staged_rows(s: u32, local: u32) -> vec4<f32> {
    return tile[s * ACROSS + local % TEAM / ACROSS];
}

// Four columns' values.
fn staged_cols(s: u32, local: u32) -> vec4<f32> {
    return tile[WORKGROUP + s * ACROSS + local % ACROSS];
}

// The first of an invocation's rows in the tile.
fn own_rows(local: u32) -> u32 {
    return 4u * (local % TEAM / ACROSS);
}

// The first of its columns.
fn own_cols(local: u32) -> u32 {
    return 4u * (local % ACROSS);
}

// Adds the teams' sums, in order.
fn add_teams(local: u32, sums: ptr<function, array<vec4<f32>, 4>>) {
    if (TEAMS > 1u) {
        for (var i = 0u; i < 4u; i += 1u) {
            workgroupBarrier();
            tile[local] = (*sums)[i];
            workgroupBarrier();
            var total = tile[local % TEAM];
            for (var team = 1u; team < TEAMS; team += 1u) {
                total += tile[team * TEAM + local % TEAM];
            }
            (*sums)[i] = total;
        }
    }
}

// Whether an invocation writes row i of its four: all of them, or each team its own.
fn writes(i: u32, local: u32) -> bool {
    return TEAMS == 1u || i == local / TEAM;
}
