//! The real program in a folder of its own.

use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

/// A folder of its own in which `yolo9` runs.
pub struct Workdir(TempDir);

impl Workdir {
    pub fn new() -> Self {
        // Fetches the library before many programs want it at once.
        super::runtime();
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Files right in a folder, but for hidden ones.
    pub fn list(&self, folder: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            entries.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.')).collect();
        files.sort();
        files
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn command(&self, arguments: &str) -> std::process::Command {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("yolo9"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .env_remove("YOLO9_WEIGHTS")
            .env("YOLO9_CONFIG", "");
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must end with that code, and say what its snapshot in `tests/messages` says.
    pub fn fails(&self, arguments: &str, code: i32) {
        let output = self.run(arguments);
        let message = stderr(&output);
        assert!(!message.contains("panicked"), "{message}");
        assert_eq!(output.status.code(), Some(code), "`{arguments}`: {message}");
        let folder = self.0.path().to_string_lossy().into_owned();
        super::messages::check(&arguments.replace(&folder, "FOLDER"), &message.replace(&folder, "FOLDER"));
    }

    /// Runs a command that must succeed.
    pub fn succeeds(&self, arguments: &str) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "`{arguments}`: {}", stderr(&output));
        output
    }
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
