//! The texts of the shaders, embedded in the program by `build.rs`.

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// `FAMILY/NAME` and text of every operation's shader, of `shaders/FAMILY/NAME.wgsl`.
pub const SHADERS: &[(&str, &str)] = SHADER_FILES;

/// An operation's shader, by its name without the family: its entry in [`SHADERS`].
pub fn shader_text(name: &str) -> Option<(&'static str, &'static str)> {
    SHADERS.iter().copied().find(|(path, _)| path.rsplit('/').next() == Some(name))
}

/// The text of `shaders/common/NAME.wgsl`.
pub fn import_text(name: &str) -> Option<&'static str> {
    IMPORT_FILES.iter().find(|(stem, _)| *stem == name).map(|&(_, text)| text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_families_have_shaders_of_one_name() {
        let names: HashSet<_> = SHADERS.iter().map(|(path, _)| path.rsplit('/').next()).collect();
        assert_eq!(names.len(), SHADERS.len());
        assert!(shader_text("affine").is_some_and(|(path, text)| path == "affine/affine" && !text.is_empty()));
    }
}
