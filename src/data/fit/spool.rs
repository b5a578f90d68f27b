//! Rows between the reading pass and the final columns: in memory as far as they fit, then in a temporary file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytemuck::Pod;

use crate::data::error::{Error, Result};
use crate::data::read::lists::ItemLists;

/// The good rows of one chunk, with provisional ids: category ids count values from 1 in the order in which they were
/// first seen, and 0 is missing; hashed ids are final. All vectors are by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) labels: Vec<f32>,
    pub(crate) scenarios: Vec<u32>,
    /// 0, 1, 2 for train, valid and test; empty when split by time.
    pub(crate) splits: Vec<u8>,
    /// Empty unless split by time.
    pub(crate) times: Vec<f64>,
    pub(crate) users: Option<Vec<u64>>,
    pub(crate) clicks: Option<Vec<f32>>,
    pub(crate) weights: Option<Vec<f32>>,
    pub(crate) probabilities: Option<Vec<f32>>,
    /// Per field its ids; empty for fields of numbers and of tags.
    pub(crate) ids: Vec<Vec<u32>>,
    /// Per field its numbers, NaN where missing; empty for categories.
    pub(crate) numbers: Vec<Vec<f64>>,
    /// Per sequence column, then per field of tags.
    pub(crate) sequences: Vec<ItemLists>,
}

impl Block {
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The bytes of all columns.
    fn bytes(&self) -> usize {
        let lists = |v: &Vec<Vec<u32>>| v.iter().map(|c| size_of_val(&c[..])).sum::<usize>();
        let numbers: usize = self.numbers.iter().map(|c| size_of_val(&c[..])).sum();
        let sequences: usize = self.sequences.iter().map(ItemLists::bytes).sum();
        let floats: usize = self.clicks.iter().chain(&self.weights).chain(&self.probabilities).map(Vec::len).sum();
        let options = 8 * self.users.as_ref().map_or(0, Vec::len) + 4 * floats;
        8 * self.len() + self.splits.len() + 8 * self.times.len() + lists(&self.ids) + numbers + sequences + options
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        put(out, &self.labels)?;
        put(out, &self.scenarios)?;
        put(out, &self.splits)?;
        put(out, &self.times)?;
        put_option(out, self.users.as_deref())?;
        put_option(out, self.clicks.as_deref())?;
        put_option(out, self.weights.as_deref())?;
        put_option(out, self.probabilities.as_deref())?;
        put(out, &[self.ids.len() as u64, self.sequences.len() as u64])?;
        for (ids, numbers) in self.ids.iter().zip(&self.numbers) {
            put(out, ids)?;
            put(out, numbers)?;
        }
        for ItemLists { lengths, ids, weights } in &self.sequences {
            put(out, lengths)?;
            put(out, ids)?;
            put(out, weights)?;
        }
        Ok(())
    }

    fn read(from: &mut impl Read) -> io::Result<Block> {
        let mut block = Block {
            labels: get(from)?,
            scenarios: get(from)?,
            splits: get(from)?,
            times: get(from)?,
            users: get_option(from)?,
            clicks: get_option(from)?,
            weights: get_option(from)?,
            probabilities: get_option(from)?,
            ..Block::default()
        };
        let counts: Vec<u64> = get(from)?;
        let &[fields, sequences] = &counts[..] else { return Err(io::ErrorKind::InvalidData.into()) };
        for _ in 0..fields {
            block.ids.push(get(from)?);
            block.numbers.push(get(from)?);
        }
        for _ in 0..sequences {
            block.sequences.push(ItemLists { lengths: get(from)?, ids: get(from)?, weights: get(from)? });
        }
        Ok(block)
    }
}

fn put<T: Pod>(out: &mut impl Write, values: &[T]) -> io::Result<()> {
    out.write_all(&(values.len() as u64).to_ne_bytes())?;
    out.write_all(bytemuck::cast_slice(values))
}

fn get<T: Pod>(from: &mut impl Read) -> io::Result<Vec<T>> {
    let mut len = [0; 8];
    from.read_exact(&mut len)?;
    let mut values = vec![T::zeroed(); u64::from_ne_bytes(len) as usize];
    from.read_exact(bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}

fn put_option<T: Pod>(out: &mut impl Write, values: Option<&[T]>) -> io::Result<()> {
    put(out, &[u8::from(values.is_some())])?;
    values.map_or(Ok(()), |values| put(out, values))
}

fn get_option<T: Pod>(from: &mut impl Read) -> io::Result<Option<Vec<T>>> {
    let is_some: Vec<u8> = get(from)?;
    if is_some == [1] { get(from).map(Some) } else { Ok(None) }
}

/// All blocks, in order.
pub(crate) struct Spool {
    blocks: Vec<Slot>,
    /// How many bytes of blocks are kept in memory.
    limit: usize,
    in_memory: usize,
    disk: Disk,
    rows: u64,
}

enum Slot {
    Memory(Box<Block>),
    /// A block in the temporary file, from this byte on.
    Disk(u64),
}

enum Disk {
    /// Not needed yet; the folders to try.
    Unopened(Vec<PathBuf>),
    Open(File),
    /// No temporary file could be made or written, so memory must hold everything.
    Full,
}

impl Spool {
    /// Past `limit` bytes of blocks, a temporary file is used, in the first of `folders` that takes it or else the
    /// system's temporary folder.
    pub(crate) fn new(limit: usize, folders: Vec<PathBuf>) -> Spool {
        Spool { blocks: Vec::new(), limit, in_memory: 0, disk: Disk::Unopened(folders), rows: 0 }
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether some blocks lie on disk: the rows are too many to be held in memory.
    pub(crate) fn is_large(&self) -> bool {
        self.in_memory > self.limit || matches!(self.disk, Disk::Open(_))
    }

    pub(crate) fn push(&mut self, block: Block) {
        self.rows += block.len() as u64;
        let bytes = block.bytes();
        if self.in_memory + bytes > self.limit
            && let Some(at) = self.write(&block)
        {
            self.blocks.push(Slot::Disk(at));
            return;
        }
        self.in_memory += bytes;
        self.blocks.push(Slot::Memory(Box::new(block)));
    }

    /// Writes a block to the temporary file; `None` when there is no room for it.
    fn write(&mut self, block: &Block) -> Option<u64> {
        if let Disk::Unopened(folders) = &self.disk {
            let opened = folders.iter().find_map(|f| tempfile::tempfile_in(f).ok());
            self.disk = opened.or_else(|| tempfile::tempfile().ok()).map_or(Disk::Full, Disk::Open);
        }
        let Disk::Open(file) = &mut self.disk else { return None };
        let mut write = || {
            let at = file.seek(SeekFrom::End(0))?;
            let mut out = io::BufWriter::with_capacity(1 << 20, &mut *file);
            block.write(&mut out)?;
            out.flush()?;
            Ok::<u64, io::Error>(at)
        };
        // After a failure, what was written before stays readable; the torn block at the end is never visited.
        write().ok()
    }

    /// Visits all blocks in order.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Block) -> Result<()>) -> Result<()> {
        for slot in &self.blocks {
            match (slot, &self.disk) {
                (Slot::Memory(block), _) => each(block)?,
                (Slot::Disk(at), Disk::Open(file)) => {
                    let mut file = file;
                    let read = file
                        .seek(SeekFrom::Start(*at))
                        .and_then(|_| Block::read(&mut io::BufReader::with_capacity(1 << 20, file)));
                    each(&read.map_err(|e| Error::io(Path::new("the temporary file of encoded rows"), e))?)?;
                }
                (Slot::Disk(_), _) => unreachable!("blocks are on disk only once the file is open"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(k: u32) -> Block {
        Block {
            labels: vec![k as f32; 3],
            scenarios: vec![k; 3],
            splits: vec![0, 1, 2],
            times: Vec::new(),
            users: k.is_multiple_of(2).then(|| vec![u64::from(k); 3]),
            clicks: (k > 2).then(|| vec![1.0; 3]),
            weights: (k > 1).then(|| vec![0.5; 3]),
            probabilities: None,
            ids: vec![vec![k, 1, 2], Vec::new()],
            numbers: vec![Vec::new(), vec![0.5, f64::from(k), -1.0]],
            sequences: vec![ItemLists { lengths: vec![1, 0, 2], ids: vec![k, k, k], weights: vec![0.5, 1.0, 0.0] }],
        }
    }

    fn all(spool: &Spool) -> Vec<Block> {
        let mut seen = Vec::new();
        spool
            .for_each(|b| {
                seen.push(b.clone());
                Ok(())
            })
            .unwrap();
        seen
    }

    #[test]
    fn blocks_come_back_in_order_from_memory_and_disk() {
        let expected: Vec<Block> = (0..20).map(block).collect();
        for limit in [0, 300, 1 << 20] {
            let mut spool = Spool::new(limit, vec![PathBuf::from("/no/such/folder")]);
            expected.iter().for_each(|b| spool.push(b.clone()));
            assert_eq!(all(&spool), expected);
            assert_eq!(all(&spool), expected, "a second visit");
            assert_eq!((spool.is_large(), spool.rows()), (limit < 1 << 20, 60));
        }
    }

    #[test]
    fn without_a_disk_memory_holds_all() {
        let mut spool = Spool::new(0, Vec::new());
        spool.disk = Disk::Full;
        (0..5).for_each(|k| spool.push(block(k)));
        assert_eq!(all(&spool), (0..5).map(block).collect::<Vec<_>>());
        assert!(spool.is_large());
    }
}
