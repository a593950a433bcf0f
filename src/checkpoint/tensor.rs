//! A tensor as a view into the bytes of its file.

use std::fmt;

use half::{bf16, f16};

/// The kind of number that a tensor is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// What formats call a kind of number.
pub(super) struct NumberKind {
    pub(super) dtype: Dtype,
    /// In safetensors.
    pub(super) container: safetensors::Dtype,
    /// A storage of PyTorch.
    pub(super) storage: &'static str,
    /// In PyTorch.
    pub(super) torch: &'static str,
}

const fn kind(dtype: Dtype, container: safetensors::Dtype, storage: &'static str, torch: &'static str) -> NumberKind {
    NumberKind { dtype, container, storage, torch }
}

pub(super) const KINDS: &[NumberKind] = &[
    kind(Dtype::F64, safetensors::Dtype::F64, "DoubleStorage", "float64"),
    kind(Dtype::F32, safetensors::Dtype::F32, "FloatStorage", "float32"),
    kind(Dtype::F16, safetensors::Dtype::F16, "HalfStorage", "float16"),
    kind(Dtype::Bf16, safetensors::Dtype::BF16, "BFloat16Storage", "bfloat16"),
    kind(Dtype::I64, safetensors::Dtype::I64, "LongStorage", "int64"),
    kind(Dtype::I32, safetensors::Dtype::I32, "IntStorage", "int32"),
    kind(Dtype::I16, safetensors::Dtype::I16, "ShortStorage", "int16"),
    kind(Dtype::I8, safetensors::Dtype::I8, "CharStorage", "int8"),
    kind(Dtype::U8, safetensors::Dtype::U8, "ByteStorage", "uint8"),
    kind(Dtype::Bool, safetensors::Dtype::BOOL, "BoolStorage", "bool"),
];

impl Dtype {
    pub(super) fn kind(self) -> &'static NumberKind {
        KINDS.iter().find(|kind| kind.dtype == self).expect("every kind is in the table")
    }

    /// Bytes of one number.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 => 8,
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::F16 | Dtype::Bf16 | Dtype::I16 => 2,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

/// Where a storage lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Storage {
    /// First byte.
    pub(super) start: usize,
    /// Number of bytes.
    pub(super) length: usize,
    /// Checksum of the bytes, where the container has one.
    pub(super) crc32: Option<u32>,
}

impl Storage {
    /// Some of the bytes. The checksum is that of the whole, so it is not known for a part.
    pub(super) fn part(self, first: usize, length: usize) -> Option<Self> {
        let end = first.checked_add(length)?;
        (end <= self.length).then_some(Self { start: self.start + first, length, crc32: None })
    }

    /// The bytes, with their checksum verified.
    pub(super) fn bytes(self, file: &[u8]) -> Result<&[u8], String> {
        let Self { start, length, crc32 } = self;
        let bytes = start
            .checked_add(length)
            .and_then(|end| file.get(start..end))
            .ok_or_else(|| format!("its {length} bytes at {start} are not in the file"))?;
        match crc32 {
            Some(expected) if crc32fast::hash(bytes) != expected => {
                Err("its bytes do not have the checksum that the file records; the file is damaged".into())
            }
            _ => Ok(bytes),
        }
    }
}

/// Shape, kind of number and place of a tensor; its numbers stay in the file until they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    /// In elements.
    strides: Vec<usize>,
    /// First element within the storage.
    offset: usize,
    /// Where its numbers lie.
    pub(super) storage: Storage,
}

impl StoredTensor {
    /// A checked view: every element lies in the storage, and there are not more elements than the storage holds (so
    /// that a few bytes cannot pose as gigabytes by a stride of zero).
    pub(super) fn new(
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        storage: Storage,
    ) -> Result<Self, String> {
        if strides.len() != shape.len() || shape.len() > 8 {
            return Err(format!("{} strides for {} axes", strides.len(), shape.len()));
        }
        let available = storage.length / dtype.size();
        let count = shape.iter().try_fold(1usize, |n, length| n.checked_mul(*length));
        let last = shape.iter().zip(&strides).try_fold(offset, |last, (length, stride)| {
            length.saturating_sub(1).checked_mul(*stride).and_then(|reach| last.checked_add(reach))
        });
        match (count, last) {
            (Some(0), _) => {}
            (Some(count), Some(last)) if count <= available && last < available => {}
            _ => {
                return Err(format!(
                    "shape {shape:?} with strides {strides:?} from element {offset} does not fit into a storage of {available}"
                ));
            }
        }
        Ok(Self { dtype, shape, strides, offset, storage })
    }

    /// Length of each axis; empty for a scalar.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The kind of number.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Bytes of all its numbers.
    pub(super) fn byte_length(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }

    /// The same numbers without a last axis of length 1.
    pub(super) fn without_last_axis(mut self) -> Option<Self> {
        (self.shape.pop()? == 1).then_some(())?;
        self.strides.pop();
        Some(self)
    }

    /// Row-major strides of a shape.
    pub(super) fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
        let mut strides = vec![1usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        strides
    }

    /// The tensor's bytes in row-major order.
    pub(super) fn to_bytes(&self, storage: &[u8]) -> Result<Vec<u8>, String> {
        let size = self.dtype.size();
        let count: usize = self.shape.iter().product();
        if count == 0 {
            // Its offset may be anywhere.
            return Ok(Vec::new());
        }
        if self.is_contiguous() {
            return Ok(storage[self.offset * size..(self.offset + count) * size].to_vec());
        }
        let mut bytes = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let element = self.offset + index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum::<usize>();
            bytes.extend_from_slice(&storage[element * size..(element + 1) * size]);
            advance(&mut index, &self.shape);
        }
        Ok(bytes)
    }

    /// The numbers in row-major order.
    pub(super) fn to_f32(&self, storage: &[u8]) -> Result<Vec<f32>, String> {
        let bytes = self.to_bytes(storage)?;
        Ok(match self.dtype {
            Dtype::F32 => numbers(&bytes, f32::from_le_bytes),
            Dtype::F16 => numbers(&bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::Bf16 => numbers(&bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Dtype::F64 => numbers(&bytes, |b| f64::from_le_bytes(b) as f32),
            other => return Err(format!("expected floating point numbers, found {other}")),
        })
    }

    /// Bytes in row-major order with floating point numbers as f16, and the kind of number that they are.
    pub(super) fn to_half(&self, storage: &[u8]) -> Result<(Dtype, Vec<u8>), String> {
        if !matches!(self.dtype, Dtype::F32 | Dtype::F64 | Dtype::Bf16) {
            return Ok((self.dtype, self.to_bytes(storage)?));
        }
        let values = self.to_f32(storage)?;
        let mut bytes = Vec::with_capacity(2 * values.len());
        for value in values {
            let half = f16::from_f32(value);
            if value.is_finite() && !half.is_finite() {
                return Err(format!("holds {value}; f16 ends at 65504"));
            }
            bytes.extend(half.to_le_bytes());
        }
        Ok((Dtype::F16, bytes))
    }

    fn is_contiguous(&self) -> bool {
        let expected = Self::contiguous_strides(&self.shape);
        // The stride of an axis of one element says nothing.
        self.shape.iter().zip(self.strides.iter().zip(&expected)).all(|(length, (a, b))| *length == 1 || a == b)
    }
}

/// The next index in row-major order.
fn advance(index: &mut [usize], shape: &[usize]) {
    for (i, length) in index.iter_mut().zip(shape).rev() {
        *i += 1;
        if *i < *length {
            return;
        }
        *i = 0;
    }
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| number(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(length: usize) -> Storage {
        Storage { start: 1, length, crc32: None }
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn strides_are_followed() {
        let bytes = bytes(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let transposed = StoredTensor::new(Dtype::F32, vec![3, 2], vec![1, 3], 0, storage(24)).unwrap();
        assert_eq!(transposed.to_f32(&bytes).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let part = StoredTensor::new(Dtype::F32, vec![2], vec![1], 3, storage(24)).unwrap();
        assert_eq!(part.to_f32(&bytes).unwrap(), [3.0, 4.0]);
    }

    #[test]
    fn views_that_leave_or_inflate_their_storage_are_refused() {
        for (shape, strides, offset) in [
            (vec![7], vec![1], 0),
            (vec![6], vec![1], 1),
            (vec![2, 2], vec![5, 1], 0),
            (vec![1 << 40], vec![0], 0),
            (vec![usize::MAX, 2], vec![1, 1], 0),
            (vec![2], vec![usize::MAX], 0),
            (vec![2], vec![], 0),
        ] {
            assert!(StoredTensor::new(Dtype::F32, shape.clone(), strides, offset, storage(24)).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn an_empty_tensor_may_begin_anywhere() {
        for offset in [0, 100, 1 << 62] {
            let empty = StoredTensor::new(Dtype::F32, vec![0, 3], vec![3, 1], offset, storage(24)).unwrap();
            assert!(empty.to_f32(&bytes(&[0.0; 6])).unwrap().is_empty());
        }
    }

    #[test]
    fn half_precision_is_widened() {
        let half = StoredTensor::new(Dtype::F16, vec![1], vec![1], 0, storage(2)).unwrap();
        let brain = StoredTensor::new(Dtype::Bf16, vec![], vec![], 0, storage(2)).unwrap();
        assert_eq!(half.to_f32(&f16::from_f32(0.5).to_le_bytes()).unwrap(), [0.5]);
        assert_eq!(brain.to_f32(&bf16::from_f32(-2.0).to_le_bytes()).unwrap(), [-2.0]);
    }
}
