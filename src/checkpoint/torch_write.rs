//! A state dict as `torch.save` writes it (zip container, pickle protocol 2): what `torch.load(…, weights_only=True)` reads.

use std::io::{Cursor, Write};

use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::tensor::StoredTensor;
use super::{Checkpoint, CheckpointError, Problem};

/// The folder of all entries.
const ROOT: &str = "archive";
/// PyTorch maps files into memory from such places on.
const ALIGNMENT: u16 = 64;

/// An `OrderedDict` of all tensors under their names.
pub(super) fn write(checkpoint: &Checkpoint) -> Result<Vec<u8>, CheckpointError> {
    let failed = |error: zip::result::ZipError| checkpoint.failed(Problem::Zip(error.to_string()));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    // Without a time, so that the same tensors give the same bytes.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .with_alignment(ALIGNMENT);
    let mut add = |name: &str, bytes: &[u8]| -> Result<(), CheckpointError> {
        let large = bytes.len() as u64 >= u64::from(u32::MAX);
        zip.start_file(format!("{ROOT}/{name}"), options.large_file(large)).map_err(failed)?;
        zip.write_all(bytes).map_err(|error| failed(error.into()))
    };
    add("data.pkl", &pickle(checkpoint))?;
    add("byteorder", b"little")?;
    for (number, name) in checkpoint.tensors().keys().enumerate() {
        add(&format!("data/{number}"), &checkpoint.read(name, StoredTensor::to_bytes)?)?;
    }
    add("version", b"3\n")?;
    Ok(zip.finish().map_err(failed)?.into_inner())
}

/// The program that rebuilds the dictionary; storage `n` is that of the tensor of that number.
fn pickle(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut pickle = Pickle(vec![0x80, 2]);
    pickle.ordered_dict();
    pickle.0.push(b'(');
    for (number, (name, tensor)) in checkpoint.tensors().iter().enumerate() {
        pickle.text(name);
        pickle.tensor(number, tensor);
    }
    // SETITEMS, STOP
    pickle.0.extend(b"u.");
    pickle.0
}

struct Pickle(Vec<u8>);

impl Pickle {
    fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").bytes());
    }

    /// An empty one: the class, called with an empty tuple.
    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.0.extend(b")R");
    }

    fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.0.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.0.extend(text.bytes());
    }

    fn number(&mut self, number: usize) {
        match i32::try_from(number) {
            Ok(number) => {
                self.0.push(b'J');
                self.0.extend(number.to_le_bytes());
            }
            Err(_) => {
                // LONG1 of nine bytes: the last one keeps it from being negative.
                self.0.extend([0x8a, 9]);
                self.0.extend((number as u64).to_le_bytes());
                self.0.push(0);
            }
        }
    }

    fn numbers(&mut self, numbers: &[usize]) {
        self.0.push(b'(');
        numbers.iter().for_each(|number| self.number(*number));
        self.0.push(b't');
    }

    /// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`.
    fn tensor(&mut self, number: usize, tensor: &StoredTensor) {
        let shape = tensor.shape();
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.0.extend(b"((");
        self.text("storage");
        self.global("torch", tensor.dtype().kind().storage);
        self.text(&number.to_string());
        self.text("cpu");
        self.number(shape.iter().product());
        // BINPERSID
        self.0.extend(b"tQ");
        self.number(0);
        self.numbers(shape);
        self.numbers(&StoredTensor::contiguous_strides(shape));
        // NEWFALSE
        self.0.push(0x89);
        self.ordered_dict();
        self.0.extend(b"tR");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let original = crate::embedded::MODELS[0].checkpoint().unwrap();
        let mut original = original;
        original.insert_i64("model.0.bn.num_batches_tracked", 12);
        let bytes = original.to_torch().unwrap();
        assert_eq!(bytes, original.to_torch().unwrap(), "writing twice gives the same bytes");
        let copy = Checkpoint::from_bytes("copy", bytes).unwrap();
        assert!(copy.tensors().keys().eq(original.tensors().keys()));
        for (name, tensor) in original.tensors() {
            assert_eq!(copy.shape(name), Some(tensor.shape()), "{name}");
            assert!(copy.same_numbers(&original, name).unwrap(), "{name}");
        }
    }

    #[test]
    fn large_numbers_stay_positive() {
        let mut pickle = Pickle(Vec::new());
        pickle.number(1 << 31);
        assert_eq!(pickle.0, [0x8a, 9, 0, 0, 0, 0x80, 0, 0, 0, 0, 0]);
    }
}
