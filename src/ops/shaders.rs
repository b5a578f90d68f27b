//! The texts of the shaders, embedded in the program.

/// Name and text of every shader: one WGSL file per operation.
pub const SHADERS: &[(&str, &str)] = &[
    ("add_positions", include_str!("../../shaders/add_positions.wgsl")),
    ("add_positions_grad", include_str!("../../shaders/add_positions_grad.wgsl")),
    ("affine", include_str!("../../shaders/affine.wgsl")),
    ("anneal", include_str!("../../shaders/anneal.wgsl")),
    ("attention", include_str!("../../shaders/attention.wgsl")),
    ("attention_grad", include_str!("../../shaders/attention_grad.wgsl")),
    ("compare", include_str!("../../shaders/compare.wgsl")),
    ("compare_grad", include_str!("../../shaders/compare_grad.wgsl")),
    ("dense_adam", include_str!("../../shaders/dense_adam.wgsl")),
    ("discriminate", include_str!("../../shaders/discriminate.wgsl")),
    ("embed", include_str!("../../shaders/embed.wgsl")),
    ("embed_grad", include_str!("../../shaders/embed_grad.wgsl")),
    ("label_mixture", include_str!("../../shaders/label_mixture.wgsl")),
    ("label_mixture_grad", include_str!("../../shaders/label_mixture_grad.wgsl")),
    ("layer_norm", include_str!("../../shaders/layer_norm.wgsl")),
    ("layer_norm_grad", include_str!("../../shaders/layer_norm_grad.wgsl")),
    ("logit_loss", include_str!("../../shaders/logit_loss.wgsl")),
    ("low_rank", include_str!("../../shaders/low_rank.wgsl")),
    ("low_rank_grad", include_str!("../../shaders/low_rank_grad.wgsl")),
    ("mixture", include_str!("../../shaders/mixture.wgsl")),
    ("mixture_grad", include_str!("../../shaders/mixture_grad.wgsl")),
    ("moments", include_str!("../../shaders/moments.wgsl")),
    ("multiply", include_str!("../../shaders/multiply.wgsl")),
    ("multiply_grad", include_str!("../../shaders/multiply_grad.wgsl")),
    ("mutual", include_str!("../../shaders/mutual.wgsl")),
    ("mutual_grad", include_str!("../../shaders/mutual_grad.wgsl")),
    ("normalize", include_str!("../../shaders/normalize.wgsl")),
    ("normalize_grad", include_str!("../../shaders/normalize_grad.wgsl")),
    ("normalize_sums", include_str!("../../shaders/normalize_sums.wgsl")),
    ("orthogonality", include_str!("../../shaders/orthogonality.wgsl")),
    ("pairwise", include_str!("../../shaders/pairwise.wgsl")),
    ("pairwise_grad", include_str!("../../shaders/pairwise_grad.wgsl")),
    ("pool", include_str!("../../shaders/pool.wgsl")),
    ("prune", include_str!("../../shaders/prune.wgsl")),
    ("prune_grad", include_str!("../../shaders/prune_grad.wgsl")),
    ("row_adam", include_str!("../../shaders/row_adam.wgsl")),
    ("row_sweep", include_str!("../../shaders/row_sweep.wgsl")),
    ("running_moments", include_str!("../../shaders/running_moments.wgsl")),
    ("sample_matrix", include_str!("../../shaders/sample_matrix.wgsl")),
    ("sample_matrix_grad", include_str!("../../shaders/sample_matrix_grad.wgsl")),
    ("select", include_str!("../../shaders/select.wgsl")),
    ("select_grad", include_str!("../../shaders/select_grad.wgsl")),
    ("sparsity", include_str!("../../shaders/sparsity.wgsl")),
    ("star", include_str!("../../shaders/star.wgsl")),
    ("star_grad", include_str!("../../shaders/star_grad.wgsl")),
    ("store_logits", include_str!("../../shaders/store_logits.wgsl")),
    ("token_pool", include_str!("../../shaders/token_pool.wgsl")),
    ("token_pool_grad", include_str!("../../shaders/token_pool_grad.wgsl")),
    ("weight_grads", include_str!("../../shaders/weight_grads.wgsl")),
    ("weighted_linear", include_str!("../../shaders/weighted_linear.wgsl")),
    ("weighted_linear_grad", include_str!("../../shaders/weighted_linear_grad.wgsl")),
    ("weighted_linear_grad_weights", include_str!("../../shaders/weighted_linear_grad_weights.wgsl")),
];

/// Name and text of what shaders import.
const IMPORTS: &[(&str, &str)] = &[
    ("adam", include_str!("../../shaders/common/adam.wgsl")),
    ("affine_item", include_str!("../../shaders/common/affine_item.wgsl")),
    ("attention_heads", include_str!("../../shaders/common/attention_heads.wgsl")),
    ("blocks", include_str!("../../shaders/common/blocks.wgsl")),
    ("clock", include_str!("../../shaders/common/clock.wgsl")),
    ("compared", include_str!("../../shaders/common/compared.wgsl")),
    ("epilogue", include_str!("../../shaders/common/epilogue.wgsl")),
    ("experts", include_str!("../../shaders/common/experts.wgsl")),
    ("grad_item", include_str!("../../shaders/common/grad_item.wgsl")),
    ("grid", include_str!("../../shaders/common/grid.wgsl")),
    ("groups", include_str!("../../shaders/common/groups.wgsl")),
    ("lane_sum", include_str!("../../shaders/common/lane_sum.wgsl")),
    ("layer_moments", include_str!("../../shaders/common/layer_moments.wgsl")),
    ("logistic", include_str!("../../shaders/common/logistic.wgsl")),
    ("lookup", include_str!("../../shaders/common/lookup.wgsl")),
    ("memory", include_str!("../../shaders/common/memory.wgsl")),
    ("mixed_labels", include_str!("../../shaders/common/mixed_labels.wgsl")),
    ("mutual_unit", include_str!("../../shaders/common/mutual_unit.wgsl")),
    ("normal", include_str!("../../shaders/common/normal.wgsl")),
    ("own_columns", include_str!("../../shaders/common/own_columns.wgsl")),
    ("own_matrix", include_str!("../../shaders/common/own_matrix.wgsl")),
    ("own_tokens", include_str!("../../shaders/common/own_tokens.wgsl")),
    ("pooled", include_str!("../../shaders/common/pooled.wgsl")),
    ("random", include_str!("../../shaders/common/random.wgsl")),
    ("shard", include_str!("../../shaders/common/shard.wgsl")),
    ("shared_and_own", include_str!("../../shaders/common/shared_and_own.wgsl")),
    ("vectors", include_str!("../../shaders/common/vectors.wgsl")),
    ("weighted_layer", include_str!("../../shaders/common/weighted_layer.wgsl")),
    ("within", include_str!("../../shaders/common/within.wgsl")),
];

fn find(list: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    list.iter().find(|(stem, _)| *stem == name).map(|&(_, text)| text)
}

/// The text of `shaders/NAME.wgsl`.
pub fn shader_text(name: &str) -> Option<&'static str> {
    find(SHADERS, name)
}

/// The text of `shaders/common/NAME.wgsl`.
pub fn import_text(name: &str) -> Option<&'static str> {
    find(IMPORTS, name)
}
