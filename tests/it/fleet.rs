//! Several daemons share one fleet on one PostgreSQL.

use crate::postgres;

#[test]
fn every_test_has_a_database_of_its_own() {
    let Some(cluster) = postgres::cluster() else {
        return;
    };
    let (one, other) = (cluster.database(), cluster.database());
    assert_ne!(one, other);
    cluster.psql(&one, "CREATE TABLE fleet (name text)");
    cluster.psql(&other, "CREATE TABLE fleet (name text)");
    assert_eq!(cluster.psql(&one, "SHOW ssl"), "on");
}
