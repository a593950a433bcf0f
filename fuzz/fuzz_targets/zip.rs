//! The zip container of torch.save.
#![no_main]

mod use_checkpoint;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    use_checkpoint::use_checkpoint([b"PK\x03\x04", bytes].concat());
});
