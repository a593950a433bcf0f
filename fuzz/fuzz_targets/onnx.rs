//! The reader of exported files. ONNX Runtime, which runs them, is not part of this.
#![no_main]

use libfuzzer_sys::fuzz_target;
use yolo9::onnx::OnnxFile;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = OnnxFile::from_bytes("fuzz", [b"\x08\x08", bytes].concat()) else { return };
    let _ = (file.class_names(), file.classes(), file.stride(), file.preferred_size());
});
