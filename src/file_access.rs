//! Which accounts may change or read a file that renewd relies on. It checks owner and mode of every folder and link on
//! the path, as sshd and sudo do. It reads no content and changes nothing.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It decides what renewd does: configuration, a program, certificates to verify peers with, a folder of such files.
    Decides,
    /// It holds a secret besides. Its group may read it.
    Secret,
}

/// Why a file is not safe to use, and the command that changes that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}: run `{remedy}`")]
pub struct Unsafe {
    /// What is wrong, with the path it is wrong at.
    pub problem: String,
    /// A command.
    pub remedy: String,
}

/// The accounts that may own what renewd relies on, by their user ids.
#[derive(Debug, Clone)]
pub struct Owners(Vec<u32>);

impl Owners {
    /// root, the account that runs this, and the owner of `state_directory`: that of the daemon.
    pub fn of(state_directory: &Path) -> Self {
        let own = rustix::process::geteuid().as_raw();
        let daemon = fs::metadata(state_directory).map(|folder| folder.uid());
        Self([0, own].into_iter().chain(daemon).collect())
    }

    /// Whether only these accounts can change the file at `path`, and others cannot read it where it is secret.
    ///
    /// # Errors
    /// The first thing that is unsafe. What is missing or cannot be looked at is another's finding, and what is no file
    /// or folder, such as a pipe, has no content that could be changed.
    pub fn check(&self, path: &Path, purpose: Use) -> Result<(), Unsafe> {
        let Ok(metadata) = fs::metadata(path) else {
            return Ok(());
        };
        if !(metadata.is_file() || metadata.is_dir()) {
            return Ok(());
        }
        self.check_way(path)?;
        self.check_end(path, &metadata, purpose)
    }

    fn check_end(&self, path: &Path, metadata: &Metadata, purpose: Use) -> Result<(), Unsafe> {
        self.check_owner(path, metadata)?;
        let mode = metadata.permissions().mode();
        let mode_text = format!("mode {:04o}", mode & 0o7777);
        let path = path.display();
        if mode & (GROUP_WRITE | OTHERS_WRITE) != 0 {
            return Err(Unsafe {
                problem: format!("others can change {path} ({mode_text})"),
                remedy: format!("chmod go-w {path}"),
            });
        }
        if purpose == Use::Secret && mode & OTHERS_READ != 0 {
            return Err(Unsafe {
                problem: format!("others can read {path} ({mode_text})"),
                remedy: format!("chmod o-rwx {path}"),
            });
        }
        Ok(())
    }

    /// Every folder that is passed, links followed one by one.
    fn check_way(&self, path: &Path) -> Result<(), Unsafe> {
        let Ok(path) = std::path::absolute(path) else {
            return Ok(());
        };
        let mut left: VecDeque<OsString> = names(&path).collect();
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            self.check_folder(&at)?;
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let Ok(metadata) = fs::symlink_metadata(&next) else {
                return Ok(());
            };
            if !metadata.is_symlink() {
                at = next;
                continue;
            }
            self.check_owner(&next, &metadata)?;
            links += 1;
            // The links of /proc lead to open files, not along paths.
            let Ok(target) = fs::read_link(&next) else {
                return Ok(());
            };
            if links > MOST_LINKS || next.starts_with("/proc") {
                return Ok(());
            }
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            left = names(&target).chain(left).collect();
        }
        Ok(())
    }

    /// A folder on the path: an account that can write to it can replace our file, unless the folder is sticky.
    fn check_folder(&self, path: &Path) -> Result<(), Unsafe> {
        let Ok(metadata) = fs::metadata(path) else {
            return Ok(());
        };
        self.check_owner(path, &metadata)?;
        let mode = metadata.permissions().mode();
        let by_group = mode & GROUP_WRITE != 0 && metadata.gid() != 0;
        if mode & STICKY == 0 && (by_group || mode & OTHERS_WRITE != 0) {
            let (problem, path) = ("others can replace files in the folder", path.display());
            return Err(Unsafe {
                problem: format!("{problem} {path} (mode {:04o})", mode & 0o7777),
                remedy: format!("chmod go-w {path}"),
            });
        }
        Ok(())
    }

    fn check_owner(&self, path: &Path, metadata: &Metadata) -> Result<(), Unsafe> {
        let owner = metadata.uid();
        if self.0.contains(&owner) {
            return Ok(());
        }
        let (path, link) = (
            path.display(),
            if metadata.is_symlink() { "-h " } else { "" },
        );
        Err(Unsafe {
            problem: format!("{path} belongs to the user id {owner}, which can change it"),
            remedy: format!("chown {link}root {path}"),
        })
    }
}

/// The names of a path behind its root.
fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

const STICKY: u32 = 0o1000;
const GROUP_WRITE: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_READ: u32 = 0o004;
/// As many as Linux follows.
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::os::unix::fs::{chown, symlink};

    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, Owners) {
        let folder = tempfile::tempdir().unwrap();
        let owners = Owners::of(folder.path());
        (folder, owners)
    }

    fn file(path: &Path, mode: u32) -> PathBuf {
        fs::write(path, "x").unwrap();
        set_mode(path, mode);
        path.to_owned()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_secret_may_be_read_by_its_group_and_by_no_other_user() {
        let (folder, owners) = folder();
        let path = folder.path().join("password");
        for (mode, is_fine) in [
            (0o400, true),
            (0o600, true),
            (0o640, true),
            (0o440, true),
            (0o644, false),
            (0o604, false),
            (0o660, false),
            (0o602, false),
            (0o666, false),
        ] {
            file(&path, mode);
            let found = owners.check(&path, Use::Secret);
            assert_eq!(found.is_ok(), is_fine, "{mode:o}: {found:?}");
        }
        set_mode(&path, 0o644);
        let error = owners.check(&path, Use::Secret).unwrap_err().to_string();
        let (path, remedy) = (path.display(), "chmod o-rwx");
        assert_eq!(
            error,
            format!("others can read {path} (mode 0644): run `{remedy} {path}`")
        );
    }

    #[test]
    fn a_trusted_file_may_be_read_by_all_and_written_by_no_other_user() {
        let (folder, owners) = folder();
        let path = folder.path().join("hook");
        for (mode, is_fine) in [
            (0o755, true),
            (0o700, true),
            (0o775, false),
            (0o757, false),
            (0o777, false),
        ] {
            file(&path, mode);
            let found = owners.check(&path, Use::Decides);
            assert_eq!(found.is_ok(), is_fine, "{mode:o}: {found:?}");
        }
        let conf_d = folder.path().join("conf.d");
        fs::create_dir(&conf_d).unwrap();
        for (mode, is_fine) in [
            (0o755, true),
            (0o750, true),
            (0o777, false),
            (0o1777, false),
        ] {
            set_mode(&conf_d, mode);
            assert_eq!(
                owners.check(&conf_d, Use::Decides).is_ok(),
                is_fine,
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_folder_on_the_way_that_others_can_write_to_is_found_also_behind_links() {
        let (folder, owners) = folder();
        let open = folder.path().join("open");
        fs::create_dir_all(open.join("closed")).unwrap();
        let path = file(&open.join("closed/hook"), 0o700);
        let link = folder.path().join("link");
        symlink("open/closed/../closed/hook", &link).unwrap();
        assert_eq!(owners.check(&link, Use::Decides), Ok(()));
        set_mode(&open, 0o777);
        for way in [&path, &link] {
            let found = owners.check(way, Use::Decides).unwrap_err();
            assert_eq!(found.remedy, format!("chmod go-w {}", open.display()));
        }
        set_mode(&open, 0o1777);
        assert_eq!(owners.check(&path, Use::Decides), Ok(()), "as in /tmp");
        // A link that others can replace.
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&path, elsewhere.join("link")).unwrap();
        set_mode(&elsewhere, 0o777);
        assert!(owners.check(&elsewhere.join("link"), Use::Decides).is_err());
    }

    #[test]
    fn what_belongs_to_another_user_is_not_relied_on() {
        let (folder, owners) = folder();
        let path = file(&folder.path().join("config"), 0o600);
        if chown(&path, Some(65_534), None).is_err() {
            println!("skipped: needs root");
            return;
        }
        let found = owners.check(&path, Use::Secret).unwrap_err();
        assert!(found.problem.contains("user id 65534"), "{found}");
        // The account of the daemon, when root runs a command.
        chown(folder.path(), Some(65_534), None).unwrap();
        assert_eq!(Owners::of(folder.path()).check(&path, Use::Secret), Ok(()));
    }

    #[test]
    fn links_as_kubernetes_makes_them_pipes_and_what_is_missing_are_fine() {
        let (folder, owners) = folder();
        let data = folder.path().join("..2026");
        fs::create_dir(&data).unwrap();
        file(&data.join("password"), 0o440);
        symlink("..2026", folder.path().join("..data")).unwrap();
        let path = folder.path().join("password");
        symlink("..data/password", &path).unwrap();
        // The volume of a secret is a sticky folder that all may write to.
        set_mode(folder.path(), 0o1777);
        assert_eq!(owners.check(&path, Use::Secret), Ok(()));
        for path in ["/dev/null", "/dev/fd/0", "/nowhere/at/all"] {
            assert_eq!(owners.check(Path::new(path), Use::Secret), Ok(()), "{path}");
        }
        symlink("round", folder.path().join("round")).unwrap();
        assert_eq!(
            owners.check(&folder.path().join("round"), Use::Secret),
            Ok(())
        );
    }
}
