// The rows of an embedding table that this dispatch's buffers hold.
const FIRST_ROW: u32 = 0u;
const ROWS: u32 = 1u;

fn in_shard(row: u32) -> bool {
    return row >= FIRST_ROW && row < FIRST_ROW + ROWS;
}
