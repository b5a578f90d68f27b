//! Lists the shaders: each file under `shaders/` is embedded in the program under its path.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("shaders");
    println!("cargo::rerun-if-changed=shaders");
    let mut families = folders(&root)?;
    // What shaders import, and what measures a device without training on it, is no operation's.
    families.retain(|family| !family.ends_with("common") && !family.ends_with("bench"));
    let shaders = list(&families, &root)?;
    let imports = list(&[root.join("common")], &root.join("common"))?;
    let text = format!(
        "const SHADER_FILES: &[(&str, &str)] = &{shaders};\nconst IMPORT_FILES: &[(&str, &str)] = &{imports};\n"
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("shaders.rs"), text)
}

/// The folders in `root`, by name.
fn folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).filter(|path| path.is_dir()).collect();
    paths.sort();
    Ok(paths)
}

/// The shaders in these folders as a Rust array of paths, relative to `root` and without `.wgsl`, and texts.
fn list(folders: &[PathBuf], root: &Path) -> io::Result<String> {
    let mut array = String::from("[\n");
    for folder in folders {
        let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "wgsl"));
        paths.sort();
        for path in paths {
            let stem = path.strip_prefix(root).expect("it is in there").with_extension("");
            let stem = stem.to_str().expect("shaders have plain names").replace('\\', "/");
            let path = path.to_str().ok_or_else(|| io::Error::other("this folder's path is not UTF-8"))?;
            writeln!(array, "    ({stem:?}, include_str!({path:?})),").expect("a string takes it");
        }
    }
    array.push(']');
    Ok(array)
}
