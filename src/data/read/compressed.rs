//! Text files that are compressed with gzip or zstd, known by their first bytes, whatever they are called.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::data::error::{Error, Result};
use crate::data::read::local_file::LocalFile;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// That of a file, by its first bytes. The file is then at its beginning again.
    pub(crate) fn of(file: &mut File) -> io::Result<Compression> {
        let mut magic = Vec::new();
        file.take(4).read_to_end(&mut magic)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(match &magic[..] {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            _ => Compression::None,
        })
    }
}

/// The name without the ending of a compressed file.
pub(crate) fn plain_name(path: &Path) -> &Path {
    match path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase).as_deref() {
        Some("gz" | "zst") => Path::new(path.file_stem().unwrap_or_default()),
        _ => path,
    }
}

/// A text file from its beginning, decompressed.
pub(crate) fn open(local: &LocalFile) -> Result<Box<dyn Read + Send>> {
    let open = || -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&local.file)?;
        Ok(match Compression::of(&mut file)? {
            Compression::None => Box::new(file),
            Compression::Gzip => {
                Box::new(Decoder { name: "gzip", inner: MultiGzDecoder::new(BufReader::with_capacity(1 << 17, file)) })
            }
            Compression::Zstd => Box::new(Decoder { name: "zstd", inner: zstd::Decoder::new(file)? }),
        })
    };
    open().map_err(|error| Error::io(&local.name, error))
}

/// Decompresses, and says so where it cannot.
struct Decoder<R> {
    name: &'static str,
    inner: R,
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let name = self.name;
            io::Error::new(
                error.kind(),
                format!("the {name} data is cut off or damaged ({error}); copy or compress the file again"),
            )
        })
    }
}
