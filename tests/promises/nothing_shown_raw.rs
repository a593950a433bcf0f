//! Text from files reaches the terminal without anything that steers it.

use super::common::pickles::*;
use super::common::torch_file::TorchFile;
use super::common::workdir::{Workdir, stderr, stdout};

/// Sets a window's title, colours, and turns the direction of writing.
const EVIL: &str = "\u{1b}]0;PWN\u{7}\u{1b}[31m\u{202e}\u{9b}2J\r";

fn torch(pickle: Vec<u8>) -> Vec<u8> {
    TorchFile::new("archive", pickle).with("data/0", &[0; 64]).to_bytes()
}

fn is_plain(text: &str) -> bool {
    !text.contains(['\u{1b}', '\u{7}', '\u{202e}', '\u{9b}', '\r'])
}

fn shown(place: &Workdir, arguments: &str) {
    let output = place.run(arguments);
    let both = stdout(&output) + &stderr(&output);
    assert!(is_plain(&both), "{arguments}: {both:?}");
    assert!(!both.contains("panicked"), "{arguments}: {both}");
}

/// A model of ours with other metadata.
fn model_with(key: &str, value: &str) -> Vec<u8> {
    let bytes = yolo9::embedded::MODELS[0].bytes;
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    header["__metadata__"][key] = value.into();
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &bytes[8 + length..]].concat()
}

#[test]
fn names_in_models_do_not_steer_the_terminal() {
    let place = Workdir::new();
    let named = format!("model.0.{EVIL}");
    let names = serde_json::json!([EVIL, "b", "c", "d", "e", "f"]).to_string();
    let files = [
        ("tensor.pt", torch(pickle(&dict(&[(&named, tensor(0, &[99], &[1]))])))),
        ("tensor2.pt", torch(pickle(&dict(&[(&named, tensor(0, &[16], &[1]))])))),
        ("keys.pt", torch(pickle(&dict(&[(EVIL, b"N".to_vec())])))),
        ("class.pt", torch(pickle(&dict(&[("model", object("m\u{1b}[31mod", "N\u{9b}x", b"}"))])))),
        ("symbol.pt", torch(pickle(&call(&global("o\u{1b}[31ms", "sys\u{7}tem"), &tuple(&[text(EVIL)]))))),
        (
            "storage.pt",
            torch(pickle(&dict(&[("model.0.w", tensor_in(&storage("X\u{1b}[31mStorage", EVIL, 16), 0, &[1], &[1]))]))),
        ),
        ("names.pt", torch(pickle(&model(&[("names", list(&[text(EVIL)]))])))),
        (
            "date.pt",
            torch(pickle(&dict(&[("date", text(EVIL)), ("model", dict(&[("model.0.w", tensor(0, &[16], &[1]))]))]))),
        ),
        ("root.pt", TorchFile::new(EVIL, pickle(b"}")).with("data/0", &[0; 64]).to_bytes()),
        ("names.safetensors", model_with("names", &names)),
        ("fact.safetensors", model_with("origin", EVIL)),
        ("key.safetensors", model_with(EVIL, "x")),
        ("config.safetensors", model_with("config", &format!("nc: {EVIL:?}\nbackbone: []"))),
        ("activation.safetensors", model_with("activation", EVIL)),
    ];
    for (name, bytes) in files {
        place.write(name, &bytes);
        for command in [
            "info NAME",
            "info --json NAME",
            "info --pickle NAME",
            "info codes-nearest NAME",
            "-v detect --no-draw -w NAME",
        ] {
            shown(&place, &command.replace("NAME", name));
        }
    }
    place.run("info --json names.safetensors");
    // JSON stays JSON, and says the same.
    let output = stdout(&place.run("info --json fact.safetensors"));
    let value: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert!(value.to_string().contains(&serde_json::to_string(EVIL).unwrap()), "{value}");
}

#[test]
fn configs_lists_and_settings_do_not_steer_the_terminal() {
    let place = Workdir::new();
    place.write(
        "c.yaml",
        b"nc: 5\n\"\\e]0;PWN\\a\\e[31m\": 1\nbackbone:\n - [-1,1,\"Co\\e[31mnv\",[3]]\nhead:\n - [-1,1,Detect,[nc]]\n",
    );
    place.write("list.txt", format!("{EVIL}.jpg\nhttp://\u{1b}[31m.invalid/\n").as_bytes());
    shown(&place, "info c.yaml");
    shown(&place, "--offline detect list.txt --no-draw");
    for text in
        ["\"\\u001b]0;PWN\\u0007x\" = 1\n", "[detect]\nconf = \"\\u001b[31m\"\n", "[detect]\nout = \"\\u001b[31m\"\n"]
    {
        place.write("t/yolo9.toml", text.as_bytes());
        let mut command = place.command("detect --no-draw");
        let output = command.current_dir(place.path("t")).env_remove("YOLO9_CONFIG").output().unwrap();
        let both = stdout(&output) + &stderr(&output);
        assert!(is_plain(&both), "{text}: {both:?}");
    }
}

#[cfg(unix)]
#[test]
fn names_of_files_do_not_steer_the_terminal() {
    let place = Workdir::new();
    let name = format!("in/{}.jpg", EVIL.replace('/', ""));
    place.write(&name, b"no image");
    place.write("in/\u{1b}[31mgood.jpg", yolo9::embedded::SAMPLE_IMAGE);
    shown(&place, "detect in --out out");
    shown(&place, "--log json detect in --out out2");
}
