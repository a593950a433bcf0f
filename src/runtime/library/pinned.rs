//! The version that is fetched, and what its files must look like.
//!
//! The numbers were read off the wheels of that version on the Python package index (2026-11).

/// The version that is fetched.
pub const VERSION: &str = "1.31.1";
/// Least minor version of a library that is found (the `api-24` feature of the crate `ort`).
pub const MIN_MINOR: u32 = 24;

/// The library of one platform.
#[derive(Debug)]
pub(super) struct Pinned {
    os: &'static str,
    arch: &'static str,
    /// The platform tag of the wheel, exactly.
    pub(super) platform: &'static str,
    /// The library inside the wheel.
    pub(super) entry: &'static str,
    pub(super) length: u64,
    pub(super) sha256: &'static str,
}

const PINNED: &[Pinned] = &[
    Pinned {
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        entry: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        length: 29_352_200,
        sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
    },
    Pinned {
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        entry: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        length: 25_265_040,
        sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
    },
    Pinned {
        os: "macos",
        arch: "aarch64",
        platform: "macosx_14_0_arm64",
        entry: "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
        length: 33_037_336,
        sha256: "d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
    },
    Pinned {
        os: "windows",
        arch: "x86_64",
        platform: "win_amd64",
        entry: "onnxruntime/capi/onnxruntime.dll",
        length: 19_288_376,
        sha256: "e45f61e50d8650885452be538a00bb14a715e46a1bc3691000ce947e89ed0306",
    },
    Pinned {
        os: "windows",
        arch: "aarch64",
        platform: "win_arm64",
        entry: "onnxruntime/capi/onnxruntime.dll",
        length: 19_171_640,
        sha256: "dc9e2fe646a72829386a24ac9185a7a4e26d7dbe5dc433d41df063603c00bbc7",
    },
];

/// What to fetch on this machine.
pub(super) fn for_this_platform() -> Option<&'static Pinned> {
    PINNED.iter().find(|pinned| pinned.os == std::env::consts::OS && pinned.arch == std::env::consts::ARCH)
}
