// How samples and fields are laid out in the data: ids [rows, ID_STRIDE], values [rows, VALUE_STRIDE].
const FIELDS: u32 = 1u;
const WIDTH: u32 = 1u;
// Groups of four in a row of the table.
const QUADS: u32 = (WIDTH + 3u) / 4u;
const ID_STRIDE: u32 = 1u;
const FIRST_COLUMN: u32 = 0u;
const VALUE_STRIDE: u32 = 0u;
// Bit f says whether field f is numeric.
const VALUE_MASK_0: u32 = 0u;
const VALUE_MASK_1: u32 = 0u;
const VALUE_MASK_2: u32 = 0u;

fn value_mask(word: u32) -> u32 {
    return select(select(VALUE_MASK_2, VALUE_MASK_1, word == 1u), VALUE_MASK_0, word == 0u);
}

fn is_numeric(field: u32) -> bool {
    return VALUE_STRIDE > 0u && field < 96u && ((value_mask(field / 32u) >> (field % 32u)) & 1u) == 1u;
}

// Which column of the values a numeric field has: the number of numeric fields before it.
fn value_column(field: u32) -> u32 {
    let below = (1u << (field % 32u)) - 1u;
    var column = countOneBits(value_mask(field / 32u) & below);
    for (var word = 0u; word < field / 32u; word += 1u) {
        column += countOneBits(value_mask(word));
    }
    return column;
}
