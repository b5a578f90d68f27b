#!/bin/sh
# Installs what building polyscene and running its tests needs, and nothing where it is all there:
#
#   a C linker (cc)     rustc links with it
#   a Vulkan loader     through which shaders reach a device (Linux)
#   Mesa's lavapipe     a Vulkan renderer in software, so that the tests of shaders run on a machine without a GPU and
#                       give the same numbers on every machine; left out where a GPU's driver is installed
#   rustfmt, clippy     as components of rustup, where the toolchain has come without them
#   TensorBoard and     in a Python environment of their own, where POLYSCENE_TEST_PYTHON says (tests/run has it in
#   onnxruntime         target/python; nothing where that is not set): tests let them read a run's events and run exported
#                       models
#
# macOS brings Metal and Windows brings Direct3D 12 with WARP, its own renderer in software: nothing is installed there.
# Rust itself is not installed: see https://rustup.rs.
#
# With POLYSCENE_TEST_NO_ADAPTER=1 the tests that need an adapter pass without one, and no driver is installed. With the
# argument `build` only what building needs is installed: the linker, rustfmt and clippy.
set -eu

if [ "${1:-}" = build ]; then
    POLYSCENE_TEST_NO_ADAPTER=1
    POLYSCENE_TEST_PYTHON=
fi

say() {
    printf 'setup: %s\n' "$*"
}

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# --- What is there -------------------------------------------------------------------------------

# Whether one of the files that the patterns name exists.
any_file() {
    for file in "$@"; do
        [ -e "$file" ] && return 0
    done
    return 1
}

has_loader() {
    for ldconfig in ldconfig /sbin/ldconfig /usr/sbin/ldconfig; do
        if has "$ldconfig" && "$ldconfig" -p 2>/dev/null | grep -q 'libvulkan\.so\.1'; then
            return 0
        fi
    done
    any_file /usr/lib/libvulkan.so.1 /usr/lib64/libvulkan.so.1 /usr/lib/*/libvulkan.so.1 /usr/local/lib/libvulkan.so.1 && return 0
    old_ifs=$IFS
    IFS=:
    for folder in ${LD_LIBRARY_PATH:-}; do
        if [ -e "$folder/libvulkan.so.1" ]; then
            IFS=$old_ifs
            return 0
        fi
    done
    IFS=$old_ifs
    return 1
}

# Whether a driver's manifest whose name begins with $1 lies where the loader looks.
has_manifest() {
    for folder in "${XDG_CONFIG_HOME:-${HOME:-/}/.config}" /etc/xdg /usr/local/etc /etc \
        "${XDG_DATA_HOME:-${HOME:-/}/.local/share}" /usr/local/share /usr/share; do
        any_file "$folder/vulkan/icd.d/$1"*.json && return 0
    done
    return 1
}

# A driver that the environment names is the user's choice; lavapipe always works; another driver needs its GPU.
has_driver() {
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && return 0
    has_manifest lvp_icd && return 0
    has_manifest '' && any_file /dev/dri/renderD* /dev/nvidiactl /dev/dxg
}

# --- What is missing -----------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Sets `manager` to the system's package manager, to nothing where none is known.
find_manager() {
    manager=
    for candidate in apt-get dnf pacman zypper; do
        if has $candidate; then
            manager=$candidate
            break
        fi
    done
}

install_packages() {
    say "installing with $manager: $*"
    [ "$(id -u)" = 0 ] || has sudo || fail "this needs root, and there is no sudo; install as root: $*"
    case $manager in
    apt-get)
        # Lists that cannot be refreshed may still do.
        as_root apt-get update -q || true
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
        ;;
    dnf) as_root dnf install -y "$@" ;;
    pacman) as_root pacman -S --needed --noconfirm "$@" ;;
    zypper) as_root zypper --non-interactive install "$@" ;;
    esac
}

setup_linux() {
    wanted=
    missing=
    cc_there=yes loader_there=yes driver_there=yes
    has cc || cc_there=no
    if [ "${POLYSCENE_TEST_NO_ADAPTER:-}" != 1 ]; then
        has_loader || loader_there=no
        has_driver || driver_there=no
    fi
    [ "$cc_there$loader_there$driver_there" = yesyesyes ] && return

    [ $cc_there = yes ] || missing="$missing a C linker (cc), with which rustc links;"
    [ $loader_there = yes ] || missing="$missing a Vulkan loader (libvulkan.so.1), through which shaders reach a device;"
    [ $driver_there = yes ] || missing="$missing a Vulkan driver: Mesa's software renderer, on which the tests run shaders;"
    say "missing:${missing%;}"

    find_manager
    case $manager in
    apt-get) cc='gcc libc6-dev' loader=libvulkan1 driver=mesa-vulkan-drivers ;;
    dnf) cc=gcc loader=vulkan-loader driver=mesa-vulkan-drivers ;;
    pacman) cc=gcc loader=vulkan-icd-loader driver=vulkan-swrast ;;
    zypper) cc=gcc loader=libvulkan1 driver=libvulkan_lvp ;;
    *) fail "no apt-get, dnf, pacman or zypper here; install these with your system's own packages, then try again" ;;
    esac
    [ $cc_there = yes ] || wanted="$wanted $cc"
    [ $loader_there = yes ] || wanted="$wanted $loader"
    [ $driver_there = yes ] || wanted="$wanted $driver"
    # shellcheck disable=SC2086 # a list of names
    install_packages $wanted || fail "$manager could not install:$wanted"

    has cc || fail "there is still no cc on the PATH after installing $cc"
    if [ "${POLYSCENE_TEST_NO_ADAPTER:-}" != 1 ]; then
        has_loader || fail "there is still no libvulkan.so.1 after installing $loader"
        has_driver || fail "there is still no Vulkan driver in /usr/share/vulkan/icd.d after installing $driver"
    fi
}

case $(uname -s) in
Linux) setup_linux ;;
Darwin)
    # Without the command line tools, /usr/bin/cc is there and only asks for them.
    xcode-select -p >/dev/null 2>&1 || fail "no C linker: run xcode-select --install, then try again"
    ;;
MINGW* | MSYS* | CYGWIN*) ;;
*)
    has cc || fail "no C linker (cc); install one with your system's own packages, then try again"
    say "this system is not known here: a Vulkan driver is left to you (or set POLYSCENE_TEST_NO_ADAPTER=1)"
    ;;
esac

has cargo || fail "no cargo on the PATH; install Rust from https://rustup.rs, then try again"
for component in fmt clippy; do
    cargo "$component" --version >/dev/null 2>&1 && continue
    name=$component
    [ $component = fmt ] && name=rustfmt
    has rustup || fail "no cargo $component; install $name with your system's own packages, then try again"
    say "installing with rustup: $name"
    rustup component add "$name" || fail "rustup could not install $name"
done

# --- Other programs that read what polyscene writes ------------------------------------------------

has_readers() {
    "$1" -c 'import tensorboard.backend.event_processing.event_accumulator, onnx, onnxruntime' >/dev/null 2>&1
}

# $1: the Python that is to have them: PLACE/bin/python of an environment that may have to be made.
setup_python() {
    # The versions are fixed so that a test does not change from one day to the next.
    readers='tensorboard==2.21.0 onnx==1.23.2 onnxruntime==1.32.0'
    has_readers "$1" && return
    place=${1%/bin/python}
    [ "$place" != "$1" ] || fail "$1 (POLYSCENE_TEST_PYTHON) lacks a package; install them there: $1 -m pip install $readers"
    say "installing TensorBoard and onnxruntime in $place"
    if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
        find_manager
        case $manager in
        apt-get) install_packages python3 python3-venv || true ;;
        dnf | zypper) install_packages python3 || true ;;
        pacman) install_packages python || true ;;
        esac
        python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ||
            fail "there is no python3 with venv, with which tests read events and run exported models; install it, then try again"
    fi
    python3 -m venv "$place" || fail "python3 could not make an environment in $place"
    # shellcheck disable=SC2086 # one word for each package
    "$1" -m pip install --quiet --disable-pip-version-check $readers ||
        fail "pip could not install $readers in $place: is the package index within reach?"
    has_readers "$1" || fail "$1 cannot import $readers although pip installed them"
}

[ -z "${POLYSCENE_TEST_PYTHON:-}" ] || setup_python "$POLYSCENE_TEST_PYTHON"
