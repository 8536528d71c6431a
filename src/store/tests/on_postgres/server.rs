//! Servers: which logins are accepted, what is verified, what breaks, and how it is reported.

use std::time::Duration;

use super::super::postgres::{self, Cluster};
use super::*;
use crate::secret::{Secret, SecretSource};
use crate::store::PollKind;

/// A server, or none after saying so.
fn server() -> Option<(&'static Cluster, String)> {
    let cluster = postgres::cluster()?;
    Some((cluster, cluster.database()))
}

/// The refusal to open `url`, in words; it holds no password.
async fn refusal(url: &str, password: Option<&SecretSource>) -> String {
    match Store::open_with(url, password).await {
        Err(StoreError::Unusable { location, advice }) => {
            assert!(
                !format!("{location}{advice}").contains("s3cret"),
                "{location} {advice}"
            );
            format!("{location}: {advice}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_reported_with_advice() {
    let Some((_, url)) = server() else { return };
    let reported = refusal(&format!("{url}_not"), None).await;
    assert!(
        reported.contains("does not exist") && reported.contains("make it"),
        "{reported}"
    );
    assert!(reported.contains(&format!("{url}_not")), "{reported}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let gone = Store::open("postgres://renewd@127.0.0.1:1/renewd").await;
    assert!(
        matches!(gone, Err(StoreError::Unreachable { .. })),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_of_an_answer_is_unreachable() {
    use tokio::io::AsyncReadExt as _;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // As a proxy does whose server is gone.
    let proxy = async {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.read_exact(&mut [0; 8]).await.unwrap();
        }
    };
    let url = format!("postgres://renewd@127.0.0.1:{port}/renewd");
    let gone = tokio::select! {
        gone = Store::open(&url) => gone,
        () = proxy => unreachable!(),
    };
    let Err(StoreError::Unreachable { evidence }) = gone else {
        panic!("{gone:?}");
    };
    assert!(evidence.contains("no whole answer"), "{evidence}");
}

#[tokio::test]
async fn a_missing_right_to_make_tables_is_reported_with_advice() {
    let Some((cluster, url)) = server() else {
        return;
    };
    let name = url.rsplit('/').next().unwrap();
    let statements = format!("CREATE ROLE guest_{name} LOGIN PASSWORD 's3cret'");
    cluster.psql(&url, &statements);
    let url = url.replace("renewd@", &format!("guest_{name}@"));
    let reported = refusal(&url, None).await;
    assert!(reported.contains("database_password"), "{reported}");
    let wrong = SecretSource::Inline(Secret::new("s3cret-not".to_owned()));
    let reported = refusal(&url, Some(&wrong)).await;
    assert!(reported.contains("database_password"), "{reported}");
    let right = SecretSource::Inline(Secret::new("s3cret".to_owned()));
    let reported = refusal(&url, Some(&right)).await;
    assert!(reported.contains("owner of the database"), "{reported}");
}

#[tokio::test]
async fn a_password_opens_the_database_and_is_shown_by_nothing() {
    let Some((cluster, url)) = server() else {
        return;
    };
    let name = url.rsplit('/').next().unwrap();
    cluster.psql(
        &url,
        &format!("CREATE ROLE owner_{name} LOGIN PASSWORD 's3cret &=?%'; ALTER DATABASE {name} OWNER TO owner_{name}"),
    );
    let url = url.replace("renewd@", &format!("owner_{name}@"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret &=?%\n").unwrap();
    let store = Store::open_with(&url, Some(&SecretSource::File(file)))
        .await
        .unwrap();
    store.write_probe(at(0)).await.unwrap();
    assert!(!format!("{store:?}").contains("s3cret"), "{store:?}");
}

#[tokio::test]
async fn the_servers_certificate_is_verified() {
    let Some((cluster, url)) = server() else {
        return;
    };
    let url = url.replace("127.0.0.1", "localhost") + "?sslmode=verify-full";
    let reported = refusal(&url, None).await;
    assert!(reported.contains("sslrootcert"), "{reported}");
    let known = format!("{url}&sslrootcert={}", cluster.certificate().display());
    // The server lets this user in from 127.0.0.1 alone, and says so only after TLS.
    match Store::open(&known).await {
        Ok(store) => store.write_probe(at(0)).await.unwrap(),
        Err(error) => panic!("{error}"),
    }
    let named_otherwise = known.replace("localhost", "127.0.0.1");
    let reported = refusal(&named_otherwise, None).await;
    assert!(reported.contains("by a name"), "{reported}");
}

#[tokio::test]
async fn a_unix_socket_needs_no_options() {
    let Some(cluster) = postgres::cluster() else {
        return;
    };
    let store = Store::open(&cluster.database_at_socket()).await.unwrap();
    store.write_probe(at(0)).await.unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_renewd_is_refused_and_left_as_it_is() {
    let Some((cluster, url)) = server() else {
        return;
    };
    Store::open(&url).await.unwrap().close().await;
    cluster.psql(
        &url,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', true, '\\x00', 1)",
    );
    let refused = Store::open(&url).await;
    assert!(matches!(refused, Err(StoreError::Newer)), "{refused:?}");
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let Some((cluster, url)) = server() else {
        return;
    };
    cluster.psql(&url, "CREATE TABLE letters (words TEXT)");
    let reported = refusal(&url, None).await;
    assert!(reported.contains("another program"), "{reported}");
    let tables = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(cluster.psql(&url, tables), "1");
}

#[tokio::test]
async fn connections_are_durable_and_let_go_of_the_lock_within_seconds() {
    let Some((_, url)) = server() else { return };
    let store = Store::open(&url).await.unwrap();
    for (setting, wanted) in [
        ("SHOW synchronous_commit", "on"),
        ("SHOW statement_timeout", "15s"),
        ("SHOW lock_timeout", "10s"),
        ("SHOW idle_in_transaction_session_timeout", "5s"),
        ("SHOW tcp_keepalives_idle", "10"),
        ("SHOW tcp_user_timeout", "15000"),
        ("SHOW application_name", "renewd"),
    ] {
        for pool in [&store.writer, &store.reader] {
            let value: String = sqlx::query_scalar(setting).fetch_one(pool).await.unwrap();
            assert_eq!(value, wanted, "{setting}");
        }
    }
}

#[tokio::test]
async fn one_transaction_writes_at_a_time_and_the_others_wait_their_turn() {
    let Some((_, url)) = server() else { return };
    let first = Store::open(&url).await.unwrap();
    let impatient = Duration::from_millis(1);
    let second = Store::open_waiting(&url, None, impatient, crate::store::Access::Write)
        .await
        .unwrap();
    let lock = first.begin().await.unwrap();
    let written = second.write_probe(at(0)).await;
    assert!(matches!(written, Err(StoreError::Busy)), "{written:?}");
    assert_eq!(
        second.certificates().await.unwrap().len(),
        0,
        "who reads does not wait"
    );
    lock.commit().await.unwrap();
    second.write_probe(at(0)).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_broke_is_replaced() {
    let Some((cluster, url)) = server() else {
        return;
    };
    let store = Store::open(&url).await.unwrap();
    store.write_probe(at(0)).await.unwrap();
    store.certificates().await.unwrap();
    let all = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert_ne!(cluster.psql(&url, all), "0");
    for attempt in 0.. {
        match (store.write_probe(at(0)).await, store.certificates().await) {
            (Ok(()), Ok(_)) => break,
            (Err(error), _) | (_, Err(error)) => {
                assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
                assert!(attempt < 5, "{error}");
            }
        }
    }
}

#[tokio::test]
async fn the_clock_of_the_server_is_compared_with_ours() {
    let Some((_, url)) = server() else { return };
    let store = Store::open(&url).await.unwrap();
    let theirs = store.clock_difference(at(0)).await.unwrap().unwrap();
    let later = store.clock_difference(at(3600)).await.unwrap().unwrap();
    let between = later - theirs;
    assert!((between - SignedDuration::from_hours(1)).abs() < SignedDuration::from_mins(1));
}

#[tokio::test]
async fn who_listens_hears_of_others_and_not_of_himself() {
    let Some((_, url)) = server() else { return };
    let Home::Server(_) = home() else { return };
    let store = Store::open(&url).await.unwrap();
    store
        .sync_inventory(&[configured("portal", "hq", "1")], at(0))
        .await
        .unwrap();
    assert!(
        store
            .plan(&renewal("r1", "portal", "hq"), &[])
            .await
            .unwrap()
    );
    let mut ours = store.listen("us").await.unwrap().unwrap();
    let other = Store::open(&url).await.unwrap();
    let mut theirs = other.listen("them").await.unwrap().unwrap();
    let lease = claim(&store, "us", 0).await.unwrap();
    store.release(lease).await.unwrap();
    theirs.next().await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(50), ours.next()).await;
    assert!(nothing.is_err(), "its own word");
    other.request_renewal("portal", at(1), &[]).await.unwrap();
    ours.next().await.unwrap();
}

#[tokio::test]
async fn of_two_that_see_the_same_due_look_one_has_it() {
    let Some((_, url)) = server() else { return };
    let store = Store::open(&url).await.unwrap();
    store
        .sync_inventory(&[configured("portal", "hq", "1")], at(0))
        .await
        .unwrap();
    let due = store.due_for_probe(at(1), true, 9).await.unwrap();
    assert_eq!(due.len(), 1);
    let first = async || {
        let due = due.clone();
        store
            .first_come(PollKind::Services, due, at(1), at(300))
            .await
            .unwrap()
            .len()
    };
    assert_eq!((first().await, first().await), (1, 0));
    assert!(
        store
            .due_for_probe(at(299), true, 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.due_for_probe(at(300), true, 9).await.unwrap().len(),
        1,
        "the other died"
    );
}
