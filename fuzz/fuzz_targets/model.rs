//! Whole models whose values refer to each other: the input is read as instructions that build a pickle, so that most
//! inputs get past the machine and into what is made of its values. Bounds of memory and time are the fuzzer's
//! (`-rss_limit_mb`, `-timeout`).
#![no_main]

#[path = "../../tests/common/pickles.rs"]
#[allow(dead_code)]
mod pickles;
#[path = "../../tests/common/torch_file.rs"]
#[allow(dead_code)]
mod torch_file;
mod use_checkpoint;

use libfuzzer_sys::fuzz_target;
use torch_file::TorchFile;

/// Keys that readers look for.
#[rustfmt::skip]
const KEYS: &[&str] = &[
    "model", "ema", "state_dict", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "names", "yaml",
    "nc", "backbone", "head", "act", "conv", "bn", "weight", "bias", "running_var", "eps", "stride", "padding",
    "dilation", "groups", "train_args", "epoch", "model.0.conv.weight", "0", "22", "cv2", "cv3", "dfl",
];
/// Classes and functions that they know, and some that act on the system.
const SYMBOLS: &[(&str, &str)] = &[
    ("models.yolo", "DetectionModel"),
    ("ultralytics.nn.tasks", "DetectionModel"),
    ("torch.nn.modules.conv", "Conv2d"),
    ("torch.nn.modules.batchnorm", "BatchNorm2d"),
    ("torch.nn.modules.activation", "SiLU"),
    ("torch.nn.modules.activation", "LeakyReLU"),
    ("collections", "OrderedDict"),
    ("__builtin__", "set"),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("os", "system"),
];
const STORAGES: &[&str] = &["FloatStorage", "HalfStorage", "LongStorage", "OddStorage"];

/// No larger pickle is built.
const MOST: usize = 256 << 10;

struct Builder<'a> {
    instructions: &'a [u8],
    pickle: Vec<u8>,
    remembered: u32,
}

impl Builder<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.instructions.split_first() else { return 0 };
        self.instructions = rest;
        *first
    }

    fn emit(&mut self, bytes: &[u8]) {
        self.pickle.extend(bytes);
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.next()) % from.len()]
    }

    /// How often something stands there: mostly once, now and then thousands of times.
    fn count(&mut self) -> usize {
        match self.next() {
            byte @ 0..=200 => usize::from(byte % 8),
            byte => 1 << (byte % 15),
        }
    }

    fn number(&mut self) -> i64 {
        match self.next() {
            byte @ 0..=200 => i64::from(byte % 32),
            byte => [-1, 1 << 20, i64::MAX, i64::MIN, 1 << 62, 65_536][usize::from(byte) % 6],
        }
    }

    /// Leaves one value on the stack.
    fn value(&mut self, depth: usize) {
        if depth > 12 || self.pickle.len() > MOST {
            return self.emit(b"N");
        }
        let remembers = self.next();
        match self.next() % 14 {
            0 => self.emit(b"N"),
            1 => {
                let number = self.number();
                self.emit(&pickles::int(number));
            }
            2 => {
                let key = self.pick(KEYS);
                self.emit(&pickles::text(key));
            }
            3 => {
                let length = self.count().min(MOST - self.pickle.len().min(MOST));
                self.emit(&pickles::text(&"x".repeat(length)));
            }
            4 if self.remembered > 0 => {
                let number = u32::from(self.next()) % self.remembered;
                self.emit(&pickles::get(number));
            }
            5 | 6 => self.items(b"](", b"e", depth, false),
            7 => self.items(b"(", b"t", depth, false),
            8 | 9 => self.items(b"}(", b"u", depth, true),
            10 => {
                let (module, name) = self.pick(SYMBOLS);
                self.emit(&pickles::global(module, name));
                self.emit(b")\x81");
                self.value(depth + 1);
                self.emit(b"b");
            }
            11 => {
                let (module, name) = self.pick(SYMBOLS);
                self.emit(&pickles::global(module, name));
                self.items(b"(", b"t", depth, false);
                self.emit(b"R");
            }
            12 => {
                let kind = self.pick(STORAGES);
                let (count, offset) = (self.number(), self.number());
                let (size, strides) = ([self.number(), self.number()], [self.number(), self.number()]);
                let storage = pickles::storage(kind, "0", count);
                self.emit(&pickles::tensor_in(&storage, offset, &size, &strides));
            }
            _ => self.emit(b"G?\xf0\0\0\0\0\0\0"),
        }
        if remembers % 3 == 0 && self.remembered < 200 {
            self.emit(&pickles::put(self.remembered));
            self.remembered += 1;
        }
    }

    /// One item, made once and repeated.
    fn items(&mut self, open: &[u8], close: &[u8], depth: usize, keyed: bool) {
        self.emit(open);
        for _ in 0..self.next() % 6 {
            let start = self.pickle.len();
            if keyed {
                let key = self.pick(KEYS);
                self.emit(&pickles::text(key));
            }
            self.value(depth + 1);
            let item = self.pickle[start..].to_vec();
            // What remembers something may be repeated too: then the last one counts.
            for _ in 1..self.count() {
                if self.pickle.len() + item.len() > MOST {
                    break;
                }
                self.emit(&item);
            }
        }
        self.emit(close);
    }
}

fuzz_target!(|instructions: &[u8]| {
    let mut builder = Builder { instructions, pickle: b"\x80\x02".to_vec(), remembered: 0 };
    builder.value(0);
    builder.emit(b".");
    let storage = vec![0x3c; 1 << 16];
    let file = TorchFile::new("x", builder.pickle).with("data/0", &storage);
    use_checkpoint::use_checkpoint(file.to_bytes());
});
