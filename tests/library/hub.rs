//! Released weights from servers that fail in every way.

use std::path::Path;
use std::time::Duration;

use crate::common;
use crate::common::server::{Answer, Server, header};
use crate::common::torch_file::TorchFile;
use assert_cmd::Command;
use sha2::{Digest, Sha256};
use yolo9::hub::{Hub, HubError, Release, RetryPolicy, find_release};

const TAG: &str = "\"one\"";

const RELEASE: Release =
    Release { name: "test", file: "test.pt", base: "http://nowhere.invalid", about: "for tests", known: None };

fn retries(attempts: u32) -> RetryPolicy {
    RetryPolicy { attempts, pause: Duration::from_millis(1), silence: Duration::from_millis(400), lowest_rate: 0 }
}

fn hub(folder: &Path, server: &Server, attempts: u32) -> Hub {
    Hub::at(folder.join("models"), Some(server.address.clone()), retries(attempts))
}

/// A zip file that is long enough to come in pieces.
fn weights(seed: u8) -> Vec<u8> {
    let body: Vec<u8> = (0..300_000u32).map(|n| (n.wrapping_mul(31) >> 3) as u8 ^ seed).collect();
    TorchFile::new("x", b"\x80\x02}.".to_vec()).with("data/0", &body).to_bytes()
}

fn file(seed: u8) -> Answer {
    Answer::File { bytes: weights(seed), tag: TAG }
}

fn get(hub: &Hub, release: &Release) -> Result<Vec<u8>, HubError> {
    hub.get(release, &mut |_, _| {}).map(|path| std::fs::read(path).unwrap())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files in the cache, but for locks.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("models")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with(".lock"));
    names.sort();
    names
}

#[test]
fn a_file_is_fetched_once_and_its_hash_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![file(1)]);
    let hub = hub(folder.path(), &server, 1);
    let mut seen = Vec::new();
    let path = hub.get(&RELEASE, &mut |done, total| seen.push((done, total))).unwrap();
    let bytes = weights(1);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let all = bytes.len() as u64;
    assert_eq!((seen[0], *seen.last().unwrap()), ((0, Some(all)), (all, Some(all))));
    assert!(seen.is_sorted());
    assert_eq!(files(folder.path()), ["test.pt", "test.pt.sha256"]);
    let record = std::fs::read_to_string(folder.path().join("models/test.pt.sha256")).unwrap();
    assert_eq!(record, format!("{}  test.pt\n", sha256(&bytes)));
    // The server has no second answer.
    assert_eq!(get(&hub, &RELEASE).unwrap(), bytes);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_cut_connection_is_continued_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let cut = |after| Answer::Cut { bytes: weights(1), tag: TAG, after };
    let server = Server::start(vec![cut(100_000), cut(50_000), file(1)]);
    assert_eq!(get(&hub(folder.path(), &server, 3), &RELEASE).unwrap(), weights(1));
    let requests = server.requests();
    let ranges: Vec<_> = requests.iter().map(|request| header(request, "range")).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-"), Some("bytes=150000-")]);
    assert_eq!(header(&requests[1], "if-range"), Some(TAG));
    assert_eq!(files(folder.path()), ["test.pt", "test.pt.sha256"]);
}

#[test]
fn a_later_run_continues_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![Answer::Cut { bytes: weights(1), tag: TAG, after: 70_000 }, file(1)]);
    let hub = hub(folder.path(), &server, 1);
    let error = get(&hub, &RELEASE).unwrap_err().to_string();
    assert!(error.contains("70000") && error.contains("what was fetched is kept"), "{error}");
    assert_eq!(files(folder.path()), ["test.pt.part", "test.pt.part.version"]);
    assert_eq!(get(&hub, &RELEASE).unwrap(), weights(1));
    assert_eq!(header(&server.requests()[1], "range"), Some("bytes=70000-"));
}

#[test]
fn another_version_on_the_server_is_fetched_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let other = Answer::File { bytes: weights(2), tag: "\"two\"" };
    let server = Server::start(vec![Answer::Cut { bytes: weights(1), tag: TAG, after: 70_000 }, other]);
    assert_eq!(get(&hub(folder.path(), &server, 2), &RELEASE).unwrap(), weights(2));
}

#[test]
fn silence_ends_an_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let stall = Answer::Stall { bytes: weights(1), tag: TAG, after: 90_000 };
    // The server sleeps on for a while after each of these.
    let server = Server::start(vec![stall]);
    let error = get(&hub(folder.path(), &server, 1), &RELEASE).unwrap_err().to_string();
    assert!(error.contains("after 90000 bytes: timeout"), "{error}");

    let server = Server::start(vec![Answer::Silence]);
    let error = get(&hub(folder.path(), &server, 1), &RELEASE).unwrap_err().to_string();
    assert!(error.contains("timeout"), "{error}");
    // What had come is continued.
    let server = Server::start(vec![file(1)]);
    assert_eq!(get(&hub(folder.path(), &server, 1), &RELEASE).unwrap(), weights(1));
    assert_eq!(header(&server.requests()[0], "range"), Some("bytes=90000-"));
}

#[test]
fn refusals_are_final_and_failures_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![Answer::Status("404 Not Found"), file(1)]);
    let error = get(&hub(folder.path(), &server, 3), &RELEASE).unwrap_err().to_string();
    let expected = format!("weights test could not be fetched from {}/test.pt: the server answers 404", server.address);
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(server.requests().len(), 1);

    let failing = || Answer::Status("500 Internal Server Error");
    let server = Server::start(vec![failing(), Answer::Status("503 Busy"), file(1)]);
    assert_eq!(get(&hub(folder.path(), &server, 3), &RELEASE).unwrap(), weights(1));

    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![failing(), failing()]);
    let error = get(&hub(folder.path(), &server, 2), &RELEASE).unwrap_err().to_string();
    assert!(error.contains("the server answers 500 Internal Server Error (2 attempts)"), "{error}");

    for address in ["ftp://x", "not an address"] {
        let wrong = Hub::at(folder.path().join("models"), Some(address.into()), retries(3));
        let error = get(&wrong, &RELEASE).unwrap_err();
        assert!(matches!(error, HubError::Fetch { attempts: 1, .. }), "{error}");
    }
    let closed = Hub::at(folder.path().join("models"), Some("http://127.0.0.1:1".into()), retries(2));
    assert!(matches!(get(&closed, &RELEASE), Err(HubError::Fetch { attempts: 2, .. })));
}

/// A server that does not say how long the file is, and ends early.
#[test]
fn half_a_file_is_not_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let half = weights(1)[..150_000].to_vec();
    let server = Server::start(vec![Answer::File { bytes: half, tag: TAG }, file(1)]);
    let hub = hub(folder.path(), &server, 1);
    let error = get(&hub, &RELEASE).unwrap_err().to_string();
    assert!(error.contains("it is damaged or incomplete"), "{error}");
    assert_eq!(get(&hub, &RELEASE).unwrap(), weights(1));
}

#[test]
fn redirects_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let there = Server::start(vec![file(1)]);
    let server = Server::start(vec![Answer::Redirect(format!("{}/elsewhere", there.address))]);
    assert_eq!(get(&hub(folder.path(), &server, 1), &RELEASE).unwrap(), weights(1));
}

#[test]
fn known_files_must_be_the_published_ones() {
    let bytes = weights(1);
    let hash: &'static str = sha256(&bytes).leak();
    let known = |length| Release { known: Some((length, hash)), ..RELEASE };
    let right = bytes.len() as u64;
    struct Case(Answer, u64, &'static str);
    for Case(answer, length, message) in [
        Case(file(1), right + 1, &*format!("it has {right} bytes, expected {}", right + 1).leak()),
        Case(file(2), right, "it has sha256 "),
        Case(Answer::File { bytes: b"<!DOCTYPE html>".to_vec(), tag: TAG }, right, "it begins with `<!DOCTYPE html>`"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(vec![answer, file(1)]);
        let hub = hub(folder.path(), &server, 1);
        let error = get(&hub, &known(length)).unwrap_err().to_string();
        assert!(error.contains(message) && error.ends_with("the download was deleted"), "{error}");
        assert!(files(folder.path()).is_empty());
        assert_eq!(get(&hub, &known(right)).unwrap(), bytes);
    }
}

#[test]
fn a_file_that_changes_after_its_first_use_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![file(1), file(2), file(2)]);
    let hub = hub(folder.path(), &server, 1);
    get(&hub, &RELEASE).unwrap();
    std::fs::write(hub.path(&RELEASE), weights(3)).unwrap();
    let error = get(&hub, &RELEASE).unwrap_err().to_string();
    assert!(error.contains("at first use it had"), "{error}");

    // The hash stays known when the file goes.
    assert!(hub.remove(&RELEASE, false).unwrap());
    let error = get(&hub, &RELEASE).unwrap_err().to_string();
    assert!(error.contains("must be forgotten"), "{error}");
    assert!(hub.remove(&RELEASE, true).unwrap());
    assert_eq!(get(&hub, &RELEASE).unwrap(), weights(2));
    assert!(hub.remove(&RELEASE, true).unwrap() && !hub.remove(&RELEASE, true).unwrap());
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("models"), "a file in the way").unwrap();
    let server = Server::start(vec![file(1)]);
    let error = get(&hub(folder.path(), &server, 1), &RELEASE).unwrap_err().to_string();
    assert!(error.starts_with("cache folder: ") && error.contains("YOLO9_CACHE"), "{error}");
}

/// The program with a cache of its own and a mirror.
fn yolo9(cache: &Path, server: &Server) -> Command {
    let mut command = Command::cargo_bin("yolo9").unwrap();
    command.env("YOLO9_CACHE", cache).env("YOLO9_MIRROR", &server.address);
    for variable in ["YOLO9_OFFLINE", "YOLO9_WEIGHTS", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn names_of_releases_are_fetched_by_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(common::data("golden/yolov9-t-tiny/model.pt")).unwrap();
    let server = Server::start(vec![Answer::File { bytes: bytes.clone(), tag: TAG }]);

    let output = yolo9(folder.path(), &server).args(["info", "gelan-s.pt", "--offline"]).output().unwrap();
    assert!(stderr(&output).contains("weights gelan-s are not in the cache"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(1));

    let output = yolo9(folder.path(), &server).args(["info", "gelan-s.pt"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("Fetching gelan-s from {}/gelan-s.pt", server.address)));
    assert!(server.requests()[0][0].starts_with("GET /gelan-s.pt "));

    let output = yolo9(folder.path(), &server).args(["models", "pull", "gelan-s", "--offline"]).output().unwrap();
    let path = folder.path().join("models").join(find_release("gelan-s").unwrap().file);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("gelan-s\t{}\n", path.display()));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    let listed = yolo9(folder.path(), &server).arg("models").output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let line = listed.lines().find(|line| line.starts_with("gelan-s ")).unwrap();
    assert!(line.contains(" MB "), "{line}");

    assert!(yolo9(folder.path(), &server).args(["models", "remove", "gelan-s"]).output().unwrap().status.success());
    assert!(!path.exists());
    let output = yolo9(folder.path(), &server).args(["models", "pull", "gelan-s", "yolov9c"]).output().unwrap();
    assert!(stderr(&output).contains("did you mean `yolov9-c`?"), "{}", stderr(&output));
}

/// Fetching through a proxy of the environment: the proxy is asked for a tunnel to the mirror.
#[test]
fn proxies_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(common::data("golden/yolov9-t-tiny/model.pt")).unwrap();
    let proxy = Server::start(vec![Answer::Tunnel(Box::new(Answer::File { bytes, tag: TAG }))]);
    let mut command = yolo9(folder.path(), &proxy);
    command.env("YOLO9_MIRROR", "http://weights.invalid/yolov9").env("ALL_PROXY", &proxy.address);
    let output = command.args(["models", "pull", "gelan-s"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<String> = proxy.requests().into_iter().map(|request| request[0].clone()).collect();
    assert_eq!(lines, ["CONNECT weights.invalid:80 HTTP/1.1", "GET /yolov9/gelan-s.pt HTTP/1.1"]);
}
