#!/bin/sh
# Links a guest into a WebAssembly component: the linker for target wasm32-unknown-unknown.
# rustc calls it as `-flavor wasm …`; wasm-component-ld, which comes with every Rust toolchain, wants the rest. No WASI: the guest's
# only imports are those of wit/.
set -eu
sysroot=${GUEST_LINKER_SYSROOT:-$(rustc --print sysroot)}
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$sysroot/lib/rustlib/$host/bin
if [ "${1:-}" = "-flavor" ]; then shift 2; fi
exec "$tools/wasm-component-ld" --wasm-ld-path "$tools/gcc-ld/wasm-ld" --wasi-adapter none "$@"
