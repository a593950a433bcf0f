//! Small files that ask for much memory or time: checkpoints, exported networks, configs, datasets.

use super::bounded;
use super::common::pickles::*;
use super::common::torch_file::TorchFile;
use super::common::workdir::{Workdir, stderr};

/// Commands that read a model.
const COMMANDS: [&str; 4] =
    ["info x.pt", "info --pickle x.pt", "-q convert x.pt -o out.safetensors", "-q detect -w x.pt --no-draw"];

fn file(pickle: Vec<u8>) -> Vec<u8> {
    TorchFile::new("archive", pickle).with("byteorder", b"little").with("data/0", &[0; 64]).to_bytes()
}

/// Every command answers within the bounds; gives what they said.
fn all_bounded(bytes: &[u8]) -> Vec<String> {
    let place = Workdir::new();
    place.write("x.pt", bytes);
    COMMANDS.map(|command| stderr(&bounded(&place, command).output)).to_vec()
}

fn refused(bytes: &[u8], message: &str) {
    for said in all_bounded(bytes).iter().filter(|said| said.contains("error: ")) {
        assert!(said.contains(message), "{said}");
    }
    assert!(all_bounded(bytes)[0].contains(message), "{}", all_bounded(bytes)[0]);
}

#[test]
fn texts_and_lists_that_are_referred_to_again_and_again() {
    let long = define(1, &text(&"x".repeat(1_000_000)));
    let names = list(&vec![get(1); 20_000]);
    let numbered: Vec<u8> =
        [b"}(".to_vec(), (0..20_000).flat_map(|n| [int(n), get(1)].concat()).collect(), b"u".to_vec()].concat();
    for names in [names, numbered] {
        refused(&file(pickle(&[long.clone(), model(&[("names", names)])].concat())), "asks for more work than any");
    }
    // A config of lists of lists: 100^7 numbers.
    let mut lists = define(10, &list(&vec![int(1); 100]));
    for level in 11..17 {
        lists.extend(define(level, &list(&vec![get(level - 1); 100])));
    }
    let config = dict(&[("backbone", get(16))]);
    refused(&file(pickle(&[lists, model(&[("yaml", config)])].concat())), "asks for more work than any");
}

#[test]
fn calls_of_functions_with_endless_names() {
    let name = "n".repeat(1_000_000);
    let calls = b"h\x01)R0".repeat(100_000);
    let tensors = dict(&[("model.0.w", tensor(0, &[16], &[1]))]);
    let warned = [global("os", &name), b"q\x01".to_vec(), b"0".to_vec(), calls, tensors].concat();
    refused(&file(pickle(&warned)), "at most 512 are read");
    // Names put together from long texts: a thousand of them give a million.
    let texts: Vec<u8> = (0..1000).flat_map(|n| define(n, &text(&format!("{n:0500}")))).collect();
    let pairs: Vec<u8> =
        (0..200_000).flat_map(|n| [get(n % 1000), get(n / 1000), b"\x930".to_vec()].concat()).collect();
    let said = all_bounded(&file(pickle(&[texts, pairs, b"}".to_vec()].concat())));
    assert!(said[1].contains("asks for more work"), "{}", said[1]);
}

#[test]
fn modules_and_sets_that_are_shared() {
    let entries: Vec<u8> = (0..1_000_000).flat_map(|n| [text(&format!("{n:07}")), b"N".to_vec()].concat()).collect();
    let shared = define(300, &[b"}(".to_vec(), entries, b"u".to_vec()].concat());
    let leaf = define(301, &object("a", "B", &dict(&[("_parameters", get(300))])));
    let names: Vec<String> = (0..50_000).map(|n| format!("m{n}")).collect();
    let modules: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), get(301))).collect();
    let bytes = file(pickle(&[shared, leaf, model(&[("_modules", dict(&modules))])].concat()));
    refused(&bytes, "more than 2000000 values");

    // Below that limit the work is bounded.
    let entries: Vec<u8> = (0..200_000).flat_map(|n| [text(&format!("{n:07}")), b"N".to_vec()].concat()).collect();
    let shared = define(300, &[b"}(".to_vec(), entries, b"u".to_vec()].concat());
    let leaf = define(301, &object("a", "B", &dict(&[("_parameters", get(300))])));
    let bytes = file(pickle(&[shared, leaf, model(&[("_modules", dict(&modules))])].concat()));
    refused(&bytes, "asks for more work than any");

    let keys: Vec<Vec<u8>> = (0..300_000).map(|n| text(&format!("{n:07}"))).collect();
    let skipped = call(&global("__builtin__", "set"), &tuple(&[list(&keys)]));
    let names: Vec<String> = (0..300_000).map(|n| format!("x{n:06}")).collect();
    let buffers: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), b"N".to_vec())).collect();
    all_bounded(&file(pickle(&model(&[("_non_persistent_buffers_set", skipped), ("_buffers", dict(&buffers))]))));
}

#[test]
fn state_dicts_of_millions_and_names_of_megabytes() {
    let shared = define(400, &tensor(0, &[1, 1], &[1, 1]));
    let entries: Vec<u8> = (0..500_000).flat_map(|n| [text(&format!("model.0.{n:07}")), get(400)].concat()).collect();
    let many = [shared, b"}(".to_vec(), entries, b"u".to_vec()].concat();
    refused(&file(pickle(&many)), "more than 200000 tensors");
    let long = dict(&[(&format!("model.0.{}", "k".repeat(5_000_000)), tensor(0, &[1], &[1]))]);
    refused(&file(pickle(&long)), "more than 200000 tensors, or a name of more than 512 bytes");
    // A million axes, referred to by a hundred thousand tensors.
    let axes = define(30, &tuple(&vec![int(1); 500_000]));
    let arguments =
        tuple(&[storage("FloatStorage", "0", 16), int(0), get(30), get(30), b"\x89".to_vec(), b"N".to_vec()]);
    let wide = call(&global("torch._utils", "_rebuild_tensor_v2"), &arguments);
    refused(&file(pickle(&[axes, dict(&[("model.0.w", wide)])].concat())), "its shape is not a list of whole numbers");
}

#[test]
fn tensors_that_share_one_storage_are_not_written_a_thousand_times() {
    let big = storage("FloatStorage", "0", 1 << 18);
    let names: Vec<String> = (0..1000).map(|n| format!("model.0.w{n}")).collect();
    let entries: Vec<(&str, Vec<u8>)> =
        names.iter().map(|name| (name.as_str(), tensor_in(&big, 0, &[1 << 18], &[1]))).collect();
    let bytes = TorchFile::new("archive", pickle(&dict(&entries))).with("data/0", &vec![0; 1 << 20]).to_bytes();
    refused(&bytes, "bytes in all, the file has");
}

#[test]
fn an_empty_tensor_with_an_offset_beyond_its_storage_is_converted() {
    let place = Workdir::new();
    for offset in [1 << 20, 1 << 62] {
        let tensors = dict(&[("model.0.e", tensor(offset, &[0], &[1])), ("model.0.w", tensor(0, &[16], &[1]))]);
        place.write("x.pt", &file(pickle(&tensors)));
        bounded(&place, "-q convert x.pt -o out.safetensors --exist-ok");
        assert!(place.path("out.safetensors").is_file());
    }
}

#[test]
fn what_is_nested_counted_or_long() {
    let deep = [b"\x80\x02N".to_vec(), vec![0x85; 5_000_000], b".".to_vec()].concat();
    refused(&file(deep), "more than 2000000 values");
    refused(&file([b"\x80\x02".to_vec(), vec![b'('; 5_000_000], b".".to_vec()].concat()), "more than 2000000 marks");
    let ends = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".repeat(500_000);
    refused(&[b"PK\x03\x04".to_vec(), ends].concat(), "damaged or truncated zip file");
    refused(&[b"PK\x03\x04".to_vec(), vec![0; 50_000_000]].concat(), "does not end with the end record");
}

#[test]
fn exported_networks_of_empty_messages() {
    let place = Workdir::new();
    // ir_version, then a graph of five million nodes without content.
    let nodes = b"\x0a\x00".repeat(5_000_000);
    let mut length = nodes.len();
    let mut bytes = vec![8, 9, 7 << 3 | 2];
    while length > 0x7f {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(nodes);
    place.write("x.onnx", &bytes);
    for command in ["info x.onnx", "-q detect -w x.onnx --no-draw"] {
        let said = stderr(&bounded(&place, command).output);
        assert!(said.contains("more than 300000 nodes, tensors and others"), "{said}");
    }
}

#[test]
fn configs_with_numbers_beyond_all_networks() {
    let place = Workdir::new();
    let config = yolo9::config::ModelConfig::builtin("gelan-c").unwrap().source;
    let with = |from: &str, to: &str| {
        let changed = config.replacen(from, to, 1);
        assert_ne!(changed, config, "{from}");
        changed
    };
    let rows = "\n  - [-1, 1, Conv, [8]]".repeat(3000);
    let sources = vec!["-1"; 100_000].join(", ");
    for (text, message) in [
        (with("nc: 80", "nc: 1000000"), "`nc`: expected a whole number of 1 to 100000"),
        (with("nc: 80", "nc: 100000"), "gives a feature map of"),
        (with("SPPELAN, [512, 256]", "SPPCSPC, [512, 1, 1, 1.0e+300]"), "parameters up to here"),
        (with("[-1, 1, Conv, [64, 3, 2]]", "[-1, 1, Conv, [65536, 3, 2]]"), "gives a feature map of"),
        (with("nc: 80", "nc: 80\nscales:\n  n: [65536, 65536, 65536]"), "error: "),
        (with("[-1, 6], 1, Concat, [1]", &format!("[{sources}], 1, Concat, [1]")), "at most 1000 are possible"),
        (format!("nc: 2\nbackbone:{rows}\nhead:\n  - [[-1], 1, DDetect, [nc]]\n"), "at most 2000 are read"),
    ] {
        place.write("x.yaml", text.as_bytes());
        for command in ["info x.yaml", "bench x.yaml --runs 3", "-q detect --config x.yaml --no-draw"] {
            let run = bounded(&place, command);
            let said = stderr(&run.output);
            assert!(run.output.status.code() == Some(1) && said.contains(message), "{command}: {message}: {said}");
        }
    }
}

#[test]
fn files_that_do_not_end() {
    let place = Workdir::new();
    place.write("a.jpg", yolo9::embedded::SAMPLE_IMAGE);
    for name in ["big.jpg", "big.txt", "big.yaml", "big.toml", "big.json"] {
        std::fs::File::create(place.path(name)).unwrap().set_len(6 << 30).unwrap();
    }
    place.write("data.yaml", b"names: [a]\nval: /dev/zero\n");
    std::fs::write(place.path("list.txt"), "big.jpg\n").unwrap();
    let mut cases = vec![
        ("-q detect big.jpg --no-draw", "more than 268435456 bytes, the most that are read as an image"),
        ("-q detect big.txt --no-draw", "the most that are read as a list"),
        ("-q detect list.txt --no-draw", "the most that are read as an image"),
        ("-q detect a.jpg --config big.yaml --no-draw", "cannot be read"),
        ("-q detect a.jpg --names big.txt --no-draw", "cannot be read"),
        ("-q val --data big.json", "the most that are read as a COCO file"),
        ("-q val --data big.yaml", "cannot be read"),
    ];
    if cfg!(unix) {
        assert!(std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
        cases.extend([
            ("-q val --data data.yaml", "not a regular file"),
            ("-q detect /dev/zero --no-draw", "neither a file nor a folder"),
            ("-q detect a.jpg --names pipe --no-draw", "cannot be read"),
            ("-q detect a.jpg --names /dev/zero --no-draw", "cannot be read"),
            ("-q detect a.jpg --config /dev/zero --no-draw", "config /dev/zero"),
            ("-q detect a.jpg -w pipe --no-draw", "not a regular file"),
            ("-q detect pipe --no-draw", "neither a file nor a folder"),
        ]);
    }
    for (command, message) in cases {
        let said = stderr(&bounded(&place, command).output);
        assert!(said.contains(message), "{command}: {said}");
    }
    // A pipe that nobody reads.
    #[cfg(unix)]
    {
        let said = stderr(&bounded(&place, "-q detect a.jpg --no-draw --json pipe").output);
        assert!(said.contains("it is a pipe that nobody reads"), "{said}");
    }
    let mut command = place.command("-q detect a.jpg --no-draw");
    command.env("YOLO9_CONFIG", place.path("big.toml"));
    let said = stderr(&super::watch(&command, super::SECONDS, super::GOOD + super::MEMORY).output);
    assert!(said.contains("cannot be read"), "{said}");
}

#[test]
fn thousands_of_labels_and_predictions_of_one_image() {
    let place = Workdir::new();
    // Of 20,000 each, a table of all overlaps would have 3 GB; half of that is enough to tell.
    let count = 10_000;
    let boxes = |extra: &str| {
        let each =
            |n: usize| format!("{{\"image_id\":1,\"category_id\":1,\"bbox\":[{},{},20,20]{extra}}}", n % 200, n / 200);
        (0..count).map(each).collect::<Vec<_>>().join(",")
    };
    let ground_truths = boxes("");
    place.write(
        "data.json",
        format!(
            "{{\"images\":[{{\"id\":1,\"file_name\":\"a.jpg\"}}],\"annotations\":[{ground_truths}],\
             \"categories\":[{{\"id\":1,\"name\":\"a\"}}]}}"
        )
        .as_bytes(),
    );
    place.write("found.json", format!("[{}]", boxes(",\"score\":0.5")).as_bytes());
    let run = bounded(&place, "val --data data.json --predictions found.json");
    assert_eq!(run.output.status.code(), Some(0), "{}", stderr(&run.output));
}
