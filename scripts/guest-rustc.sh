#!/usr/bin/env bash
# Debian's rustc-web as cargo's compiler for guests (RUST_WEB_ROOT: where it was unpacked).
# Cargo derives a crate's identity from the absolute path of its sources, and the order of functions in a component follows from it. Here
# identity is name, version and features, so that a component's bytes do not depend on where its tree, or the compiler, lies.
set -eu
guest=false identity="${CARGO_PKG_NAME:-} ${CARGO_PKG_VERSION:-}"
for argument; do
  case $argument in
    wasm32-unknown-unknown) guest=true ;;
    feature=*) identity+=" $argument" ;;
  esac
done
arguments=()
for argument; do
  if $guest && [[ $argument == metadata=* ]]; then argument=metadata=$(sha256sum <<<"$identity" | cut -c1-16); fi
  arguments+=("$argument")
done
LD_LIBRARY_PATH=$RUST_WEB_ROOT/usr/lib/x86_64-linux-gnu exec "$RUST_WEB_ROOT/usr/bin/rustc" "${arguments[@]}"
