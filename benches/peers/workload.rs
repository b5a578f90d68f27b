//! The papers' workload: shapes and data, alike for everyone.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

pub(crate) const FIELDS: usize = 16;
const AWARE: usize = 4;
const SCENARIOS: usize = 4;
const WIDTH: usize = 16;
/// Samples of the file: 16 batches of the largest size, so that steps do not all find the same rows in the caches.
const SAMPLES: usize = 1 << 17;

/// What one program is asked to train.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// `dnn`, `mi-dpg`, `optmsm` or `saml`.
    pub(crate) model: String,
    /// How it is done; each peer has its own names.
    pub(crate) variant: String,
    /// As `polyscene --device` names it, or as the peer does.
    pub(crate) device: String,
    /// Samples of a step.
    pub(crate) batch: usize,
    /// Rows of the table of all fields; every field has the same share.
    pub(crate) rows: usize,
    pub(crate) fields: usize,
    /// The first of them, which are scenario-aware.
    pub(crate) aware: usize,
    /// A sample's is its first field's row, modulo these.
    pub(crate) scenarios: usize,
    pub(crate) width: usize,
    pub(crate) hidden: Vec<usize>,
    /// Samples in the file.
    pub(crate) samples: usize,
    /// The file: `samples` × `fields` rows of the table, then `samples` labels; u32 and f32, little-endian.
    pub(crate) data: PathBuf,
    pub(crate) learning_rate: f64,
    pub(crate) threads: usize,
}

impl Task {
    pub(crate) fn rows_per_field(&self) -> usize {
        self.rows / self.fields
    }
}

/// The data on the disk.
pub(crate) struct Data {
    path: PathBuf,
    rows: usize,
}

impl Data {
    /// Zipf ids and labels that are 1 in one of ten, as a file in `folder`.
    pub(crate) fn write(folder: &Path, rows: usize) -> anyhow::Result<Self> {
        let per_field = rows / FIELDS;
        anyhow::ensure!(per_field > 0, "--rows {rows} is less than one row for each of {FIELDS} fields");
        let path = folder.join(format!("rows-{rows}"));
        let file = std::fs::File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut file = BufWriter::new(file);
        let mut random = Pcg64::seed_from_u64(1);
        for _ in 0..SAMPLES {
            for field in 0..FIELDS {
                let row = field * per_field + zipf(&mut random, per_field);
                file.write_all(&(row as u32).to_le_bytes())?;
            }
        }
        for _ in 0..SAMPLES {
            file.write_all(&f32::from(u8::from(random.random_bool(0.1))).to_le_bytes())?;
        }
        file.flush()?;
        Ok(Self { path, rows })
    }

    /// The task that everyone gets, but for `variant`, and for `device` where a peer has another name for it.
    pub(crate) fn task(&self, model: &str, batch: usize, device: &str) -> Task {
        Task {
            model: model.to_owned(),
            variant: String::new(),
            device: device.to_owned(),
            batch,
            rows: self.rows / FIELDS * FIELDS,
            fields: FIELDS,
            aware: AWARE,
            scenarios: SCENARIOS,
            width: WIDTH,
            hidden: vec![128, 64, 32],
            samples: SAMPLES,
            data: self.path.clone(),
            learning_rate: 1e-3,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// An id drawn with probability about 1 / rank, spread over the rows so that neighbours in rank are not neighbours in
/// memory.
fn zipf(random: &mut Pcg64, rows: usize) -> usize {
    let rank = (rows as f64).powf(random.random::<f64>()) as u64;
    (rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) % rows as u64) as usize
}
