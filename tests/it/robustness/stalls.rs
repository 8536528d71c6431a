//! A loop that stalls: the watchdog is not fed, and the commands report that the daemon is not responding.

use std::time::Duration;

use jiff::SignedDuration;
use renewd::clock::{Clock, SystemClock};
use renewd::store::Store;
use sqlx::{Connection, Executor, SqliteConnection};

use super::pause;
use crate::command_line::daemon::{Running, wait_for_log};
use crate::command_line::office::Office;

fn url(office: &Office) -> String {
    format!("sqlite://{}", office.path("renewd.db").display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_stalls_does_not_feed_the_watchdog() {
    let office = Office::new().await;
    let daemon = Running::start(&office);
    wait_for_log(&office, "\"event\":\"renewal_completed\"").await;
    daemon.wait_for_notice("WATCHDOG=1");

    // A reload writes, and waits for the process that has locked the database. The loop is blocked meanwhile.
    let mut holder = SqliteConnection::connect(&url(&office)).await.unwrap();
    holder.execute("BEGIN IMMEDIATE").await.unwrap();
    let text = office.configuration().replace("hq-portal", "hq-renamed");
    office.configure(&text);
    daemon.signal("HUP");
    daemon.wait_for_notice("RELOADING=1");
    pause(Duration::from_millis(300)).await;
    while daemon.notices.try_recv().is_ok() {}
    // Five times as long as it takes to feed it.
    let fed = daemon.notices.recv_timeout(Duration::from_secs(1));
    assert!(
        fed.is_err(),
        "the watchdog was fed by another loop: {fed:?}"
    );
    holder.execute("ROLLBACK").await.unwrap();
    daemon.wait_for_notice("WATCHDOG=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_red_when_the_daemon_gives_no_sign_of_life() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let reported = office.renewd(&["status"]).with_code(0);
    assert_eq!(reported.stderr, "", "none should run");

    let store = Store::open(&url(&office)).await.unwrap();
    let now = SystemClock.now();
    store
        .beat(now - SignedDuration::from_mins(1))
        .await
        .unwrap();
    let reported = office.renewd(&["status"]).with_code(0);
    assert_eq!(reported.stderr, "", "the next sign of life is due");
    store
        .beat(now - SignedDuration::from_mins(10))
        .await
        .unwrap();
    let reported = office.renewd(&["status"]).with_code(1);
    reported
        .prints(&["hq-portal", "ok"])
        .complains(&["no sign of life since"]);

    store.mark_stopped().await.unwrap();
    office.renewd(&["status"]).with_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_at_work_gives_signs_of_life_and_none_after_it_stopped() {
    let office = Office::new().await;
    let started = SystemClock.now();
    let daemon = Running::start(&office);
    let store = Store::open(&url(&office)).await.unwrap();
    assert!(store.last_beat().await.unwrap() >= Some(started - SignedDuration::from_secs(1)));
    daemon.signal("TERM");
    daemon.wait_for_notice("STOPPING=1");
    wait_for_log(&office, "\"event\":\"daemon_stopping\"").await;
    super::wait_until("it rests", async || {
        store.last_beat().await.unwrap().is_none()
    })
    .await;
}
