# Virtual environments of the frameworks that need one of their own: source it after setup.sh.

# find_python VERSION...: the first of these Pythons that this machine has, on PATH or under pyenv.
find_python() {
  local version candidate
  for version in "$@"; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
      command -v "$candidate" > /dev/null 2>&1 || continue
      "$candidate" -c 'import venv, ensurepip' > /dev/null 2>&1 || continue
      printf '%s\n' "$candidate"
      return
    done
  done
  return 1
}

# need_framework NAME: prints nothing; leaves the environment's Python in $framework_python.
# Fails, with the reason, if it cannot be had here.
need_framework() {
  local name=$1 folder=$root/.venv-$1 versions=() packages=() python
  case $name in
    keras3 | torch)
      need_python "$root/.venv" requirements/test.txt
      need_torch "$root/.venv" || return
      [ "$name" = torch ] || need_keras "$root/.venv" || return
      framework_python=$root/.venv/bin/python
      return
      ;;
    tf215) versions=(3.11 3.10 3.9) packages=("tensorflow-cpu==2.15.*" "numpy<2" h5py) ;;
    tf210) versions=(3.10 3.9 3.8) packages=("tensorflow-cpu==2.10.*" "numpy<1.24" "protobuf<3.20" h5py) ;;
    chainer) versions=(3.8 3.9 3.7) packages=("setuptools<60" wheel "numpy<1.24" h5py "chainer==7.8.1") ;;
    onnx) versions=(3.11 3.12 3.10 3.13) packages=(onnx onnxruntime numpy h5py) ;;
    *)
      note "unknown framework '$name': keras3, tf215, tf210, torch, chainer or onnx"
      return 1
      ;;
  esac
  framework_python=$folder/bin/python
  if [ -e "$folder/carousel-stamp" ]; then
    note "$name in ${folder#"$root"/}: all there"
    return
  fi
  if ! python=$(find_python "${versions[@]}"); then
    note "$name needs Python ${versions[*]} (any of these, with venv), and none is on PATH or under pyenv."
    note "For example: apt-get install python3-venv, pyenv install ${versions[0]}, or uv python install ${versions[0]}."
    return 1
  fi
  note "$name: installing into ${folder#"$root"/} ($python)"
  rm -rf "$folder"
  "$python" -m venv "$folder" || return
  # Chainer's own set-up asks for an old setuptools, which has to be there first.
  if [ "$name" = chainer ]; then
    "$framework_python" -m pip install --quiet --disable-pip-version-check "setuptools<60" wheel || return
    packages=("${packages[@]:2}")
  fi
  "$framework_python" -m pip install --quiet --disable-pip-version-check "${packages[@]}" || return
  touch "$folder/carousel-stamp"
}

# generator_of NAME: the script that makes a framework's random models.
generator_of() {
  case $1 in
    keras3 | tf215 | tf210) printf 'Tests/campaigns/keras_models.py\n' ;;
    *) printf 'Tests/campaigns/%s_models.py\n' "$1" ;;
  esac
}

# campaign NAME COUNT SEED: random models of a framework, loaded here, written back, loaded there.
campaign() {
  local name=$1 count=$2 seed=$3 folder=$root/out/campaigns/$1 script bad=0
  need_framework "$name" || return 77
  script=$(generator_of "$name")
  rm -rf "$folder"
  KERAS_BACKEND=torch "$framework_python" "$script" make "$folder" --count "$count" --seed "$seed" 2> "$folder.log" ||
    { tail -5 "$folder.log"; return 1; }
  "$root/.venv/bin/python" Tests/campaigns/check.py "$folder" || bad=1
  KERAS_BACKEND=torch "$framework_python" "$script" verify "$folder" 2>> "$folder.log" || bad=1
  case $script in
    *keras_models.py)
      rm -rf "$folder-ours"
      "$root/.venv/bin/python" Tests/campaigns/our_models.py "$folder-ours" --count "$count" --seed "$seed" &&
        KERAS_BACKEND=torch "$framework_python" "$script" verify "$folder-ours" 2>> "$folder.log" || bad=1
      ;;
  esac
  return $bad
}
