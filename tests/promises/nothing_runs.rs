//! Nothing that a folder or a file brings along is run.

use super::common::pickles::{call, dict, global, pickle, tensor, text, tuple};
use super::common::torch_file::TorchFile;
use super::common::workdir::{Workdir, stderr, stdout};

/// Modules that write a file when somebody imports them.
fn trapped() -> Workdir {
    let place = Workdir::new();
    for module in ["onnxruntime/__init__.py", "onnxruntime/capi/__init__.py", "pip.py", "importlib.py", "json.py"] {
        let marker = module.replace('/', "_");
        place.write(module, format!("open('PWNED_{marker}', 'w').close()\n").as_bytes());
    }
    place
}

#[test]
fn python_takes_no_module_from_the_working_folder() {
    let place = trapped();
    for arguments in ["--offline doctor", "--offline detect --no-draw"] {
        let mut command = place.command(arguments);
        // Nothing is found in this cache, so Python is asked.
        command.env("YOLO9_CACHE", place.path("cache")).env_remove("ORT_DYLIB_PATH");
        command.env("PYTHONPATH", place.path("")).output().unwrap();
    }
    // The library is fetched by a pip that is not there, or by the real one.
    let mut command = place.command("doctor");
    command.env("YOLO9_CACHE", place.path("cache")).env("PIP_NO_INDEX", "1").env_remove("ORT_DYLIB_PATH");
    command.output().unwrap();
    let markers: Vec<_> =
        place.list("").into_iter().filter(|path| path.display().to_string().contains("PWNED")).collect();
    assert!(markers.is_empty(), "{markers:?}");
}

#[cfg(unix)]
#[test]
fn a_library_that_its_package_does_not_vouch_for_is_passed_over() {
    use std::os::unix::fs::PermissionsExt;
    let place = Workdir::new();
    place.write("site/libonnxruntime.so.1.99.0", b"\x7fELF and so on");
    // A Python that knows such a package, with another hash in its RECORD.
    let library = place.path("site/libonnxruntime.so.1.99.0");
    place.write("bin/python3", format!("#!/bin/sh\nprintf 'AAAA\\t1.99.0\\t{}\\n'\n", library.display()).as_bytes());
    std::fs::set_permissions(place.path("bin/python3"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = place.command("--offline doctor");
    command.env("YOLO9_CACHE", place.path("cache")).env("PATH", place.path("bin")).env_remove("ORT_DYLIB_PATH");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is not the file that its package's RECORD states"), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn a_pipe_or_a_cut_file_is_no_library() {
    let place = Workdir::new();
    assert!(std::process::Command::new("mkfifo").arg(place.path("pipe.so")).status().unwrap().success());
    place.write("cut.so", b"\x7fELF\x02\x01");
    for (library, message) in [("pipe.so", "not a regular file"), ("cut.so", "not a shared library")] {
        let mut command = place.command("detect --no-draw");
        let output = command.env("ORT_DYLIB_PATH", place.path(library)).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
        // Named before it is loaded: what kills the program cannot be reported afterwards.
        assert!(stderr(&output).contains("Loading ") && stderr(&output).contains(library), "{}", stderr(&output));
    }
}

/// A pickle that would run code, in a file that PyTorch and a careless reader see differently.
#[test]
fn a_report_on_a_pickle_is_about_the_one_that_pytorch_reads() {
    let place = Workdir::new();
    let benign = pickle(&dict(&[("model.0.w", tensor(0, &[16], &[1]))]));
    let evil = pickle(&call(&global("builtins", "exec"), &tuple(&[text("open('PWNED', 'w')")])));
    let file = |first: &[u8]| TorchFile::new("a", first.to_vec()).with("data/0", &[0; 64]);
    let whole = |pickle: &[u8]| file(pickle).to_bytes();
    let mut cases = vec![
        ("evil first", file(&evil).with("data.pkl", &benign).to_bytes(), "is there twice"),
        ("evil last", file(&benign).with("data.pkl", &evil).to_bytes(), "is there twice"),
        ("other case", file(&benign).with("DATA.PKL", &evil).to_bytes(), "is there twice"),
        ("storage twice", file(&benign).with("data/0", &[1; 64]).to_bytes(), "is there twice"),
    ];
    // A second directory in a comment, which the first one's end record denies.
    let mut commented = whole(&benign);
    let end = commented.len() - 22;
    let hidden = whole(&evil);
    commented[end + 20..end + 22].copy_from_slice(&(hidden.len().min(60_000) as u16).to_le_bytes());
    commented.extend(&hidden);
    cases.push(("a file in a comment", commented, ""));
    let mut followed = whole(&benign);
    followed.extend(b"trailing bytes");
    cases.push(("trailing bytes", followed, "does not end with the end record"));
    let mut renamed = whole(&benign);
    let name = renamed.windows(10).position(|bytes| bytes == b"a/data.pkl").unwrap();
    renamed[name..name + 10].copy_from_slice(b"a/dataxpkl");
    cases.push(("another name in the local header", renamed, "another name in its own header"));
    for (what, bytes, message) in cases {
        place.write("x.pt", &bytes);
        for command in ["info --pickle x.pt", "info x.pt"] {
            let output = place.run(command);
            assert_eq!(output.status.code(), Some(1), "{what}: {}", stdout(&output));
            assert!(stderr(&output).contains(message), "{what}: {}", stderr(&output));
        }
    }
    // The same pickle alone is reported.
    place.write("evil.pt", &whole(&evil));
    let report = place.run("info --pickle evil.pt");
    assert!(stdout(&report).contains("builtins.exec"), "{}", stdout(&report));
    assert!(!place.path("PWNED").exists());
}

#[test]
fn roots_of_two_kinds_are_refused() {
    let benign = pickle(&dict(&[("model.0.w", tensor(0, &[16], &[1]))]));
    let file = TorchFile::new("a", benign).with("data/0", &[0; 64]).to_bytes();
    // The root of one entry, in its own header and in the directory.
    let mut two = file.clone();
    for at in
        file.windows(8).enumerate().filter(|(_, bytes)| *bytes == b"a/data/0").map(|(at, _)| at).collect::<Vec<_>>()
    {
        two[at] = b'b';
    }
    assert_ne!(two, file);
    let error = yolo9::checkpoint::Checkpoint::from_bytes("x", two).unwrap_err().to_string();
    assert!(error.contains("is not in the folder a of the others"), "{error}");
}
