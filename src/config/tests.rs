//! Sound and broken configurations, and what is said about them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn shipped(name: &str) -> PathBuf {
    Path::new(CRATE).join("config").join(name)
}

#[test]
fn the_shipped_configurations_load_as_they_are() {
    for name in ["renewd.toml", "minimal.toml"] {
        let loaded = load(&shipped(name)).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.desired.certificates.len(), 1, "{name}");
    }
}

/// Puts `text` as `renewd.toml` of this mode into a folder of its own.
fn folder_with(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("renewd.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

/// What a person is shown, with the folder as it would be on a firewall's keeper.
fn told(folder: &Path, mistakes: &Mistakes) -> String {
    mistakes
        .to_string()
        .replace(&*folder.to_string_lossy(), "/etc/renewd")
}

#[test]
fn each_broken_configuration_is_explained_with_place_and_hint() {
    let folder = Path::new(CRATE).join("tests/config/broken");
    let mut names: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= 24, "{} files", names.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(CRATE).join("tests/config/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for broken in names {
        let (folder, path) = folder_with(&fs::read(&broken).unwrap(), 0o600);
        let mistakes = load(&path).unwrap_err();
        let told = told(folder.path(), &mistakes);
        assert!(!told.contains("hunter2"), "{told}");
        assert!(!format!("{mistakes:?}").contains("hunter2"), "{mistakes:?}");
        let name = broken.file_stem().unwrap().to_string_lossy().into_owned();
        settings.bind(|| insta::assert_snapshot!(name, told));
    }
}
