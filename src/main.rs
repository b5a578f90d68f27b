//! The `polyscene` program.

fn main() -> std::process::ExitCode {
    // Without a desktop, Mesa's layer that lets one choose a GPU per window complains on standard error; there is no
    // window to choose for.
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread exists yet that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    polyscene::cli::run()
}
