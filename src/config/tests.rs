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
