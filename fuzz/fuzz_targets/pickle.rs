//! The pickle machine and what reads its values: the input is `data.pkl`, once in a zip, once in the legacy format.
#![no_main]

#[path = "../../tests/common/torch_file.rs"]
#[allow(dead_code)]
mod torch_file;
mod use_checkpoint;

use libfuzzer_sys::fuzz_target;
use torch_file::TorchFile;

/// Magic number, protocol and byte order of a legacy file.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";

fuzz_target!(|pickle: &[u8]| {
    let storage = vec![0x3c; 4096];
    let file = TorchFile::new("x", pickle.to_vec()).with("data/0", &storage).with("data/1", &storage);
    use_checkpoint::use_checkpoint(file.to_bytes());
    use_checkpoint::use_checkpoint([LEGACY, pickle].concat());
});
