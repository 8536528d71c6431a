//! A database that is damaged, locked, read-only or of another program: the real program refuses it with a hint and the
//! right exit code, and changes no byte of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sqlx::{Connection, Executor, SqliteConnection};

use super::disk::Disk;
use crate::command_line::office::Office;

/// The change to the file, and a part of the message.
type Damage = (&'static str, fn(&mut Vec<u8>), &'static str);

const PAGE: usize = 4096;

const DAMAGES: [Damage; 5] = [
    (
        "another program's file",
        |file| *file = b"Dear John,\n".repeat(2000),
        "not a database",
    ),
    (
        "its head overwritten",
        |file| file[..100].fill(0x5a),
        "not a database",
    ),
    (
        "a page in the middle overwritten",
        |file| file[5 * PAGE..6 * PAGE].fill(0xa5),
        "damaged",
    ),
    (
        "zeros in the middle",
        |file| file[3 * PAGE..9 * PAGE].fill(0),
        "damaged",
    ),
    (
        "half of it gone",
        |file| file.truncate(file.len() / 2 / PAGE * PAGE),
        "damaged",
    ),
];

/// An office that has renewed its certificate, so that the database holds something.
async fn office() -> Office {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    office
}

/// The bytes of the database. A reader may leave an empty log beside it.
fn bytes(office: &Office) -> Vec<u8> {
    fs::read(office.path("renewd.db")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_refused_with_advice_and_never_overwritten() {
    let office = office().await;
    let file = office.path("renewd.db");
    let sound = fs::read(&file).unwrap();
    let requests = office.simulator.counters().requests;
    for (name, damage, words) in DAMAGES {
        let mut bytes = sound.clone();
        damage(&mut bytes);
        fs::write(&file, &bytes).unwrap();
        for command in [
            &["run"][..],
            &["run", "--once"],
            &["status"],
            &["renew", "hq-portal"],
            // Its record of earlier logins decides which login is allowed.
            &["check", "--online"],
            &["discover", "hq"],
        ] {
            let reported = office.renewd(command);
            assert_eq!(
                reported.code,
                Some(74),
                "{name}: {command:?}: {reported:#?}"
            );
            for part in [
                words,
                &*file.display().to_string(),
                "restore a backup",
                "finish or cancel by hand",
            ] {
                assert!(
                    reported.stderr.contains(part),
                    "{name}: no {part:?} in {reported:#?}"
                );
            }
            assert!(
                self::bytes(&office) == bytes,
                "{name}: {command:?} changed it"
            );
        }
    }
    assert_eq!(
        office.simulator.counters().requests,
        requests,
        "and nothing was done"
    );
    fs::write(&file, &sound).unwrap();
    office
        .renewd(&["status"])
        .with_code(0)
        .prints(&["hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_log_beside_the_database_is_no_damage() {
    let office = office().await;
    fs::write(office.path("renewd.db-wal"), "").unwrap();
    office
        .renewd(&["status"])
        .with_code(0)
        .prints(&["hq-portal"]);
    fs::write(office.path("renewd.db-wal"), "no log at all".repeat(999)).unwrap();
    office
        .renewd(&["status"])
        .with_code(0)
        .prints(&["hq-portal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_of_another_program_is_refused_and_left_as_it_is() {
    let office = Office::new().await;
    let file = office.path("renewd.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    other
        .execute("CREATE TABLE songs (title TEXT)")
        .await
        .unwrap();
    other.close().await.unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let before = bytes(&office);
    let reported = office.renewd(&["run", "--once"]).with_code(74);
    reported.complains(&["another program", "name another one"]);
    assert!(bytes(&office) == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_locked_too_long_is_reported_and_nothing_is_done() {
    let office = office().await;
    let url = format!("sqlite://{}", office.path("renewd.db").display());
    let mut holder = SqliteConnection::connect(&url).await.unwrap();
    holder.execute("BEGIN IMMEDIATE").await.unwrap();
    let requests = office.simulator.counters().requests;
    let reported = office.renewd(&["run", "--once"]).with_code(74);
    reported.complains(&["locked by another program"]);
    assert_eq!(office.simulator.counters().requests, requests);
    holder.execute("ROLLBACK").await.unwrap();
    office.renewd(&["run", "--once"]).with_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_written_is_reported_with_a_hint() {
    let Some(disk) = Disk::mount("8m") else {
        return;
    };
    let office = Office::new().await;
    let text = office.configuration();
    let at = format!("sqlite://{}", disk.path().display());
    let there = format!("sqlite://{}", office.folder.path().display());
    office.configure(&text.replacen(&there, &at, 1));
    office.renewd(&["run", "--once"]).with_code(0);
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk.path())
        .status()
        .unwrap();
    assert!(remounted.success());
    let before = fs::read(disk.path().join("renewd.db")).unwrap();
    for command in [&["run"][..], &["run", "--once"], &["renew", "hq-portal"]] {
        let reported = office.renewd(command).with_code(74);
        reported.complains(&["writ", "user that renewd runs as"]);
    }
    assert_eq!(fs::read(disk.path().join("renewd.db")).unwrap(), before);
}
