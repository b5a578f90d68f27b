//! What models are made of: embedding sets, dense layers, weighting matrices, discriminators.
