//! Hostile and damaged checkpoints: an error that says what is wrong, never a panic, never an allocation beyond reason.

use crate::common;
use crate::common::torch_file::TorchFile;
use yolo9::checkpoint::Checkpoint;
use yolo9::config::ModelConfig;
use yolo9::model::Network;

fn open(bytes: Vec<u8>) -> Result<Checkpoint, String> {
    Checkpoint::from_bytes("x.pt", bytes).map_err(|error| error.to_string())
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = std::fs::read(common::data("golden/yolov9-t-tiny/model.pt")).unwrap();
    for part in 0..50 {
        let error = open(bytes[..bytes.len() * part / 50].to_vec()).unwrap_err();
        let expected = if part == 0 { "the file is empty" } else { "damaged or truncated zip file" };
        assert!(error.contains(expected), "{part}/50: {error}");
    }
}

#[test]
fn every_flipped_byte_of_the_pickle_is_noticed_or_harmless() {
    let bytes = std::fs::read(common::data("golden/yolov9-t-tiny/model.pt")).unwrap();
    // The checksum of data.pkl finds each of them; what is behind it is tested with files of our own below.
    for position in (100..40_000).step_by(997) {
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x55;
        assert!(open(damaged).unwrap_err().contains("checksum"));
    }
}

/// The same damage with a checksum that fits, as an attacker would write it.
#[test]
fn a_damaged_pickle_never_panics() {
    let bytes = std::fs::read(common::data("golden/yolov9-t-tiny/model.pt")).unwrap();
    let original = TorchFile::parse(&bytes);
    let mut refused = 0;
    for (round, position) in (0..original.pickle().len()).step_by(1499).enumerate() {
        let mut file = original.clone();
        file.pickle_mut()[position] = file.pickle()[position].wrapping_add(1 + round as u8);
        match open(file.to_bytes()) {
            Ok(checkpoint) => drop(Network::assemble(&checkpoint, None)),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0);
}

/// Parts of pickles: a global, text, a small tuple.
fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

fn text(text: &str) -> Vec<u8> {
    [&[b'X'][..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// `{'model.0.conv.weight': _rebuild_tensor_v2(storage '0' of that type, offset, size, stride)}`.
fn state_dict(storage: &str, offset: u32, size: &[u32], stride: &[u32]) -> Vec<u8> {
    let number = |n: &u32| [&[b'J'][..], &n.to_le_bytes()].concat();
    let tuple = |numbers: &[u32]| [b"(".to_vec(), numbers.iter().flat_map(number).collect(), b"t".to_vec()].concat();
    let persistent =
        [b"(".to_vec(), text("storage"), global("torch", storage), text("0"), text("cpu"), number(&4), b"tQ".to_vec()];
    [
        b"\x80\x02}".to_vec(),
        text("model.0.conv.weight"),
        global("torch._utils", "_rebuild_tensor_v2"),
        b"(".to_vec(),
        persistent.concat(),
        number(&offset),
        tuple(size),
        tuple(stride),
        b"\x89}tRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn tensors_that_lie_about_their_storage_are_refused() {
    let file = |pickle| TorchFile::new("x", pickle).with("data/0", &[0; 16]).to_bytes();
    let good = open(file(state_dict("FloatStorage", 0, &[2, 2], &[2, 1]))).unwrap();
    assert_eq!(good.read_f32("model.0.conv.weight").unwrap(), [0.0; 4]);
    struct Case(Vec<u8>, &'static str);
    for Case(pickle, message) in [
        Case(state_dict("FloatStorage", 0, &[5], &[1]), "does not fit into a storage of 4"),
        Case(state_dict("FloatStorage", 1, &[4], &[1]), "does not fit"),
        Case(state_dict("FloatStorage", 0, &[i32::MAX as u32, i32::MAX as u32], &[0, 0]), "does not fit"),
        Case(state_dict("FloatStorage", u32::MAX, &[1], &[1]), "its offset is not a whole number"),
        Case(state_dict("QInt8Storage", 0, &[1], &[1]), "stored in a QInt8Storage, which is not supported"),
    ] {
        let error = open(file(pickle)).unwrap_err();
        assert!(error.contains("weights x.pt: tensor model.0.conv.weight: ") && error.contains(message), "{error}");
    }
    let missing = TorchFile::new("x", state_dict("FloatStorage", 0, &[1], &[1])).to_bytes();
    assert!(open(missing).unwrap_err().contains("its storage 0 is missing from the file"));
}

/// The same state dict as PyTorch wrote it before 1.6: `view` is the last part of the storage's reference, and the
/// storage holds the given numbers.
fn legacy(view: &[u8], numbers: &[f32]) -> Vec<u8> {
    let pickle = state_dict("FloatStorage", 0, &[2], &[1]);
    let reference = pickle.windows(2).position(|bytes| bytes == b"tQ").unwrap();
    let pickle = [&pickle[..reference], view, &pickle[reference..]].concat();
    let storage: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    [
        &b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian\x88s."[..],
        &pickle,
        &[b"\x80\x02]".to_vec(), text("0"), b"a.".to_vec()].concat(),
        &(numbers.len() as u64).to_le_bytes(),
        &storage,
    ]
    .concat()
}

#[test]
fn the_legacy_format_is_read() {
    let numbers = [1.0, 2.0, 3.0, 4.0];
    let whole = legacy(b"N", &numbers);
    let read = |bytes| open(bytes).and_then(|file| file.read_f32("model.0.conv.weight").map_err(|e| e.to_string()));
    assert_eq!(read(whole.clone()), Ok(vec![1.0, 2.0]));
    // A view of two elements from the third on.
    let view = [b"(".to_vec(), text("view"), b"K\x02K\x02t".to_vec()].concat();
    assert_eq!(read(legacy(&view, &numbers)), Ok(vec![3.0, 4.0]));
    let beyond = [b"(".to_vec(), text("view"), b"K\x03K\x02t".to_vec()].concat();
    assert!(read(legacy(&beyond, &numbers)).unwrap_err().contains("its part of storage 0 lies outside of it"));

    for length in 20..whole.len() {
        assert!(open(whole[..length].to_vec()).is_err(), "{length} bytes");
    }
    let place = |needle: &[u8]| whole.windows(needle.len()).position(|bytes| bytes == needle).unwrap();
    struct Case(usize, u8, &'static str);
    for Case(position, byte, message) in [
        Case(place(b"M\xe9\x03") + 1, 0xe8, "a torch.save file of protocol 1000 (expected 1001)"),
        Case(place(b"\x88s."), 0x89, "big byte order"),
        Case(whole.len() - 24, 5, "the file ends within storage 0"),
        Case(whole.len() - 17, 0xff, "the file ends within storage 0"),
    ] {
        let mut damaged = whole.clone();
        damaged[position] = byte;
        let error = open(damaged).unwrap_err();
        assert!(error.contains(message), "{error} instead of {message}");
    }
}

#[test]
fn a_root_folder_of_any_length_is_found() {
    for length in 1..60 {
        let root = "r".repeat(length);
        let file = TorchFile::new(&root, state_dict("HalfStorage", 0, &[2], &[1])).with("data/0", &[0; 4]);
        open(file.to_bytes()).unwrap_or_else(|error| panic!("{length} characters: {error}"));
    }
}

#[test]
fn files_that_hold_no_model_say_what_they_hold() {
    let torch = |pickle: Vec<u8>| TorchFile::new("x", pickle).to_bytes();
    let dictionary = [b"\x80\x02}".to_vec(), text("epoch"), b"K\x03s.".to_vec()].concat();
    let object = |module, name| [b"\x80\x02".to_vec(), global(module, name), b")\x81}b.".to_vec()].concat();
    struct Case(Vec<u8>, &'static str);
    for Case(bytes, message) in [
        Case(torch(b"\x80\x02K\x01.".to_vec()), "neither a dictionary nor a model"),
        Case(torch(dictionary), "a dictionary without tensors; its keys are [\"epoch\"]"),
        Case(
            torch(object("ultralytics.nn.tasks", "SegmentationModel")),
            "a model of class ultralytics.nn.tasks.SegmentationModel; only YOLOv9 detection models can be run",
        ),
        Case(torch(object("ultralytics.yolo.nn", "RTDETRDetectionModel")), "only YOLOv9 detection models"),
        Case(
            torch(object("models.yolo", "DetectionModel")),
            "the object of class models.yolo.DetectionModel has no tensors",
        ),
        Case(TorchFile::new("x", b"\x80\x02N.".to_vec()).with("constants.pkl", b"").to_bytes(), "a TorchScript file"),
        Case(TorchFile::new("x", b"\x80\x02N.".to_vec()).with("byteorder", b"big").to_bytes(), "big byte order"),
        Case(TorchFile::without_pickle().to_bytes(), "a zip file without data.pkl"),
    ] {
        let error = open(bytes).unwrap_err();
        assert!(error.contains(message), "{error} instead of {message}");
    }
}

#[test]
fn modules_shared_a_million_times_end_in_an_error() {
    // Each module holds the one before twice: 2^40 paths to a single one.
    let mut pickle = b"\x80\x02".to_vec();
    let module = |children: &[u8]| {
        [global("models", "Module"), b")\x81}".to_vec(), text("_modules"), children.to_vec(), b"sb".to_vec()].concat()
    };
    pickle.extend(module(b"}"));
    pickle.extend(b"q\x00");
    for level in 0..40u8 {
        let child = [b"h", &[level][..]].concat();
        let both = [b"}".to_vec(), text("a"), child.clone(), b"s".to_vec(), text("b"), child, b"s".to_vec()].concat();
        pickle.extend(module(&both));
        pickle.extend([b'q', level + 1]);
    }
    pickle.push(b'.');
    let error = open(TorchFile::new("x", pickle).to_bytes()).unwrap_err();
    assert!(error.contains("more than 200000 modules"), "{error}");
}

#[test]
fn tensors_shared_under_many_names_end_in_an_error() {
    // One module of 1000 parameters, named 1000 times.
    let parameter =
        &state_dict("FloatStorage", 0, &[1], &[1])[b"\x80\x02}".len() + text("model.0.conv.weight").len()..];
    let parameter = &parameter[..parameter.len() - b"s.".len()];
    let named = |n: usize, value: &[u8]| [text(&n.to_string()), value.to_vec(), b"s".to_vec()].concat();
    let mut pickle = b"\x80\x02".to_vec();
    pickle.extend([parameter, b"q\x00"].concat());
    let module = |key: &str, value: &[u8]| {
        let entries: Vec<u8> = (0..1000).flat_map(|n| named(n, value)).collect();
        [global("models", "Module"), b")\x81}".to_vec(), text(key), b"}".to_vec(), entries, b"sb".to_vec()].concat()
    };
    pickle.extend(
        [module("_parameters", b"h\x00"), b"q\x01".to_vec(), module("_modules", b"h\x01"), b".".to_vec()].concat(),
    );
    let error = open(TorchFile::new("x", pickle).with("data/0", &[0; 16]).to_bytes()).unwrap_err();
    assert!(error.contains("more than 200000 tensors"), "{error}");
}

#[test]
fn weights_that_do_not_fit_are_one_readable_list() {
    let weights = Checkpoint::open(&common::data("golden/yolov9-t-tiny/model.pt")).unwrap();
    let config = ModelConfig::builtin("yolov9-t-dysample").unwrap();
    let error = Network::assemble(&weights, Some(&config)).unwrap_err().to_string();
    assert!(error.contains("do not fit config yolov9-t-dysample:\n"), "{error}");
    assert!(
        error.contains("  wrong shape model.0.conv.weight: expected [16, 3, 3, 3], found [8, 3, 3, 3]\n"),
        "{error}"
    );
    assert!(error.contains("more\n"), "a long list is cut: {error}");
    assert!(error.contains("the weights belong to another architecture"), "{error}");
    assert!(error.lines().count() < 20, "{error}");
}

#[test]
fn a_value_that_is_not_finite_names_its_tensor() {
    let bytes = std::fs::read(common::data("golden/yolov9-t-tiny/model.pt")).unwrap();
    let mut file = TorchFile::parse(&bytes);
    // Storage 0 is the first convolution's weight, in f16.
    file.entry_mut("data/0")[..2].copy_from_slice(&0x7e00u16.to_le_bytes());
    let error = Network::assemble(&open(file.to_bytes()).unwrap(), None).unwrap_err().to_string();
    assert!(
        error.contains("tensor model.0.conv.weight: holds a value that is not finite (NaN at position 0)"),
        "{error}"
    );
}
