//! Event files, read by the format's description: not by the code that writes them.

use std::collections::BTreeMap;

use prost::Message;

/// The file's name in a run's folder.
pub(crate) const FILE: &str = "events.out.tfevents.polyscene";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(string, tag = "1")]
    pub tag: String,
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
}

/// The events of a file, all of them whole.
pub(crate) fn events(mut bytes: &[u8]) -> Vec<Event> {
    let masked = |bytes: &[u8]| crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at(8);
        let (check, rest) = rest.split_at(4);
        assert_eq!(check, masked(length));
        let (content, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let (check, rest) = rest.split_at(4);
        assert_eq!(check, masked(content));
        found.push(Event::decode(content).unwrap());
        bytes = rest;
    }
    found
}

/// Steps and values by tag, without what is measured anew in each run.
pub(crate) fn scalars(bytes: &[u8]) -> BTreeMap<String, Vec<(i64, f32)>> {
    let mut found = BTreeMap::<String, Vec<(i64, f32)>>::new();
    for event in events(bytes) {
        for Value { tag, simple_value } in event.summary.unwrap_or_default().value {
            if !tag.starts_with("speed/") {
                found.entry(tag).or_default().push((event.step, simple_value.unwrap()));
            }
        }
    }
    found
}
