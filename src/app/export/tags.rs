//! Fields of tags: their inputs, and what they pool to.

use super::columns::{Columns, Keys, LENGTH};
use super::encoded::EncodedTags;
use super::{OnnxInputs, PLACES, ROWS};
use crate::data::{Pooling, TagsInfo};
use crate::onnx::{Attribute, Builder, Element, Value};
use crate::train::Error;

impl Columns<'_> {
    /// A field's tags: their embedding rows where no `vectors` are given, how many there are, and their weights.
    pub(super) fn tags(&mut self, field: usize, info: TagsInfo, vectors: Option<&Value>) -> Result<EncodedTags, Error> {
        let encoder = self.encoder;
        let (name, owner) = (&encoder.fields()[field].name, &encoder.fields()[info.rows_of].name);
        let places = places_of(name);
        let dims = [ROWS, &places];
        let ids = match (vectors, self.options.inputs) {
            (Some(_), _) => None,
            (None, OnnxInputs::Encoded) => {
                let what = format!("the numbers of the values' embedding rows, as those of \"{owner}\"; 0 as padding");
                Some(self.input(name, Element::I64, &dims, &what)?)
            }
            (None, OnnxInputs::Raw) => {
                let known = encoder.vocabulary(info.rows_of).filter(|known| known.hashed() == 0);
                let Some(known) = known else { return Err(self.cannot_hash(owner)) };
                let (element, value_type) = (self.element_of(owner), encoder.value_type(info.rows_of));
                let what = format!("its values, none of them missing: {}", value_type.in_words());
                let input = self.input(name, element, &dims, &what)?;
                Some(self.look_up(&input, element, value_type, &Keys::Vocabulary(known), 0))
            }
        };
        let what = "how many of the row's values, from the first on, are there; the others are padding";
        let lengths = self.input(&format!("{name}{LENGTH}"), Element::I64, &[ROWS], what)?;
        let weights = match &encoder.schema().field_options(name).weights {
            Some(column) => {
                let what = format!("the weights of the values of \"{name}\", at least 0");
                Some(self.input(column, Element::F32, &dims, &what)?)
            }
            None => None,
        };
        let places = match ids.as_ref().or(vectors) {
            Some(value) => self.size(value, 1),
            None => unreachable!("values are numbers or vectors"),
        };
        Ok(EncodedTags { info, ids, lengths, weights, places })
    }
}

/// The dimension of a field's places: each field's lists have as many as the longest of them.
pub(super) fn places_of(field: &str) -> String {
    format!("{PLACES} of {field}")
}

/// [N, width]: what the embeddings of a field's tags, [N, L, width], become.
pub(super) fn pool(onnx: &mut Builder, tags: &EncodedTags, looked: &Value) -> Value {
    let EncodedTags { info, lengths, weights, places, .. } = tags;
    // The first places count.
    let longest = onnx.ints(&[info.max_length as i64]);
    let ends = onnx.node("Min", &[lengths, &longest], &[]);
    let (place, ends) = (onnx.range(places), onnx.unsqueeze(&ends, 1));
    let is_there = onnx.node("Less", &[&place, &ends], &[]);
    let (one, none) = (onnx.float(1.0), onnx.float(0.0));
    if info.pooling == Pooling::Max {
        let is_there = onnx.unsqueeze(&is_there, 2);
        let lowest = onnx.float(f32::MIN);
        let masked = onnx.select(&is_there, looked, &lowest);
        let axis = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(0))];
        let largest = onnx.node("ReduceMax", &[&masked], &axis);
        let zero = onnx.ints(&[0]);
        let any = onnx.node("Greater", &[&ends, &zero], &[]);
        return onnx.select(&any, &largest, &none);
    }
    let factors = onnx.select(&is_there, weights.as_ref().unwrap_or(&one), &none);
    let columns = onnx.unsqueeze(&factors, 2);
    let weighted = onnx.mul(looked, &columns);
    let sums = onnx.sum(&weighted, 1, false);
    if info.pooling == Pooling::Sum {
        return sums;
    }
    let total = onnx.sum(&factors, 1, true);
    let any = onnx.node("Greater", &[&total, &none], &[]);
    let total = onnx.select(&any, &total, &one);
    onnx.node("Div", &[&sums, &total], &[])
}
