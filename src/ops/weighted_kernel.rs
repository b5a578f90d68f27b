//! stub
use super::{Discriminate, Kernel, LowRank, LowRankGrad, Target, WeightedLinearGrad, WeightedLinearGradWeights};
use crate::graph::{Graph, Node};
pub(super) fn grad(_: &WeightedLinearGrad, _: &Node, _: &Graph, _: &Target) -> Vec<Kernel> {
    Vec::new()
}
pub(super) fn grad_weights(_: &WeightedLinearGradWeights, _: &Node, _: &Graph, _: &Target) -> Vec<Kernel> {
    Vec::new()
}
pub(super) fn low_rank(_: &LowRank, _: &Node, _: &Graph, _: &Target) -> Vec<Kernel> {
    Vec::new()
}
pub(super) fn low_rank_grad(_: &LowRankGrad, _: &Node, _: &Graph, _: &Target) -> Vec<Kernel> {
    Vec::new()
}
pub(super) fn discriminate(_: &Discriminate, _: &Node, _: &Graph, _: &Target) -> Vec<Kernel> {
    Vec::new()
}
