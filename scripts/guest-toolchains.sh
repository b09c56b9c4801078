# The compilers of scripts/build-guests.sh, which sources this. Each function makes one available and says yes, or sets $missing to
# what is in the way and says no. All come from package registries and are checked against digests.
# shellcheck shell=bash disable=SC2034,SC2154

missing=

# Debian's rustc-web with its sources: `rustup target add wasm32-unknown-unknown` needs a network that builders do not always have, and
# is another compiler, so other bytes. Unpacked, not installed. Sets RUST_WEB_ROOT.
rust_web_packages() {
  cat <<'END'
729ec3e943d320515c2bbdc96acfffd7ce34861e62bd5c42726bf586d644dfe2 libllvm22 1:22.1.8-1~deb12u1
3755f30434ae29574c91b0beb86632bee401607b0ac35c3e52810f9a53fae0d1 libstd-rust-web-1.96 1.96.0+dfsg1-1~deb12u2
e38dbeaaad673fc63fb47c5140cf34da271ac71c3ecafc828b762c2fb01fe77a libstd-rust-web-dev 1.96.0+dfsg1-1~deb12u2
9de8597c464d0a9283672973ed7e50092b49a92b95861429043fe8b57468a208 rust-web-src 1.96.0+dfsg1-1~deb12u2
8fefe1d6377fe4082f5a9d2a47e095e2d20319eaab9754bd2f0275155c9adf90 rustc-web 1.96.0+dfsg1-1~deb12u2
END
}

toolchain_rust() {
  export RUST_WEB_ROOT=$cache/rust-web-1.96.0
  [ -x "$RUST_WEB_ROOT/usr/bin/rustc" ] && return
  if [ "$(uname -m)" != x86_64 ]; then missing="the pinned rustc-web is for x86_64"; return 1; fi
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then missing="apt-get, which fetches rustc-web"; return 1; fi
  local new=$RUST_WEB_ROOT.new digest package version
  rm -rf "$new"
  mkdir -p "$new/debs"
  say "fetching rustc-web 1.96.0 (130 MB, once)"
  while read -r digest package version; do
    if ! fetch_deb "$new/debs" "$package=$version" || ! echo "$digest $(echo "$new/debs/$package"_*.deb)" | sha256sum --quiet --check >&2; then
      missing="Debian package $package $version"
      rm -rf "$new"
      return 1
    fi
    dpkg-deb -x "$new/debs/$package"_*.deb "$new"
  done < <(rust_web_packages)
  rm -r "$new/debs"
  rm -rf "$RUST_WEB_ROOT"
  mv "$new" "$RUST_WEB_ROOT"
}

# Zig's C compiler, as PyPI packs it. Sets ZIG.
zig_wheel=ziglang-0.17.0-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64.whl
zig_digest=97079827064a7492cce5541ceb438ae8003ce1e54e399676da2d62fb7a5dc08b

toolchain_c() {
  local folder=$cache/zig-0.17.0
  ZIG=$folder/ziglang/zig
  [ -x "$ZIG" ] && return
  if [ "$(uname -m)" != x86_64 ]; then missing="the pinned ziglang is for x86_64"; return 1; fi
  if ! python3 -m pip --version >/dev/null 2>&1; then missing="pip, which fetches ziglang"; return 1; fi
  say "fetching ziglang 0.17.0 (100 MB, once)"
  rm -rf "$folder.new"
  mkdir -p "$folder.new"
  if ! python3 -m pip download -q --no-deps --only-binary :all: -d "$folder.new" ziglang==0.17.0 >&2 ||
    ! echo "$zig_digest $folder.new/$zig_wheel" | sha256sum --quiet --check >&2; then
    missing="PyPI package ziglang 0.17.0"
    rm -rf "$folder.new"
    return 1
  fi
  python3 -m zipfile -e "$folder.new/$zig_wheel" "$folder.new"
  rm "$folder.new/$zig_wheel"
  chmod +x "$folder.new/ziglang/zig"
  rm -rf "$folder"
  mv "$folder.new" "$folder"
}

# Cargo does not see when the wrappers around the compiler change, so each version of them has its own target folder.
guest_target() { echo "$cache/rust-$(cat "$root"/scripts/guest-*.sh | sha256sum | cut -c1-8)"; }

# Compiles the crate or workspace of the current folder into components, with further arguments of cargo.
# A panic traps without a word: its message would be a third of a small component.
cargo_guest() {
  local sysroot
  sysroot=$(cd "$root" && rustc --print sysroot)
  env -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET \
    RUSTC="$root/scripts/guest-rustc.sh" RUSTC_WRAPPER= RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0 CARGO_TARGET_DIR="$(guest_target)" \
    GUEST_LINKER_SYSROOT="$sysroot" CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$root/scripts/guest-linker.sh" \
    RUSTFLAGS="-Zunstable-options -Cpanic=immediate-abort --remap-path-prefix=$root=/cryptlet \
      --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$RUST_WEB_ROOT=/rust" \
    cargo build --release --target wasm32-unknown-unknown \
    -Zbuild-std=core,alloc,std,panic_abort -Zbuild-std-features=optimize_for_size "$@"
}

# Downloads one package; refreshes the lists first if they are stale and we may.
fetch_deb() {
  (cd "$1" && apt-get download -qq "$2" >/dev/null 2>&1) && return
  if [ "$EUID" = 0 ]; then apt-get update -qq >/dev/null 2>&1 || true; fi
  (cd "$1" && apt-get download -qq "$2" >/dev/null 2>&1)
}
