//! What is asked at each wake-up costs the same with a hundred certificates as with a hundred thousand: SQLite itself
//! says how it would look for it, with and without statistics of a large fleet.

use sqlx::{AssertSqlSafe, Row};

use super::*;
use crate::store::{
    bulk, firewalls, history, intents, inventory as certificates, leases, limits, next_wakeup,
    renewals, retention, served,
};

#[tokio::test]
async fn no_statement_of_a_tick_reads_a_whole_table() {
    let (store, _folder) = store().await;
    assert_no_scan(&store).await;

    let fleet: Vec<_> = (0..3000)
        .map(|n| configured(&format!("c{n}"), &format!("f{}", n / 3), "1"))
        .collect();
    store.sync_inventory(&fleet, at(0)).await.unwrap();
    for certificate in fleet.iter().step_by(100) {
        let renewal = renewal(&certificate.name, &certificate.name, &certificate.firewall);
        assert!(store.plan(&renewal, &[]).await.unwrap());
    }
    meddle(&store, "ANALYZE").await;
    assert_no_scan(&store).await;
}

async fn assert_no_scan(store: &Store) {
    let decisions = bulk::record_decisions_statement(2);
    for statement in SEARCHES.iter().copied().chain([decisions.as_str()]) {
        assert_searches(store, statement).await;
    }
}

/// Statements that must find their rows by an index.
const SEARCHES: &[&str] = &[
    certificates::CERTIFICATE,
    certificates::DUE_FOR_CHECK,
    certificates::DUE_FOR_PROBE,
    certificates::DUE_FOR_PROBE_UNSEEN,
    certificates::DUE_FOR_WINDOW,
    certificates::RECORD_WINDOW,
    served::OBSERVE,
    served::FORGET,
    served::KNOW,
    served::KNOWN_CERTIFICATES,
    served::REPORT_FORGED,
    served::BOUND_BEFORE,
    served::ADOPTED_IS_PROBED,
    served::SEEN,
    served::OVERTAKEN,
    certificates::RECONSIDER_WINDOW,
    certificates::REQUEST,
    certificates::FORGET_REFUSED_LOGINS,
    certificates::RELEASE_HELD,
    firewalls::FIREWALL,
    history::HISTORY,
    history::LAST_EVENT,
    history::HASH,
    history::SOME,
    renewals::UNCONFIRMED,
    firewalls::PENDING_PINS,
    retention::OPEN_RENEWAL,
    retention::REMOVE_EVENTS,
    retention::REMOVABLE_RENEWALS,
    retention::REMOVE_SLOT,
    retention::REMOVE_INTENTS,
    retention::REMOVE_RENEWAL,
    intents::PIN,
    intents::OPEN_INTENT,
    intents::LAST_INTENT,
    intents::NOTE_ENDED,
    intents::TRIES,
    intents::CLOSE,
    limits::SLOT,
    limits::USE_SLOT,
    limits::ALLOWANCE,
    limits::ORDERS_SINCE,
    limits::WITHDRAW,
    limits::RETURN_SLOT,
    limits::RETURN_USED_SLOT,
    limits::USE_DECISION,
    intents::WITHDRAW_TRY,
    renewals::END,
    renewals::REST,
    leases::MOST_URGENT,
    leases::MOST_URGENT_REACHABLE,
    leases::CLAIM_FIREWALL,
    leases::EXPEL,
    leases::CLAIM_RENEWAL,
    leases::EXTEND_RENEWAL,
    leases::EXTEND_FIREWALL,
    leases::RELEASE_FIREWALL,
    leases::RELEASE_RENEWAL,
    leases::LEASED,
    leases::STILL_OURS,
    renewals::RENEWAL,
    renewals::RENEWALS_OF,
    renewals::PLAN,
    renewals::ANSWER_REQUEST,
    renewals::ADVANCE,
    renewals::POSTPONE,
    renewals::ADD_OBTAINED,
    renewals::DESTROY_KEY,
    next_wakeup::NEXT_DUE,
];

async fn assert_searches(store: &Store, statement: &str) {
    for step in plan(store, statement).await {
        assert!(
            !step.contains("SCAN") || is_bounded(&step),
            "{step}\nin {statement}"
        );
        assert!(
            !step.contains("TEMP B-TREE FOR ORDER BY"),
            "{step}\nin {statement}"
        );
    }
}

#[tokio::test]
async fn the_next_wake_up_looks_at_few_rows_even_when_the_whole_fleet_is_renewed_at_once() {
    let (store, _folder) = store().await;
    let steps = plan(&store, next_wakeup::NEXT_DUE).await.join("\n");
    for wanted in [
        "SEARCH f USING INDEX firewall_leased",
        "SEARCH r USING INDEX renewal_open_by_firewall (firewall=?)",
    ] {
        assert!(steps.contains(wanted), "{wanted}\nis not in\n{steps}");
    }
}

/// What is named SCAN and is none that grows with the fleet.
fn is_bounded(step: &str) -> bool {
    // The open renewals in the order of urgency: as many as there are in work, and it stops at the first that fits.
    step.contains("USING INDEX renewal_urgency")
        // Looks for rows that wait for a new parent; jumped over, since no foreign key here is deferred.
        || step == "SCAN intent"
        || step == "SCAN CONSTANT ROW"
        // The certificates that are due: as many as the limit lets through.
        || step == "SCAN due_rows"
        // The rows that the statement itself brings along.
        || step == "SCAN 2-ROW VALUES CLAUSE"
}

async fn plan(store: &Store, statement: &str) -> Vec<String> {
    sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
        .fetch_all(&store.reader)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get("detail"))
        .collect()
}
