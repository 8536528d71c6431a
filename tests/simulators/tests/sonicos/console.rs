//! The command line at a terminal: prompts, questions, pages, and the rules that it shares with the API.

use std::sync::{Arc, Mutex};

use simulators::sonicos::{Action, Port, Profile, Rule, Settings, Simulator, Variants};
use time::{Duration, OffsetDateTime};

use crate::steps::{bind, generate, logged_in};
use crate::terminal::{CONFIG, TOP, Terminal};

const CERTIFICATES: &str = "(config-certificates)# ";
const ADMINISTRATION: &str = "(config-administration)# ";
const SSL_VPN: &str = "(config-ssl-vpn-server)# ";
const PREEMPT: &str = "Do you wish to preempt them (yes/no)? [no]: ";
const UNCOMMITTED: &str = "Uncommitted changes found";

#[tokio::test]
async fn both_services_are_bound_and_committed_from_the_console() {
    let simulator = start(|_| {}).await;
    let mut terminal = Terminal::open(&simulator).await;
    assert_eq!(terminal.line("configure", CONFIG).await, "");
    terminal.line("administration", ADMINISTRATION).await;
    terminal
        .line("web-management certificate use-self-signed", ADMINISTRATION)
        .await;
    terminal.line("exit", CONFIG).await;
    terminal.line("ssl-vpn server", SSL_VPN).await;
    terminal.line("certificate use-self-signed", SSL_VPN).await;
    assert_eq!(simulator.bound(Port::SslVpn).as_deref(), Some("fw-initial"));
    let said = terminal.line("commit", SSL_VPN).await;
    assert_eq!(said, "% Changes made.\r\n");
    assert_eq!(
        (
            simulator.bound(Port::Management),
            simulator.bound(Port::SslVpn)
        ),
        (None, None)
    );
    assert_eq!(
        terminal.line("commit", SSL_VPN).await,
        "% No changes made.\r\n"
    );
    assert_eq!(terminal.line("end", TOP).await, "");
    terminal.press("exit\r\n").await;
    assert_eq!(terminal.rest().await, "");
    assert_eq!(simulator.counters().commits, 1);
}

#[tokio::test]
async fn unknown_incomplete_and_conflicting_commands_are_refused_with_a_message() {
    let simulator = start(|_| {}).await;
    let mut terminal = Terminal::open(&simulator).await;
    assert_eq!(
        terminal.line("certificates", TOP).await,
        "% Error: command 'certificates' not found\r\n"
    );
    terminal.line("configure", CONFIG).await;
    terminal.line("certificates", CERTIFICATES).await;
    let cases = [
        ("export signing-request fw-initial", "Incomplete command."),
        (
            "export signing-request nothing ftp ftp://192.0.2.1/",
            "no certificate found for this name",
        ),
        (
            "import ca-cert ftp ftp://files.example.com/ca.pem",
            "'files.example.com' is not a reasonable value.",
        ),
        (
            "import ca-cert http http://192.0.2.1/ca.pem",
            "'http' is not a reasonable value.",
        ),
        ("no certificate \"fw-initial\"", "Certificate is in use"),
        (
            "no certificate nothing",
            "no certificate found for this name",
        ),
    ];
    for (line, message) in cases {
        assert_eq!(
            terminal.line(line, CERTIFICATES).await,
            format!("% Error: {message}\r\n"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_request_is_deleted_at_once() {
    let simulator = start(|_| {}).await;
    let mut client = logged_in(&simulator).await;
    generate(&mut client, "fw-2026").await;
    client.call("DELETE", "/auth", "").await.unwrap();
    let mut terminal = Terminal::open(&simulator).await;
    terminal.line("configure", CONFIG).await;
    terminal.line("certificates", CERTIFICATES).await;
    assert_eq!(
        terminal
            .line("no certificate \"fw-2026\"", CERTIFICATES)
            .await,
        "% Changes made.\r\n"
    );
    assert_eq!(simulator.counters().key_pairs_present, 0);
}

#[tokio::test]
async fn a_long_listing_stops_at_each_page_until_the_pager_is_off() {
    let simulator = start(|variants| variants.console_page_lines = 2).await;
    let mut terminal = Terminal::open(&simulator).await;
    terminal.press("show certificates status\n").await;
    let page = terminal.until("--MORE--").await;
    assert_eq!(page.lines().count(), 2, "{page}");
    terminal.press(" ").await;
    let rest = terminal.until(TOP).await;
    assert!(rest.contains("fw-initial"), "{rest}");
    terminal.press("show certificates status\n").await;
    terminal.until("--MORE--").await;
    assert!(!terminal.line("q", TOP).await.contains("fw-initial"));
    // The line feed after the `q` was a line of its own.
    terminal.until(TOP).await;
    terminal.line("no cli pager session", TOP).await;
    let all = terminal
        .line("show certificates status imported", TOP)
        .await;
    assert!(
        all.contains("fw-initial") && !all.contains("MORE") && !all.contains("Built-in"),
        "{all}"
    );
    let one = terminal
        .line("show certificate name fw-initial status", TOP)
        .await;
    assert!(one.contains("certificate: fw-initial\r\n"), "{one}");
}

#[tokio::test]
async fn configuration_mode_is_taken_from_another_administrator_only_after_a_yes() {
    let simulator = start(|_| {}).await;
    simulator.other_administrator().takes_configuration_mode();
    let mut terminal = Terminal::open(&simulator).await;
    terminal.line("configure", PREEMPT).await;
    terminal.line("", TOP).await;
    terminal.line("configure", PREEMPT).await;
    terminal.line("yes", CONFIG).await;
    simulator.other_administrator().takes_configuration_mode();
    assert_eq!(
        terminal.line("commit", TOP).await,
        "% Error: Non config mode\r\n"
    );
}

#[tokio::test]
async fn the_session_of_the_api_is_another_administrator() {
    let simulator = start(|_| {}).await;
    let mut client = logged_in(&simulator).await;
    let mut terminal = Terminal::open(&simulator).await;
    terminal.line("configure", PREEMPT).await;
    terminal.line("yes", CONFIG).await;
    let refused = client.call("POST", "/config/pending", "").await.unwrap();
    assert_eq!(refused.info("message"), "Non config mode");
    client
        .call("POST", "/config-mode", "")
        .await
        .unwrap()
        .succeeded();
    assert_eq!(
        terminal.line("certificates", TOP).await,
        "% Error: Non config mode\r\n"
    );
}

#[tokio::test]
async fn a_terminal_cut_by_rule_keeps_the_changes() {
    let simulator = start(|_| {}).await;
    for (action, commits) in [(Action::DropBefore, 0), (Action::DropAfter, 1)] {
        simulator.rule(Rule::once("CONSOLE", "commit", action));
        let mut terminal = Terminal::open(&simulator).await;
        terminal.line("configure", CONFIG).await;
        terminal.line("ssl-vpn server", SSL_VPN).await;
        terminal.line("certificate use-self-signed", SSL_VPN).await;
        terminal.press("commit\n").await;
        assert_eq!(terminal.rest().await, "");
        assert_eq!(simulator.counters().commits, commits);
        assert!(simulator.pending().is_empty());
    }
}

#[tokio::test]
async fn uncommitted_changes_are_asked_for_and_lost_with_the_terminal() {
    let simulator = start(|_| {}).await;
    let mut terminal = Terminal::open(&simulator).await;
    terminal.line("configure", CONFIG).await;
    terminal.line("administration", ADMINISTRATION).await;
    terminal
        .line("web-management certificate use-self-signed", ADMINISTRATION)
        .await;
    terminal.line("end", UNCOMMITTED).await;
    terminal.line("cancel", ADMINISTRATION).await;
    assert_eq!(simulator.pending().len(), 1);
    terminal.line("end", UNCOMMITTED).await;
    assert!(terminal.line("no", TOP).await.ends_with("[cancel]: "));
    assert!(simulator.pending().is_empty());
    terminal.line("configure", CONFIG).await;
    terminal.line("ssl-vpn server", SSL_VPN).await;
    terminal.line("certificate use-self-signed", SSL_VPN).await;
    drop(terminal);
    while !simulator.pending().is_empty() {
        tokio::task::yield_now().await;
    }
    let mut next = Terminal::open(&simulator).await;
    next.line("configure", CONFIG).await;
    assert_eq!(simulator.counters().commits, 0);
}

#[tokio::test]
async fn a_foreign_change_is_asked_for_too_and_counted_when_it_is_committed() {
    let simulator = start(|_| {}).await;
    simulator
        .other_administrator()
        .has_pending_change("address-object ipv4 office");
    let mut terminal = Terminal::open(&simulator).await;
    terminal.line("configure", CONFIG).await;
    terminal.line("exit", UNCOMMITTED).await;
    terminal.line("yes", TOP).await;
    let counters = simulator.counters();
    assert_eq!(
        (counters.commits, counters.commits_of_foreign_changes),
        (1, 1)
    );
}

#[tokio::test]
async fn the_policy_wants_a_yes_and_too_many_logins_end_the_session() {
    let simulator = start(|variants| variants.console_banner = true).await;
    let mut terminal = Terminal::connect(&simulator).await;
    terminal.until("(yes)? ").await;
    terminal.line("yes", TOP).await;
    let mut unwilling = Terminal::connect(&simulator).await;
    unwilling.until("(yes)? ").await;
    unwilling.press("no\n").await;
    assert_eq!(unwilling.rest().await, "");
    simulator.set(|variants| variants.console_login_attempts_exceeded = true);
    let refused = Terminal::connect(&simulator).await.rest().await;
    assert_eq!(refused, "% Maximum login attempts exceeded.\r\n");
}

#[tokio::test]
async fn an_idle_session_times_out_by_the_device_clock_and_by_the_switch() {
    let clock = Arc::new(Mutex::new(OffsetDateTime::now_utc()));
    let now = clock.clone();
    let mut settings = with_console(|_| {});
    settings.now = Arc::new(move || *now.lock().unwrap());
    let simulator = Simulator::start(settings).await.unwrap();
    let mut terminal = Terminal::open(&simulator).await;
    terminal.line("configure", CONFIG).await;
    *clock.lock().unwrap() += Duration::minutes(6);
    terminal.press("commit\n").await;
    assert_eq!(terminal.rest().await, "% Session timed out.\r\n");
    simulator.set(|variants| variants.console_times_out_after = 1);
    let mut short = Terminal::open(&simulator).await;
    // The mode of the session that timed out is free.
    short.line("configure", CONFIG).await;
    short.press("certificates\n").await;
    assert_eq!(short.rest().await, "% Session timed out.\r\n");
}

#[tokio::test]
async fn a_commit_at_the_console_cuts_the_connections_of_the_management_not_its_own() {
    let simulator = start(|variants| {
        variants.drop_on_management_commit = true;
        variants.session_lost_on_management_commit = true;
    })
    .await;
    let mut client = logged_in(&simulator).await;
    bind(&mut client, "fw-initial").await;
    let mut terminal = Terminal::open(&simulator).await;
    terminal.line("configure", PREEMPT).await;
    terminal.line("yes", CONFIG).await;
    terminal.line("administration", ADMINISTRATION).await;
    terminal
        .line("web-management certificate use-self-signed", ADMINISTRATION)
        .await;
    let said = terminal.line("commit", ADMINISTRATION).await;
    assert_eq!(said, "% Changes made.\r\n");
    assert_eq!(simulator.counters().sessions_open, 0);
    assert_eq!(terminal.line("end", TOP).await, "");
}

fn with_console(change: impl FnOnce(&mut Variants)) -> Settings {
    let mut settings = Settings {
        variants: Variants::kind(),
        console: Some(([127, 0, 0, 1], 0).into()),
        ..Settings::new(Profile::V7_0)
    };
    change(&mut settings.variants);
    settings
}

async fn start(change: impl FnOnce(&mut Variants)) -> Simulator {
    Simulator::start(with_console(change)).await.unwrap()
}
