//! Compiled pipelines that outlive the process, where the backend gives them out (Vulkan): the second start of a run, with the
//! same device, driver and version, compiles nothing anew. Many drivers keep such files of their own, and then this gains
//! little.

use std::io::Write;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

/// What a file begins with, before the hash of the rest.
const MAGIC: [u8; 8] = *b"PSPIPE01";

/// The pipelines of one device, and their file.
#[derive(Debug)]
pub(super) struct StoredPipelines {
    file: PathBuf,
    pub(super) cache: wgpu::PipelineCache,
}

impl StoredPipelines {
    /// Those of an earlier process, or none yet; `folder` is where files are kept. None where the device does not give
    /// pipelines out.
    pub(super) fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo, folder: &Path) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = format!("{} {}", info.driver_info, env!("CARGO_PKG_VERSION"));
        let name = format!("{}_{:016x}.bin", wgpu::util::pipeline_cache_key(info)?, xxh3_64(key.as_bytes()));
        let file = folder.join(name);
        let data = read(&file);
        let descriptor =
            wgpu::PipelineCacheDescriptor { label: Some("pipelines"), data: data.as_deref(), fallback: true };
        // SAFETY: the data is what `get_data` gave an earlier process, for this adapter and driver: the file's name says so
        // and its hash tells whether it was damaged since. It lies in the user's own cache folder.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Self { file, cache })
    }

    /// Writes what is known by now. A disk that is full or read-only costs the next start some time, no more.
    pub(super) fn keep(&self) {
        let Some(data) = self.cache.get_data() else { return };
        let whole = [MAGIC.as_slice(), &xxh3_64(&data).to_le_bytes(), &data].concat();
        if let Some(folder) = self.file.parent()
            && std::fs::create_dir_all(folder).is_ok()
            && let Ok(mut temporary) = tempfile::NamedTempFile::new_in(folder)
            && temporary.write_all(&whole).is_ok()
        {
            let _ = temporary.persist(&self.file);
        }
    }
}

/// What a file holds; nothing where it is not there, not ours or damaged.
fn read(file: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(file).ok()?;
    let (hash, data) = bytes.strip_prefix(&MAGIC)?.split_first_chunk::<8>()?;
    (u64::from_le_bytes(*hash) == xxh3_64(data)).then(|| data.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{OpenOptions, ShaderSource, testing};

    #[test]
    fn pipelines_are_kept_and_damage_is_as_good_as_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("cache").join("pipelines");
        const TEXT: &str = "@group(0) @binding(0) var<storage, read_write> values: array<f32>;\n\
            @compute @workgroup_size(64)\n\
            fn main(@builtin(global_invocation_id) id: vec3<u32>) { values[id.x] = -values[id.x]; }\n";
        let shader = ShaderSource::new("negate", TEXT).expand(|_| None).unwrap();
        let start = || {
            let gpu =
                testing::software_with(OpenOptions { pipelines: Some(folder.clone()), ..OpenOptions::default() })?;
            gpu.pipelines().get(&gpu, &shader).unwrap();
            gpu.keep_pipelines();
            gpu.check().unwrap();
            Some(gpu)
        };
        let Some(gpu) = start() else { return };
        if !gpu.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return;
        }
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = &files[..] else { panic!("one file for one device: {files:?}") };
        let whole = std::fs::read(file).unwrap();
        assert!(read(file).is_some());
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [&whole[..whole.len() - 1], &whole[..4], &[], b"something else altogether", &flipped] {
            std::fs::write(file, damaged).unwrap();
            assert_eq!(read(file), None);
            start();
            assert!(read(file).is_some(), "it is written anew");
        }
    }
}
