//! Two logs divided by users into temporary files, so that each part of them can be joined in memory.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use xxhash_rust::xxh3::xxh3_64;

use crate::data::datasets::prepare::source::{Meter, Metered};
use crate::data::datasets::prepare::taobao::Impression;
use crate::data::error::{Error, Result};

/// Something that a user did with an item of this category and brand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behavior {
    pub(crate) user: u32,
    /// Seconds since 1970.
    pub(crate) time: u32,
    pub(crate) category: u32,
    pub(crate) brand: Option<u32>,
}

/// Bytes of the log of behaviours that make one part: as records they are about half as many in memory.
const PART: u64 = 256 << 20;
/// The most parts; each has two open files.
const PARTS: u64 = 100;

/// The parts of both logs.
pub(crate) struct Partitions<'a> {
    folder: PathBuf,
    meter: Rc<Meter<'a>>,
    behaviors: Vec<BufWriter<File>>,
    impressions: Vec<BufWriter<File>>,
}

impl<'a> Partitions<'a> {
    /// Empty parts in files of `folder`, which vanish with them, for a log of behaviours of so many bytes.
    pub(crate) fn new(folder: &Path, bytes: u64, meter: &Rc<Meter<'a>>) -> Result<Self> {
        let parts = bytes.div_ceil(PART).clamp(1, PARTS);
        let files = || -> io::Result<Vec<BufWriter<File>>> {
            (0..parts).map(|_| Ok(BufWriter::with_capacity(1 << 16, tempfile::tempfile_in(folder)?))).collect()
        };
        let io = |error| Error::io(folder, error);
        let (behaviors, impressions) = (files().map_err(io)?, files().map_err(io)?);
        Ok(Self { folder: folder.to_owned(), meter: meter.clone(), behaviors, impressions })
    }

    fn part(&self, user: u32) -> usize {
        (xxh3_64(&user.to_le_bytes()) % self.behaviors.len() as u64) as usize
    }

    /// Adds a behaviour to its user's part.
    pub(crate) fn add_behavior(&mut self, behavior: Behavior) -> Result<()> {
        let part = self.part(behavior.user);
        let written = self.behaviors[part].write_all(&behavior.to_bytes());
        written.map_err(|error| Error::io(&self.folder, error))
    }

    /// Adds an impression to its user's part.
    pub(crate) fn add_impression(&mut self, impression: Impression) -> Result<()> {
        let part = self.part(impression.user);
        let written = self.impressions[part].write_all(&impression.to_bytes());
        written.map_err(|error| Error::io(&self.folder, error))
    }

    /// Gives `each` every impression with the last behaviours of the same user strictly before it, at most so many, in
    /// order of time. Impressions come part by part, and within a part as they were added.
    pub(crate) fn join(
        mut self,
        max: usize,
        mut each: impl FnMut(Impression, &[Behavior]) -> Result<()>,
    ) -> Result<()> {
        let folder = self.folder.clone();
        let io = |error| Error::io(&folder, error);
        for writer in self.behaviors.iter_mut().chain(&mut self.impressions) {
            let end = writer.flush().and_then(|()| writer.get_mut().stream_position());
            self.meter.expect_bytes(end.map_err(io)?);
        }
        let parts = self.behaviors.into_iter().zip(self.impressions);
        for (behaviors, impressions) in parts {
            let mut records = Records::open(behaviors, &self.meter).map_err(io)?;
            let mut behaviors = Vec::new();
            while let Some(bytes) = records.next().map_err(io)? {
                behaviors.push(Behavior::from_bytes(bytes));
            }
            // Stable: what was done within a second stays in the order of the log.
            behaviors.sort_by_key(|behavior| (behavior.user, behavior.time));
            let mut records = Records::open(impressions, &self.meter).map_err(io)?;
            while let Some(bytes) = records.next().map_err(io)? {
                let impression = Impression::from_bytes(bytes);
                let Impression { user, time, .. } = impression;
                let first = behaviors.partition_point(|behavior| behavior.user < user);
                let end = behaviors.partition_point(|behavior| (behavior.user, behavior.time) < (user, time));
                each(impression, &behaviors[first.max(end.saturating_sub(max))..end])?;
            }
        }
        Ok(())
    }
}

/// Bytes of a behaviour or an impression.
const RECORD: usize = 20;

fn words(words: [u32; RECORD / 4]) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn word(bytes: &[u8; RECORD], place: usize) -> u32 {
    let bytes: [u8; 4] = std::array::from_fn(|byte| bytes[4 * place + byte]);
    u32::from_le_bytes(bytes)
}

impl Behavior {
    fn to_bytes(self) -> [u8; RECORD] {
        let Self { user, time, category, brand } = self;
        words([user, time, category, brand.unwrap_or_default(), brand.is_some().into()])
    }

    fn from_bytes(bytes: &[u8; RECORD]) -> Self {
        let [user, time, category, brand, has_brand] = std::array::from_fn(|place| word(bytes, place));
        Self { user, time, category, brand: (has_brand == 1).then_some(brand) }
    }
}

impl Impression {
    fn to_bytes(self) -> [u8; RECORD] {
        let Self { row, user, time, ad, place, click } = self;
        words([row, user, time, ad, u32::from(place) << 1 | u32::from(click)])
    }

    fn from_bytes(bytes: &[u8; RECORD]) -> Self {
        let [row, user, time, ad, rest] = std::array::from_fn(|place| word(bytes, place));
        Self { row, user, time, ad, place: (rest >> 1) as u16, click: rest & 1 == 1 }
    }
}

/// The records of a file that was written.
struct Records<'a> {
    reader: BufReader<Metered<'a>>,
    bytes: [u8; RECORD],
}

impl<'a> Records<'a> {
    fn open(writer: BufWriter<File>, meter: &Rc<Meter<'a>>) -> io::Result<Self> {
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let reader = BufReader::with_capacity(1 << 18, Metered { file, meter: meter.clone() });
        Ok(Self { reader, bytes: [0; RECORD] })
    }

    fn next(&mut self) -> io::Result<Option<&[u8; RECORD]>> {
        match self.reader.read_exact(&mut self.bytes) {
            Ok(()) => Ok(Some(&self.bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impressions_get_their_users_earlier_behaviors() {
        let folder = tempfile::tempdir().unwrap();
        let mut reported = (0, 0);
        let mut show = |done, total| reported = (done, total);
        let meter = Meter::new(&mut show);
        // Four parts, so that users are divided.
        let mut parts = Partitions::new(folder.path(), 4 * PART, &meter).unwrap();
        let behavior = |user, time, category| Behavior { user, time, category, brand: (category > 1).then_some(7) };
        for (user, time, category) in [(1, 30, 3), (2, 5, 9), (1, 10, 1), (1, 20, 2), (1, 20, 4), (3, 1, 8)] {
            parts.add_behavior(behavior(user, time, category)).unwrap();
        }
        let impression = |row, user, time| Impression { row, user, time, ad: row + 70, place: 3, click: row % 2 == 1 };
        for (row, (user, time)) in (1..).zip([(1, 20), (2, 5), (1, 31), (4, 9), (2, 6)]) {
            parts.add_impression(impression(row, user, time)).unwrap();
        }
        let mut found = Vec::new();
        let each = |impression: Impression, before: &[Behavior]| {
            found.push((impression, before.to_vec()));
            Ok(())
        };
        parts.join(3, each).unwrap();
        found.sort_by_key(|(impression, _)| impression.row);
        let expected = [
            (impression(1, 1, 20), vec![behavior(1, 10, 1)]),
            (impression(2, 2, 5), vec![]),
            (impression(3, 1, 31), vec![behavior(1, 20, 2), behavior(1, 20, 4), behavior(1, 30, 3)]),
            (impression(4, 4, 9), vec![]),
            (impression(5, 2, 6), vec![behavior(2, 5, 9)]),
        ];
        assert_eq!(found, expected);
        drop(meter);
        assert_eq!(reported, (11 * RECORD as u64, 11 * RECORD as u64));
    }
}
