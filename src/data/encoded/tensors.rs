//! Encoded rows as a safetensors file: written column by column as blocks come, read as a memory map.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use xxhash_rust::xxh3::Xxh3;

use crate::data::encoded::rows::{Column, RowColumns, Rows, Sequence};
use crate::data::read::lists::ItemLists;

/// The shape of one split: rows, fields, values per row, optional columns, items of each sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) rows: usize,
    pub(crate) fields: usize,
    pub(crate) values: usize,
    pub(crate) users: bool,
    pub(crate) clicks: bool,
    pub(crate) weights: bool,
    pub(crate) probabilities: bool,
    pub(crate) items: Vec<usize>,
    /// Whether the items of each have weights.
    pub(crate) weighted: Vec<bool>,
}

/// A run of encoded rows on its way into a split.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) ids: Vec<u32>,
    pub(crate) values: Vec<f32>,
    pub(crate) labels: Vec<f32>,
    pub(crate) scenarios: Vec<u32>,
    pub(crate) users: Vec<u64>,
    pub(crate) clicks: Vec<f32>,
    pub(crate) weights: Vec<f32>,
    pub(crate) probabilities: Vec<f32>,
    /// Per sequence, then per field of tags.
    pub(crate) sequences: Vec<ItemLists>,
}

impl Shape {
    /// All tensors in the order of the file. The widest type comes first, so that all are aligned.
    fn tensors(&self) -> Vec<(String, Dtype, Vec<usize>)> {
        let mut tensors = Vec::new();
        if self.users {
            tensors.push(("users".to_owned(), Dtype::U64, vec![self.rows]));
        }
        for k in 0..self.items.len() {
            tensors.push((format!("sequence.{k}.offsets"), Dtype::U64, vec![self.rows + 1]));
        }
        tensors.push(("ids".to_owned(), Dtype::U32, vec![self.rows, self.fields]));
        tensors.push(("values".to_owned(), Dtype::F32, vec![self.rows, self.values]));
        tensors.push(("labels".to_owned(), Dtype::F32, vec![self.rows]));
        tensors.push(("scenarios".to_owned(), Dtype::U32, vec![self.rows]));
        if self.clicks {
            tensors.push(("clicks".to_owned(), Dtype::F32, vec![self.rows]));
        }
        if self.weights {
            tensors.push(("weights".to_owned(), Dtype::F32, vec![self.rows]));
        }
        if self.probabilities {
            tensors.push(("probabilities".to_owned(), Dtype::F32, vec![self.rows]));
        }
        for (k, items) in self.items.iter().enumerate() {
            tensors.push((format!("sequence.{k}.ids"), Dtype::U32, vec![*items]));
            if self.weighted[k] {
                tensors.push((format!("sequence.{k}.weights"), Dtype::F32, vec![*items]));
            }
        }
        tensors
    }
}

/// A split being written to a file.
pub(crate) struct TensorFile {
    file: File,
    shape: Shape,
    columns: Vec<Written>,
    /// How many items each sequence has so far.
    items: Vec<u64>,
}

/// One column's state.
struct Written {
    name: String,
    next: u64,
    end: u64,
    hash: Xxh3,
}

impl TensorFile {
    /// Writes the header; the columns' places follow from the shape.
    pub(crate) fn new(mut file: File, shape: Shape) -> io::Result<TensorFile> {
        let mut header = serde_json::Map::new();
        let mut columns = Vec::new();
        let mut at = 0u64;
        for (name, dtype, dims) in shape.tensors() {
            let bytes = dims.iter().product::<usize>() as u64 * (dtype.bitsize() / 8) as u64;
            let tensor = serde_json::json!({"dtype": dtype, "shape": dims, "data_offsets": [at, at + bytes]});
            header.insert(name.clone(), tensor);
            columns.push(Written { name, next: at, end: at + bytes, hash: Xxh3::new() });
            at += bytes;
        }
        let mut header = serde_json::to_vec(&header)?;
        header.resize(header.len().next_multiple_of(8), b' ');
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        let start = 8 + header.len() as u64;
        for column in &mut columns {
            column.next += start;
            column.end += start;
        }
        let items = vec![0; shape.items.len()];
        let mut written = TensorFile { file, shape, columns, items };
        for k in 0..written.items.len() {
            let column = written.offsets_column(k);
            written.put(column, &0u64.to_le_bytes())?;
        }
        Ok(written)
    }

    fn offsets_column(&self, sequence: usize) -> usize {
        usize::from(self.shape.users) + sequence
    }

    /// Appends rows to every column.
    pub(crate) fn append(&mut self, part: &Part) -> io::Result<()> {
        let mut column = 0;
        let mut put = |file: &mut TensorFile, bytes: &[u8]| {
            column += 1;
            file.put(column - 1, bytes)
        };
        if self.shape.users {
            put(self, bytes(&part.users))?;
        }
        for (k, lists) in part.sequences.iter().enumerate() {
            let offsets = running(&mut self.items[k], &lists.lengths);
            put(self, bytes(&offsets))?;
        }
        put(self, bytes(&part.ids))?;
        put(self, bytes(&part.values))?;
        put(self, bytes(&part.labels))?;
        put(self, bytes(&part.scenarios))?;
        if self.shape.clicks {
            put(self, bytes(&part.clicks))?;
        }
        if self.shape.weights {
            put(self, bytes(&part.weights))?;
        }
        if self.shape.probabilities {
            put(self, bytes(&part.probabilities))?;
        }
        for (k, lists) in part.sequences.iter().enumerate() {
            put(self, bytes(&lists.ids))?;
            if self.shape.weighted[k] {
                put(self, bytes(&lists.weights))?;
            }
        }
        Ok(())
    }

    fn put(&mut self, column: usize, bytes: &[u8]) -> io::Result<()> {
        let column = &mut self.columns[column];
        if column.next + bytes.len() as u64 > column.end {
            return Err(io::Error::other(format!("column {} has more rows than were counted", column.name)));
        }
        self.file.seek(SeekFrom::Start(column.next))?;
        self.file.write_all(bytes)?;
        column.next += bytes.len() as u64;
        column.hash.update(bytes);
        Ok(())
    }

    /// The finished file with each tensor's name and hash.
    pub(crate) fn finish(self) -> io::Result<(File, Vec<(String, u64)>)> {
        if let Some(short) = self.columns.iter().find(|c| c.next != c.end) {
            return Err(io::Error::other(format!("column {} has fewer rows than were counted", short.name)));
        }
        Ok((self.file, self.columns.into_iter().map(|c| (c.name, c.hash.digest())).collect()))
    }
}

fn bytes<T: Pod>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}

/// The ends of items of the given lengths, after `total` earlier ones.
fn running(total: &mut u64, lengths: &[u32]) -> Vec<u64> {
    let next = |n: &u32| {
        *total += u64::from(*n);
        *total
    };
    lengths.iter().map(next).collect()
}

/// Maps a written file. With `hashes`, every tensor must have the hash named there.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn map(file: &File, shape: &Shape, hashes: Option<&[(String, u64)]>) -> Result<Rows, String> {
    // SAFETY: the map is of a file that this program wrote, that is renamed into place whole and never written to
    // again; the values are plain numbers, for which any bits are valid.
    let map = unsafe { Mmap::map(file) }.map_err(|e| e.to_string())?;
    let map = Arc::new(map);
    let tensors = SafeTensors::deserialize(&map).map_err(|e| e.to_string())?;
    if let Some(hashes) = hashes {
        for (name, hash) in hashes {
            let tensor = tensors.tensor(name).map_err(|e| e.to_string())?;
            if xxhash_rust::xxh3::xxh3_64(tensor.data()) != *hash {
                return Err(format!("tensor {name} is damaged"));
            }
        }
    }
    let columns = shape.tensors();
    let range = |name: &str| {
        let (_, dtype, dims) = columns.iter().find(|c| c.0 == name).ok_or(format!("there is no tensor {name}"))?;
        let tensor = tensors.tensor(name).map_err(|e| e.to_string())?;
        if tensor.dtype() != *dtype || tensor.shape() != dims {
            return Err(format!("tensor {name} is {:?} {:?}, not {dtype:?} {dims:?}", tensor.dtype(), tensor.shape()));
        }
        let start = tensor.data().as_ptr() as usize - map.as_ptr() as usize;
        Ok(start..start + tensor.data().len())
    };
    fn column<T: Pod>(map: &Arc<Mmap>, range: std::ops::Range<usize>) -> Result<Column<T>, String> {
        Column::mapped(map, range).ok_or_else(|| "a tensor is misaligned".to_owned())
    }
    let mut rows = RowColumns {
        ids: column(&map, range("ids")?)?,
        values: column(&map, range("values")?)?,
        labels: column(&map, range("labels")?)?,
        scenarios: column(&map, range("scenarios")?)?,
        ..RowColumns::default()
    };
    if shape.users {
        rows.users = Some(column(&map, range("users")?)?);
    }
    if shape.clicks {
        rows.clicks = Some(column(&map, range("clicks")?)?);
    }
    if shape.weights {
        rows.weights = Some(column(&map, range("weights")?)?);
    }
    if shape.probabilities {
        rows.probabilities = Some(column(&map, range("probabilities")?)?);
    }
    for k in 0..shape.items.len() {
        let offsets: Column<u64> = column(&map, range(&format!("sequence.{k}.offsets"))?)?;
        let lists = Sequence::new(offsets, column(&map, range(&format!("sequence.{k}.ids"))?)?);
        rows.sequences.push(match shape.weighted[k] {
            true => lists.weighted(column(&map, range(&format!("sequence.{k}.weights"))?)?),
            false => lists,
        });
    }
    Rows::from_columns(shape.fields, shape.values, rows).map_err(|e| e.to_string())
}

/// Lists as rows have them.
pub(crate) fn sequence(lists: ItemLists, weighted: bool) -> Sequence {
    let mut offsets = vec![0];
    offsets.extend(running(&mut 0, &lists.lengths));
    let sequence = Sequence::new(offsets, lists.ids);
    if weighted { sequence.weighted(lists.weights) } else { sequence }
}

/// Rows in memory, collected from parts.
pub(crate) fn collect(shape: &Shape, parts: Vec<Part>) -> Result<Rows, crate::data::Error> {
    let mut all = Part { sequences: vec![Default::default(); shape.items.len()], ..Part::default() };
    all.ids.reserve_exact(shape.rows * shape.fields);
    for part in parts {
        all.ids.extend(part.ids);
        all.values.extend(part.values);
        all.labels.extend(part.labels);
        all.scenarios.extend(part.scenarios);
        all.users.extend(part.users);
        all.clicks.extend(part.clicks);
        all.weights.extend(part.weights);
        all.probabilities.extend(part.probabilities);
        for (lists, more) in all.sequences.iter_mut().zip(part.sequences) {
            lists.extend(more);
        }
    }
    let columns = RowColumns {
        ids: all.ids.into(),
        values: all.values.into(),
        labels: all.labels.into(),
        scenarios: all.scenarios.into(),
        users: shape.users.then(|| all.users.into()),
        clicks: shape.clicks.then(|| all.clicks.into()),
        weights: shape.weights.then(|| all.weights.into()),
        probabilities: shape.probabilities.then(|| all.probabilities.into()),
        sequences: all
            .sequences
            .into_iter()
            .zip(&shape.weighted)
            .map(|(lists, weighted)| sequence(lists, *weighted))
            .collect(),
    };
    Rows::from_columns(shape.fields, shape.values, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape {
            rows: 3,
            fields: 2,
            values: 1,
            users: true,
            clicks: true,
            weights: true,
            probabilities: true,
            items: vec![4, 3],
            weighted: vec![false, true],
        }
    }

    fn lists(lengths: &[u32], ids: &[u32], weights: &[f32]) -> ItemLists {
        ItemLists { lengths: lengths.to_vec(), ids: ids.to_vec(), weights: weights.to_vec() }
    }

    fn parts() -> Vec<Part> {
        let first = Part {
            ids: vec![1, 2, 3, 4],
            values: vec![0.5, -0.5],
            labels: vec![0.0, 1.0],
            scenarios: vec![1, 0],
            users: vec![u64::MAX, 7],
            clicks: vec![1.0, 1.0],
            weights: vec![2.0, 0.0],
            probabilities: vec![0.25, 0.75],
            sequences: vec![lists(&[0, 3], &[5, 6, 7], &[]), lists(&[2, 0], &[1, 2], &[0.5, 1.5])],
        };
        let second = Part {
            ids: vec![5, 6],
            values: vec![1.5],
            labels: vec![1.0],
            scenarios: vec![1],
            users: vec![8],
            clicks: vec![0.0],
            weights: vec![1.5],
            probabilities: vec![0.5],
            sequences: vec![lists(&[1], &[8], &[]), lists(&[1], &[3], &[2.5])],
        };
        vec![first, second]
    }

    fn check(rows: &Rows) {
        assert_eq!((rows.len(), rows.ids(), rows.values()), (3, &[1, 2, 3, 4, 5, 6][..], &[0.5, -0.5, 1.5][..]));
        assert_eq!((rows.labels(), rows.scenarios()), (&[0.0, 1.0, 1.0][..], &[1, 0, 1][..]));
        assert_eq!((rows.users(), rows.probabilities()), (Some(&[u64::MAX, 7, 8][..]), Some(&[0.25, 0.75, 0.5][..])));
        assert_eq!(rows.clicks(), Some(&[1.0, 1.0, 0.0][..]));
        assert_eq!(rows.weights(), Some(&[2.0, 0.0, 1.5][..]));
        let sequence = &rows.sequences()[0];
        assert_eq!((sequence.row(0), sequence.row(1), sequence.row(2)), (&[][..], &[5, 6, 7][..], &[8][..]));
        assert_eq!(sequence.weights(1), None);
        let tags = &rows.sequences()[1];
        assert_eq!((tags.row(0), tags.row(1), tags.row(2)), (&[1, 2][..], &[][..], &[3][..]));
        assert_eq!((tags.weights(0), tags.weights(2)), (Some(&[0.5, 1.5][..]), Some(&[2.5][..])));
    }

    fn write() -> (File, Vec<(String, u64)>) {
        let mut file = TensorFile::new(tempfile::tempfile().unwrap(), shape()).unwrap();
        parts().iter().for_each(|part| file.append(part).unwrap());
        file.finish().unwrap()
    }

    #[test]
    fn rows_come_back_from_a_file_as_from_memory() {
        check(&collect(&shape(), parts()).unwrap());
        let (file, hashes) = write();
        check(&map(&file, &shape(), Some(&hashes)).unwrap());
    }

    #[test]
    fn a_damaged_or_truncated_file_is_refused() {
        let (mut file, hashes) = write();
        let length = file.metadata().unwrap().len();
        file.seek(SeekFrom::Start(length - 1)).unwrap();
        file.write_all(&[99]).unwrap();
        assert_eq!(map(&file, &shape(), Some(&hashes)).unwrap_err(), "tensor sequence.1.weights is damaged");
        let other = Shape { rows: 4, ..shape() };
        assert!(map(&file, &other, None).unwrap_err().contains("not"));
        file.set_len(length - 2).unwrap();
        assert!(map(&file, &shape(), Some(&hashes)).is_err());
        file.set_len(0).unwrap();
        assert!(map(&file, &shape(), Some(&hashes)).is_err());
    }

    #[test]
    fn more_or_fewer_rows_than_counted_are_refused() {
        let mut file = TensorFile::new(tempfile::tempfile().unwrap(), shape()).unwrap();
        file.append(&parts()[1]).unwrap();
        assert!(file.finish().unwrap_err().to_string().contains("fewer rows"));
        let mut file = TensorFile::new(tempfile::tempfile().unwrap(), shape()).unwrap();
        parts().iter().for_each(|part| file.append(part).unwrap());
        assert!(file.append(&parts()[1]).unwrap_err().to_string().contains("more rows"));
    }

    #[test]
    fn no_rows_are_fine() {
        let shape = Shape { rows: 0, items: vec![0, 0], ..shape() };
        let (file, hashes) = TensorFile::new(tempfile::tempfile().unwrap(), shape.clone()).unwrap().finish().unwrap();
        assert!(map(&file, &shape, Some(&hashes)).unwrap().is_empty());
    }
}
