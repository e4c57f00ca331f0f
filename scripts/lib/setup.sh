# Shared set-up of scripts/demo, scripts/test and scripts/bench: source it, then call need_*.
# Every function may run twice, installs only what is missing, and reads nothing from stdin.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
exec < /dev/null

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
note() { printf '%s\n' "$*"; }
die() {
  printf '\ncarousel: %s\n' "$*" >&2
  exit 1
}

# The Swift toolchain is the one thing that no package manager of Debian brings.
need_swift() {
  command -v swift > /dev/null 2>&1 || die "the Swift toolchain is missing.
  Install Swift 6.3 or later (https://www.swift.org/install/linux/) and put its bin folder on PATH."
  local version
  version=$(swift --version 2> /dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -1)
  case $version in
    [0-5].* | 6.[0-2]) die "Swift $version is too old: Carousel needs Swift 6.3 or later." ;;
  esac
  note "Swift $version"
}

build_packages="libhdf5-dev libjansson-dev libzip-dev cmake ninja-build pkg-config gcc g++ libc6-dev"
python_packages="python3 python3-venv"
test_packages="hdf5-tools"

# need_packages NAME...: Debian packages; elsewhere the tools and libraries are looked for.
need_packages() {
  if ! command -v apt-get > /dev/null 2>&1 || ! command -v dpkg-query > /dev/null 2>&1; then
    check_without_apt "$@"
    return
  fi
  local name missing=()
  for name in "$@"; do
    satisfied "$name" || missing+=("$name")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    note "Debian packages: all there"
    return
  fi
  note "Debian packages: installing ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo > /dev/null 2>&1 ||
      die "these packages are missing; install them as root, then run this again:
  apt-get install ${missing[*]}"
    as_root=(sudo -n)
    [ -t 1 ] && as_root=(sudo)
  fi
  local log
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
    tail -15 "$log" >&2
    rm -f "$log"
    die "these packages could not be installed: ${missing[*]}"
  fi
  rm -f "$log"
}

# A package counts as there when it is installed, or, for tools, when the command is on PATH.
satisfied() {
  case $1 in
    cmake | gcc | pkg-config) command -v "$1" > /dev/null 2>&1 && return ;;
    g++) command -v g++ > /dev/null 2>&1 && return ;;
    ninja-build) command -v ninja > /dev/null 2>&1 && return ;;
    python3) command -v python3 > /dev/null 2>&1 && return ;;
    python3-venv) python3 -c 'import venv, ensurepip' > /dev/null 2>&1 && return ;;
    hdf5-tools) command -v h5dump > /dev/null 2>&1 && return ;;
  esac
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

check_without_apt() {
  local name missing=()
  for name in "$@"; do
    case $name in
      libhdf5-dev) pkg-config --exists hdf5 2> /dev/null || [ -e /usr/include/hdf5.h ] ;;
      libjansson-dev) pkg-config --exists jansson 2> /dev/null ;;
      libzip-dev) pkg-config --exists libzip 2> /dev/null ;;
      libc6-dev) true ;;
      libdnnl-dev) [ -e /usr/include/dnnl.h ] ;;
      *) satisfied_command "$name" ;;
    esac || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] || die "this is not a Debian system (no apt-get), and these are missing,
  named as Debian names them: ${missing[*]}
  Install their equivalents (headers included), then run this again."
}

satisfied_command() {
  case $1 in
    ninja-build) command -v ninja ;;
    hdf5-tools) command -v h5dump ;;
    python3-venv) python3 -c 'import venv, ensurepip' ;;
    *) command -v "$1" ;;
  esac > /dev/null 2>&1
}

# need_python FOLDER REQUIREMENTS...: a virtual environment with the packages of the given files.
# It keeps a line for each set of files that it has, so a second run needs no network.
need_python() {
  local folder=$1 stamp file arguments=()
  shift
  stamp=$(cat "$@" requirements/demo.txt | cksum)
  if [ -x "$folder/bin/python" ] && grep -qsxF "$stamp" "$folder/carousel-stamp"; then
    note "Python packages in ${folder#"$root"/}: all there"
    return
  fi
  note "Python packages: installing into ${folder#"$root"/}"
  [ -x "$folder/bin/python" ] || python3 -m venv "$folder" ||
    die "python3 could not make a virtual environment in $folder (Debian package python3-venv)."
  for file in "$@"; do arguments+=(-r "$file"); done
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "${arguments[@]}" ||
    die "pip could not install what $* list."
  printf '%s\n' "$stamp" >> "$folder/carousel-stamp"
}

# need_torch FOLDER: PyTorch's small CPU build where the package index has it, else any.
need_torch() {
  "$1/bin/python" -c 'import torch' > /dev/null 2>&1 && return
  note "PyTorch: installing into ${1#"$root"/}"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0+cpu" 2> /dev/null ||
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check torch
}

# need_keras FOLDER: Keras 3, which runs on the PyTorch that need_torch brings.
need_keras() {
  "$1/bin/python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("keras") is None)' && return
  note "Keras: installing into ${1#"$root"/}"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "keras==3.15.1" 2> /dev/null ||
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check "keras>=3"
}

# The library as it ships: build/libcarousel.so. When the rules of the build change the folder is
# made anew: what other rules left in it would be linked, too.
build_library() {
  local rules
  rules=$(cat CMakeLists.txt CMakePresets.json cmake/* | cksum)
  if [ "$(cat build/carousel-stamp 2> /dev/null)" != "$rules" ]; then
    rm -rf build
    cmake --preset release > build.log 2>&1 || {
      cat build.log >&2
      rm -f build.log
      return 1
    }
    rm -f build.log
    printf '%s\n' "$rules" > build/carousel-stamp
  fi
  cmake --build build "$@"
}
