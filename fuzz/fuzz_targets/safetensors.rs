//! safetensors: the input is the JSON header, then a zero byte, then the data.
#![no_main]

mod use_checkpoint;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (header, data) = bytes.split_at(end);
    use_checkpoint::use_checkpoint([&(header.len() as u64).to_le_bytes()[..], header, data].concat());
});
