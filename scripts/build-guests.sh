#!/usr/bin/env bash
# Builds the example cryptlets into WebAssembly components.
#
#   scripts/build-guests.sh            writes examples/*/cryptlet.wasm, header.sol and examples/guests.sha256
#   scripts/build-guests.sh --check    builds, and compares with what is committed; writes nothing
#
# The same sources give the same bytes, wherever they lie: compilers are pinned by digest, paths are remapped. Compilers come from
# package registries only (Debian, PyPI, npm) and stay in ${XDG_CACHE_HOME:-~/.cache}/cryptlet-fabric/guests. What cannot be had is reported
# as `SKIPPED guests: …`, never silently; it is an error only without --check.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cache=${XDG_CACHE_HOME:-$HOME/.cache}/cryptlet-fabric/guests
source scripts/guest-toolchains.sh

# name of the example; the contract interface that is its header, or - if it has only the header; its language
guests() {
  cat <<'END'
credit-default-swap ICreditDefaultSwap rust
equity-tools        EquityTools        rust
monte-carlo         MonteCarlo         rust
hello-c             -                  c
END
}

check=false
case "${1:-}" in
  '') ;;
  --check) check=true ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

say() { printf 'guests: %s\n' "$*" >&2; }

build_rust() { (cd examples && cargo_guest --locked); }

component_rust() { echo "$(guest_target)/wasm32-unknown-unknown/release/${1//-/_}.wasm"; }

build_c() {
  local object objects=()
  mkdir -p "$cache/c"
  for object in cryptlet hello; do
    (cd examples/hello-c/src && ZIG_GLOBAL_CACHE_DIR=$cache/zig-cache ZIG_LOCAL_CACHE_DIR=$cache/zig-cache "$ZIG" cc -target wasm32-freestanding \
      -std=c17 -ffreestanding -Os -fno-sanitize=all -Wall -Wextra -Werror -c "$object.c" -o "$cache/c/$object.o") || return
    objects+=("$cache/c/$object.o")
  done
  scripts/guest-linker.sh --component-type wit/cryptlet.wit --no-entry --gc-sections --strip-all -z stack-size=65536 \
    "${objects[@]}" -o "$cache/c/hello-c.wasm"
}

component_c() { echo "$cache/c/$1.wasm"; }

# Builds all guests of a language once; 1 if its compiler cannot be had.
declare -A built
build() {
  if [ -z "${built[$1]:-}" ]; then
    if "toolchain_$1"; then "build_$1" && built[$1]=yes; else built[$1]=no; fi
  fi
  [ "${built[$1]}" = yes ]
}

passed=0 failed=0 skipped=0
compare() { # what, built file, committed file
  if cmp -s "$2" "$3"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    say "$1: $3 is not what its source gives: run scripts/build-guests.sh and commit the result"
  fi
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

while read -r name header language; do
  folder=examples/$name
  if [ "$header" != - ]; then
    source=$folder/contracts/$header.sol
    if $check; then compare "$name header" "$source" "$folder/header.sol"; else cp "$source" "$folder/header.sol"; fi
  fi
  if ! build "$language"; then
    skipped=$((skipped + 1))
    echo "SKIPPED guests: $name not rebuilt: $missing"
    continue
  fi
  component=$("component_$language" "$name")
  if $check; then
    compare "$name" "$component" "$folder/cryptlet.wasm"
  else
    cp "$component" "$folder/cryptlet.wasm"
    say "$folder/cryptlet.wasm: $(stat -c %s "$component") bytes"
  fi
done < <(guests)

# Committed digests hold for the committed files, whether or not they could be rebuilt.
if $check; then
  if (cd examples && sha256sum --quiet --check guests.sha256 >&2); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  echo "guests: $passed passed, $failed failed, $skipped skipped"
  ((failed == 0))
else
  ((skipped == 0)) || { say "not everything could be built: examples/guests.sha256 stays as it is"; exit 1; }
  (cd examples && sha256sum -- */cryptlet.wasm >guests.sha256)
fi
