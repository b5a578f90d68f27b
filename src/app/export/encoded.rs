//! A batch as its encoder gives it to the model: embedding rows, factors, scenarios, and places of sequences.

use std::collections::BTreeMap;

use super::spread::Spread;
use crate::data::TagsInfo;
use crate::graph::Graph;
use crate::onnx::{Builder, Element, Value};
use crate::ops::OnnxTokens;

/// The embedding rows of a batch, and all else that a model computes with.
pub(super) struct Encoded {
    /// [1]: how many rows the batch has.
    pub(super) rows: Value,
    /// How many scenarios the run knows.
    pub(super) scenario_count: usize,
    /// [N]: each row's scenario; −1 for one that the run does not know.
    pub(super) scenarios: Option<Value>,
    /// By field, [N]: its embedding row.
    pub(super) ids: BTreeMap<usize, Value>,
    /// By numeric field, [N]: what its embedding is multiplied by.
    pub(super) factors: BTreeMap<usize, Value>,
    /// By sequence, [N, L]: the items' embedding rows.
    pub(super) items: BTreeMap<usize, Value>,
    /// By field of tags.
    pub(super) tags: BTreeMap<usize, EncodedTags>,
    /// By table and field or sequence, [N, width] and [N, L, width]: vectors that were looked up elsewhere; of tags too each
    /// value's.
    pub(super) vectors: BTreeMap<(usize, Looked), Value>,
    /// [N]: how many items a row's sequences have, and the most that count.
    pub(super) lengths: Option<(Value, usize)>,
    /// [1]: L.
    pub(super) places: Option<Value>,
}

/// The tags of a batch in a field: L places for each row, of which the first ones are values.
#[derive(Clone, Debug)]
pub(super) struct EncodedTags {
    /// What the field is.
    pub(super) info: TagsInfo,
    /// [N, L]: the values' embedding rows, where they are looked up in the model.
    pub(super) ids: Option<Value>,
    /// [N]: how many of a row's places are values.
    pub(super) lengths: Value,
    /// [N, L]: what each value counts, if they have weights.
    pub(super) weights: Option<Value>,
    /// [1]: L.
    pub(super) places: Value,
}

/// What a vector belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Looked {
    Field(usize),
    Sequence(usize),
}

impl Encoded {
    /// The same for all the rows that unknown scenarios make.
    pub(super) fn spread(&mut self, onnx: &mut Builder, spread: &Spread) {
        let maps = self.ids.values_mut().chain(self.factors.values_mut()).chain(self.items.values_mut());
        let of_tags = self.tags.values_mut().flat_map(|EncodedTags { ids, lengths, weights, .. }| {
            [Some(lengths), ids.as_mut(), weights.as_mut()].into_iter().flatten()
        });
        let maps = maps.chain(of_tags);
        let all = maps.chain(self.vectors.values_mut()).chain(self.lengths.as_mut().map(|(lengths, _)| lengths));
        all.for_each(|value| *value = spread.rows_of(onnx, value));
        self.scenarios = Some(spread.scenarios());
        self.rows = onnx.node("Shape", &[&spread.scenarios()], &[]);
    }

    /// Which places of the sequences have a token.
    pub(super) fn tokens(&self, onnx: &mut Builder, graph: &Graph) -> Option<OnnxTokens> {
        let (lengths, longest) = self.lengths.as_ref()?;
        let places = self.places.as_ref()?;
        let place = onnx.range(places);
        let lengths = onnx.unsqueeze(lengths, 1);
        let lengths = onnx.node("Min", &[&lengths, places], &[]);
        let one = onnx.ints(&[1]);
        let last = onnx.node("Sub", &[&lengths, &one], &[]);
        let distance = onnx.node("Sub", &[&last, &place], &[]);
        // The last items count: those before them are as if they were not there.
        let (zero, longest) = (onnx.ints(&[0]), onnx.ints(&[*longest as i64]));
        let begun = onnx.node("GreaterOrEqual", &[&distance, &zero], &[]);
        let near = onnx.node("Less", &[&distance, &longest], &[]);
        let is_there = onnx.node("And", &[&begun, &near], &[]);
        let mut mask = onnx.cast(&is_there, Element::F32);
        let mut distance = onnx.select(&is_there, &distance, &zero);
        if graph.with_target {
            // The row's own values follow as one token more.
            let one_each = onnx.concat(&[self.rows.clone(), one.clone()], 0);
            let further = onnx.add(&distance, &one);
            let further = onnx.select(&is_there, &further, &zero);
            let present = onnx.float(1.0);
            let [present, none] = [present, zero].map(|x| onnx.node("Expand", &[&x, &one_each], &[]));
            mask = onnx.concat(&[mask, present], 1);
            distance = onnx.concat(&[further, none], 1);
        }
        let counts = onnx.sum(&mask, 1, true);
        Some(OnnxTokens { mask, distance, counts })
    }
}
