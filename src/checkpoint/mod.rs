//! Untrusted bytes in, named tensors and metadata out.
//!
//! Reads what `torch.save` wrote, as zip or in the older format (whole models of the official YOLOv9 code and of
//! Ultralytics, state dicts of these and of MIT YOLO), and safetensors. Tensors get the names of the official code,
//! whoever wrote them. A pickle is treated as data: symbols stay symbols, nothing is imported, called or looked up (see `pickle/`). Tensors are views
//! into the file's bytes until somebody asks for their numbers, and everything that a few bytes could ask for many of is
//! counted; the limits are in docs/checkpoint-format.md.

mod archive;
mod budget;
mod danger;
mod directory;
mod error;
mod legacy;
mod metadata;
mod mit;
mod model;
mod pickle;
mod recognise;
mod report;
mod safetensors;
mod state_dict;
mod storage;
mod tensor;
mod torch;
mod torch_write;

pub use error::{CheckpointError, Problem};
pub use report::{GlobalUse, PickleReport, StorageUse, Treatment};
#[cfg(feature = "train")]
pub(crate) use safetensors::with_sorted_metadata;
pub use tensor::{Dtype, StoredTensor};

use tensor::Storage;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Activation, ConfigError, ConfigFormat, ModelConfig};
use crate::untrusted::{FileKind, open_regular, read};

/// Where a file that knows only one activation for all blocks has it among its submodules.
const COMMON_ACTIVATION: &str = "act";

/// What a whole-model checkpoint says about a submodule that its tensors do not show.
#[derive(Debug, Clone, PartialEq)]
pub enum ModuleAttributes {
    /// A conv2d's geometry (rows, columns), authoritative over the configuration.
    Convolution {
        /// Step.
        stride: [usize; 2],
        /// Zero padding.
        padding: [usize; 2],
        /// Distance between taps.
        dilation: [usize; 2],
        /// Channel groups.
        groups: usize,
    },
    /// The epsilon that the variance of a batch normalisation is increased by.
    BatchNorm(f64),
    /// A block's activation; nothing when it is of a class that is not known.
    Activation(Option<Activation>),
}

/// What a checkpoint says besides its tensors. Absent where the file does not say it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    /// The model's YAML configuration (a dictionary from a pickle appears as JSON, which is YAML).
    pub config: Option<String>,
    /// Class names by class id.
    pub class_names: Option<Vec<String>>,
    /// Anything else worth keeping, in the file's order.
    pub extra: BTreeMap<String, String>,
}

/// Keys of a model file's metadata that are not free for users.
pub const RESERVED_METADATA: &[&str] = &["format", "config", "names", "activation", "batch_norm_eps"];

/// Named tensors with metadata.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    name: String,
    bytes: Cow<'static, [u8]>,
    contents: Contents,
    /// Storages whose checksum was found right: many tensors may share one.
    verified: Arc<Mutex<HashSet<Storage>>>,
}

impl Checkpoint {
    /// Reads a file. What it is shows in its content, not in its name.
    ///
    /// # Errors
    /// [`CheckpointError`] names the file and says what it looks like, what is wrong with it and where.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::from_bytes(&path.display().to_string(), read_file(path)?)
    }

    /// Reads a checkpoint that is already in memory. `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn from_bytes(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, CheckpointError> {
        let bytes = bytes.into();
        match recognise::read(&bytes).and_then(|contents| contents.fits_into(bytes.len())) {
            Ok(contents) => Ok(Self { name: name.into(), bytes, contents, verified: Arc::default() }),
            Err(problem) => Err(CheckpointError { file: name.into(), problem }),
        }
    }

    /// A checkpoint of ours without tensors yet. `name` is what messages call it.
    #[must_use]
    pub fn new(name: &str, config: String, class_names: Vec<String>) -> Self {
        let metadata = Metadata { config: Some(config), class_names: Some(class_names), extra: BTreeMap::new() };
        let contents = Contents { description: "a yolo9 model".into(), metadata, ..Contents::default() };
        Self { name: name.into(), bytes: Cow::default(), contents, verified: Arc::default() }
    }

    /// What messages call this checkpoint: usually the file's path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of file it is, in words.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.contents.description
    }

    /// Whose code wrote it, as far as names and classes show.
    #[must_use]
    pub fn config_format(&self) -> ConfigFormat {
        self.contents.format
    }

    /// Metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.contents.metadata
    }

    /// Things in the file that a user should hear about although it could be read.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.contents.warnings
    }

    /// All tensors by name.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, StoredTensor> {
        &self.contents.tensors
    }

    /// The shape of a tensor, if there is one of that name.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.contents.tensors.get(name).map(StoredTensor::shape)
    }

    /// What the file says about the submodule at `path`.
    #[must_use]
    pub fn module(&self, path: &str) -> Option<&ModuleAttributes> {
        self.contents.modules.get(path)
    }

    /// The numbers of a tensor, row-major, widened to f32.
    ///
    /// # Errors
    /// When there is no such tensor, its bytes are damaged, or it holds something other than real numbers.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        self.read(name, StoredTensor::to_f32)
    }

    /// As [`Checkpoint::read_f32`], without NaN and infinities.
    pub(crate) fn read_finite(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        self.read(name, |tensor, storage| {
            let values = tensor.to_f32(storage)?;
            match values.iter().position(|value| !value.is_finite()) {
                None => Ok(values),
                Some(position) => Err(format!(
                    "holds a value that is not finite ({} at position {position}); the training diverged or the file is damaged",
                    values[position]
                )),
            }
        })
    }

    /// What `how` makes of a tensor and the bytes of its storage.
    fn read<T>(
        &self,
        name: &str,
        how: impl FnOnce(&StoredTensor, &[u8]) -> Result<T, String>,
    ) -> Result<T, CheckpointError> {
        let tensor = self.contents.tensors.get(name).ok_or_else(|| self.failed(Problem::NoTensor(name.into())))?;
        let read = self.storage(tensor.storage).and_then(|storage| how(tensor, storage));
        read.map_err(|reason| self.failed(Problem::Tensor { name: name.into(), reason }))
    }

    /// The bytes of a storage, whose checksum is verified once for all tensors that share it.
    fn storage(&self, storage: Storage) -> Result<&[u8], String> {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let crc32 = storage.crc32.filter(|_| !verified.contains(&storage));
        let bytes = Storage { crc32, ..storage }.bytes(&self.bytes)?;
        verified.insert(storage);
        Ok(bytes)
    }

    fn failed(&self, problem: Problem) -> CheckpointError {
        CheckpointError { file: self.name.clone(), problem }
    }

    /// Whether a tensor that both have holds the same numbers here and there, of whatever kind.
    ///
    /// # Errors
    /// When one of them is missing or its bytes are damaged.
    pub fn same_numbers(&self, other: &Self, name: &str) -> Result<bool, CheckpointError> {
        let raw = |of: &Self| of.read(name, |tensor, storage| Ok((tensor.dtype(), tensor.to_bytes(storage)?)));
        let (ours, theirs) = (raw(self)?, raw(other)?);
        if ours.0 == theirs.0 {
            return Ok(ours == theirs);
        }
        // Integers are no numbers of this kind: of different types they are taken for different.
        Ok(self.read_f32(name).ok().is_some_and(|ours| other.read_f32(name).is_ok_and(|theirs| ours == theirs)))
    }

    /// This checkpoint as a safetensors file of ours: tensors as stored, metadata and normalisation epsilons kept.
    ///
    /// # Errors
    /// When a tensor's bytes are damaged or its kind of number has no safetensors equivalent.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, CheckpointError> {
        safetensors::write(self)
    }

    /// The tensors as a state dict in the format of PyTorch, which `torch.load` reads without trusting the file
    /// (`weights_only=True`). Metadata has no place in it.
    ///
    /// # Errors
    /// When a tensor's bytes are damaged.
    pub fn to_torch(&self) -> Result<Vec<u8>, CheckpointError> {
        torch_write::write(self)
    }

    /// Adds an entry to the metadata, such as where the weights come from.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        self.contents.metadata.extra.insert(key.into(), value.into());
    }

    /// What messages call the configuration inside this checkpoint.
    pub(crate) fn config_name(&self) -> String {
        format!("inside {}", self.name)
    }

    /// The model's configuration, if the file carries one.
    ///
    /// # Errors
    /// As [`ModelConfig::from_yaml`].
    pub fn config(&self) -> Result<Option<ModelConfig>, ConfigError> {
        self.contents.metadata.config.as_ref().map(|yaml| ModelConfig::from_yaml(&self.config_name(), yaml)).transpose()
    }

    /// Replaces the model's YAML configuration.
    pub fn set_config(&mut self, yaml: String) {
        self.contents.metadata.config = Some(yaml);
    }

    /// Adds a tensor, or replaces the one of that name.
    ///
    /// # Panics
    /// If the shape does not hold as many values as there are.
    pub fn insert_f32(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "values of {name}");
        self.insert(name, Dtype::F32, shape, bytemuck::cast_slice(values));
    }

    /// Adds a whole number, such as how many batches a normalisation has seen.
    pub fn insert_i64(&mut self, name: &str, value: i64) {
        self.insert(name, Dtype::I64, &[], &value.to_le_bytes());
    }

    /// The same checkpoint with all tensors and submodules under other names; those without a new name are left out.
    #[must_use]
    pub(crate) fn renamed(&self, name: impl Fn(&str) -> Option<String>) -> Self {
        let Contents { tensors, modules, .. } = &self.contents;
        let mut renamed = self.clone();
        renamed.contents.tensors = tensors.iter().filter_map(|(old, of)| Some((name(old)?, of.clone()))).collect();
        renamed.contents.modules = modules.iter().filter_map(|(old, of)| Some((name(old)?, of.clone()))).collect();
        // Common to all blocks, whatever they are called (`safetensors.rs`).
        let common = modules.get(COMMON_ACTIVATION).map(|of| (COMMON_ACTIVATION.into(), of.clone()));
        renamed.contents.modules.extend(common);
        renamed
    }

    /// The same checkpoint with all floating point numbers as f16.
    ///
    /// # Errors
    /// Names the tensor with a number beyond f16's range (65504).
    pub fn to_half(&self) -> Result<Self, CheckpointError> {
        let contents = Contents { tensors: BTreeMap::new(), ..self.contents.clone() };
        let mut half = Self { name: self.name.clone(), bytes: Cow::default(), contents, verified: Arc::default() };
        for (name, tensor) in self.tensors() {
            let (dtype, bytes) = self.read(name, StoredTensor::to_half)?;
            half.insert(name, dtype, tensor.shape(), &bytes);
        }
        Ok(half)
    }

    fn insert(&mut self, name: &str, dtype: Dtype, shape: &[usize], new: &[u8]) {
        let bytes = self.bytes.to_mut();
        let storage = Storage { start: bytes.len(), length: new.len(), crc32: None };
        bytes.extend_from_slice(new);
        let strides = StoredTensor::contiguous_strides(shape);
        let tensor = StoredTensor::new(dtype, shape.to_vec(), strides, 0, storage);
        self.contents.tensors.insert(name.into(), tensor.expect("the storage holds exactly that shape"));
    }

    /// The activation of every block that has one, if the file knows it and they all have the same.
    #[must_use]
    pub fn common_activation(&self) -> Option<Activation> {
        let mut activations = self.contents.modules.values().filter_map(|attributes| match attributes {
            ModuleAttributes::Activation(activation) if *activation != Some(Activation::Identity) => Some(*activation),
            _ => None,
        });
        let first = activations.next()??;
        activations.all(|other| other == Some(first)).then_some(first)
    }

    pub(crate) fn modules(&self) -> &BTreeMap<String, ModuleAttributes> {
        &self.contents.modules
    }
}

/// The bytes of a model file.
///
/// # Errors
/// When it cannot be read, is no regular file, or is beyond the size of any model.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let read = || {
        let mut start = Vec::new();
        open_regular(path)?.take(64).read_to_end(&mut start)?;
        // Something else is only looked at to say what it is; an ONNX file has no magic number.
        let kind = if recognises(&start) { FileKind::Model } else { FileKind::UnknownModel };
        read(path, kind)
    };
    read().map_err(|reason| CheckpointError { file: path.display().to_string(), problem: Problem::Read(reason) })
}

/// Whether bytes are of a format that this module reads.
pub(crate) fn recognises(bytes: &[u8]) -> bool {
    recognise::is_torch(bytes) || safetensors::looks_like(bytes)
}

/// How often more bytes than the file has its tensors may have in all, since some share their numbers.
const MAX_SHARED: usize = 4;

impl Contents {
    /// Refuses tensors that would be far larger written one by one than the file that describes them.
    fn fits_into(self, length: usize) -> Result<Self, Problem> {
        let total = self.tensors.values().fold(0usize, |sum, tensor| sum.saturating_add(tensor.byte_length()));
        if total > length.saturating_mul(MAX_SHARED) {
            return Err(Problem::NoModel(format!("its tensors have {total} bytes in all, the file has {length}")));
        }
        Ok(self)
    }
}

/// What a reader of one format gives.
#[derive(Debug, Clone, Default)]
struct Contents {
    description: String,
    /// Whose names the tensors had.
    format: ConfigFormat,
    tensors: BTreeMap<String, StoredTensor>,
    modules: BTreeMap<String, ModuleAttributes>,
    metadata: Metadata,
    warnings: Vec<String>,
}
