//! The packages that are fetched, and what their files must look like.
//!
//! Versions, lengths and checksums were read off the wheels on the Python package index (2026-11).

use std::path::{Path, PathBuf};

/// Least minor version of a library (the `api-24` feature of the crate `ort`).
pub const MIN_MINOR: u32 = 24;

/// A Python package with a build of ONNX Runtime. They differ in the execution providers inside.
#[derive(Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name on the Python package index.
    pub name: &'static str,
    /// The version that is fetched.
    pub version: &'static str,
    /// The file, less what systems put around it, without which a library beside it is another build; nothing if any
    /// library will do.
    pub(super) provider_file: Option<&'static str>,
    pub(super) builds: &'static [Build],
}

/// An operating system and a processor as Rust calls them, and the tag of wheels for both, exactly.
type Platform = (&'static str, &'static str, &'static str);

const LINUX_X86_64: Platform = ("linux", "x86_64", "manylinux_2_28_x86_64");
const LINUX_AARCH64: Platform = ("linux", "aarch64", "manylinux_2_28_aarch64");
const MACOS_AARCH64: Platform = ("macos", "aarch64", "macosx_14_0_arm64");
const WINDOWS_X86_64: Platform = ("windows", "x86_64", "win_amd64");
const WINDOWS_AARCH64: Platform = ("windows", "aarch64", "win_arm64");

/// A wheel, for one platform.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) platform: Platform,
    /// Its SHA-256, as the index states it.
    pub(super) sha256: &'static str,
    /// Bytes to download, in millions.
    pub(super) megabytes: u32,
    /// SHA-256 of the library.
    pub(super) library_sha256: &'static str,
    /// What the library loads, and the library last, with lengths in bytes: where that is, the others are. All lie in one
    /// folder of the wheel.
    pub(super) files: &'static [(&'static str, u64)],
}

/// The folder of all libraries inside the wheels.
pub(super) const FOLDER: &str = "onnxruntime/capi";

/// With the execution provider of the CPU, on macOS also that of Core ML.
pub static ONNXRUNTIME: Package = Package {
    name: "onnxruntime",
    version: "1.31.1",
    provider_file: None,
    builds: &[
        Build {
            platform: LINUX_X86_64,
            sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
            megabytes: 24,
            library_sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
            files: &[("libonnxruntime.so.1.31.1", 29_352_200)],
        },
        Build {
            platform: LINUX_AARCH64,
            sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
            megabytes: 21,
            library_sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
            files: &[("libonnxruntime.so.1.31.1", 25_265_040)],
        },
        Build {
            platform: MACOS_AARCH64,
            sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
            megabytes: 21,
            library_sha256: "d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
            files: &[("libonnxruntime.1.31.1.dylib", 33_037_336)],
        },
        Build {
            platform: WINDOWS_X86_64,
            sha256: "ae8a9a351efda685cc59a66226cdefaa37a126c1d66872ca23a2de9425326130",
            megabytes: 15,
            library_sha256: "e45f61e50d8650885452be538a00bb14a715e46a1bc3691000ce947e89ed0306",
            files: &[("onnxruntime.dll", 19_288_376)],
        },
        Build {
            platform: WINDOWS_AARCH64,
            sha256: "fe8b9ac1ae8e894e12c47ee82e4f6dfc1835768133687257866469fda80d0bf1",
            megabytes: 15,
            library_sha256: "dc9e2fe646a72829386a24ac9185a7a4e26d7dbe5dc433d41df063603c00bbc7",
            files: &[("onnxruntime.dll", 19_171_640)],
        },
    ],
};

/// With OpenVINO itself. The wheel for Windows lacks that, and there is none for other systems.
pub static OPENVINO: Package = Package {
    name: "onnxruntime-openvino",
    version: "1.24.1",
    provider_file: Some("onnxruntime_providers_openvino"),
    builds: &[Build {
        platform: LINUX_X86_64,
        sha256: "d617fac2f59a6ab5ea59a788c3e1592240a129642519aaeaa774761dfe35150e",
        megabytes: 84,
        library_sha256: "c7b0590c7825f7029ba17e20a5dea27f7f570d8241d60584caacd363648aa8e2",
        files: &[
            ("libonnxruntime_providers_openvino.so", 2_000_856),
            ("libonnxruntime_providers_shared.so", 15_776),
            ("libopenvino.so.2541", 25_284_089),
            ("libopenvino_auto_plugin.so", 682_457),
            ("libopenvino_hetero_plugin.so", 614_553),
            ("libopenvino_intel_cpu_plugin.so", 67_008_289),
            ("libopenvino_intel_gpu_plugin.so", 18_158_505),
            ("libopenvino_intel_npu_plugin.so", 6_079_705),
            ("libopenvino_onnx_frontend.so.2541", 7_006_249),
            ("libtbb.so.12", 367_649),
            ("libonnxruntime.so.1.24.1", 31_260_360),
        ],
    }],
};

/// With the execution providers of CUDA and TensorRT, which load NVIDIA's own libraries from the system.
pub static GPU: Package = Package {
    name: "onnxruntime-gpu",
    version: "1.31.1",
    provider_file: Some("onnxruntime_providers_cuda"),
    builds: &[
        Build {
            platform: LINUX_X86_64,
            sha256: "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
            megabytes: 256,
            library_sha256: "5104254339ecadae808da771bd0b63b240f0dbd466514234905e54372435c303",
            files: &[
                ("libonnxruntime_providers_cuda.so", 284_014_752),
                ("libonnxruntime_providers_shared.so", 14_632),
                ("libonnxruntime_providers_tensorrt.so", 994_968),
                ("libonnxruntime.so.1.31.1", 29_421_832),
            ],
        },
        Build {
            platform: WINDOWS_X86_64,
            sha256: "2bb1e9373baba88f6415257f5b6a589d23e23c16004f7d89adf4344eada5749e",
            megabytes: 168,
            library_sha256: "7ce20366f6d5981081bb8bbc0aff757e055e6d0d09c2237cbb2143740cc8658f",
            files: &[
                ("onnxruntime_providers_cuda.dll", 194_399_072),
                ("onnxruntime_providers_shared.dll", 21_816),
                ("onnxruntime_providers_tensorrt.dll", 912_184),
                ("onnxruntime.dll", 18_881_336),
            ],
        },
    ],
};

/// With DirectML, for any GPU on Windows.
pub static DIRECTML: Package = Package {
    name: "onnxruntime-directml",
    version: "1.24.4",
    provider_file: Some("DirectML"),
    builds: &[Build {
        platform: WINDOWS_X86_64,
        sha256: "f2ecb68b7b7b259d2ef3112ae760149f9b5a1e7c0fbb73d539da6250a648a614",
        megabytes: 25,
        library_sha256: "302c69f9779d63ef4ab90316e59444c4acbaca7fe3455020d79d10bcfcb00715",
        files: &[
            ("DirectML.dll", 18_527_776),
            ("onnxruntime_providers_shared.dll", 21_576),
            ("onnxruntime.dll", 21_111_832),
        ],
    }],
};

impl Package {
    /// What to fetch on this machine.
    pub(super) fn build(&self) -> Option<&'static Build> {
        let here = (std::env::consts::OS, std::env::consts::ARCH);
        self.builds.iter().find(|build| (build.platform.0, build.platform.1) == here)
    }

    /// Whether there is something to fetch for this machine.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.build().is_some()
    }

    /// Bytes to download for this machine, in millions.
    #[must_use]
    pub fn megabytes(&self) -> Option<u32> {
        self.build().map(|build| build.megabytes)
    }

    /// Where it is in a cache folder: each package in a folder of its own, since they have files of the same names.
    pub(super) fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("{}-{}", self.name, self.version))
    }

    /// Whether it has been fetched into that cache folder.
    #[must_use]
    pub fn is_fetched(&self, cache: &Path) -> bool {
        let folder = self.folder(cache);
        self.build().is_some_and(|build| build.files.iter().all(|(name, _)| folder.join(name).is_file()))
    }

    /// Whether a library in that folder is of this package, as far as its neighbours tell.
    pub(super) fn may_be_in(&self, folder: &Path) -> bool {
        self.provider_file.is_none_or(|name| {
            let file = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
            folder.join(file).is_file()
        })
    }
}

impl Build {
    /// The file name of the library.
    pub(super) fn library(&self) -> &'static str {
        self.files.last().map_or("", |(name, _)| name)
    }
}
