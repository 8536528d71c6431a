//! `renewd status`: every certificate in a line.

use clap::Args;
use jiff::Timestamp;

use super::CliError;
use super::open::{self, Globals};
use super::print;
use crate::clock::{Clock, SystemClock};
use crate::status::{self, Standing};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Print JSON (docs/json.md).
    #[arg(long)]
    json: bool,
    /// Only certificates with a problem.
    #[arg(long)]
    problems: bool,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let config = globals.config()?;
    let store = open::store_to_read(&config).await?;
    let now = SystemClock.now();
    let standings = status::overview(&store, &config, now).await;
    let silent_since = status::silent_since(&store, now).await;
    store.close().await;
    let (mut standings, silent_since) = (standings?, silent_since?);
    if let Some(since) = silent_since {
        print::complain(&format!(
            "the daemon has given no sign of life since {since:.0}: it was killed, it stalls, or it cannot store \
             anything; look at its log"
        ));
    }
    let is_bad =
        silent_since.is_some() || standings.iter().any(|standing| standing.health.is_bad());
    standings.retain(|standing| !arguments.problems || standing.health.is_bad());
    if arguments.json {
        print::json(&standings);
    } else {
        for row in rows(&standings, now) {
            print::say!("{row}");
        }
    }
    if is_bad {
        Err(CliError::Reported)
    } else {
        Ok(())
    }
}

/// The table. Names give way where a line would not fit; `--json` has them whole.
fn rows(standings: &[Standing], now: Timestamp) -> Vec<String> {
    let cells: Vec<[String; 6]> = standings.iter().map(|one| cells(one, now)).collect();
    let [certificate, firewall, others @ ..] = widths(&cells);
    let room = print::room_for_names(HEADER.len(), others.iter().sum());
    // The certificate's name says more than the firewall's.
    let firewall = firewall.min((room / 3).max(room.saturating_sub(certificate)));
    let certificate = room.saturating_sub(firewall);
    let mut table = print::table(&HEADER);
    for [name, of, others @ ..] in cells {
        let names = [
            print::shortened(&name, certificate),
            print::shortened(&of, firewall),
        ];
        table.add_row(names.into_iter().chain(others));
    }
    print::lines(&table)
}

/// How many characters each column takes.
fn widths(rows: &[[String; 6]]) -> [usize; 6] {
    let mut widths = HEADER.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths
}

fn cells(standing: &Standing, now: Timestamp) -> [String; 6] {
    let distance = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| print::distance(now, at));
    let next = match standing.next_at {
        Some(at) if at <= now => "now".to_owned(),
        at => distance(at),
    };
    [
        standing.certificate.clone(),
        standing.firewall.clone(),
        standing.health.name().to_owned(),
        standing.state.unwrap_or("-").to_owned(),
        distance(standing.not_after),
        next,
    ]
}

const HEADER: [&str; 6] = [
    "CERTIFICATE",
    "FIREWALL",
    "HEALTH",
    "STATE",
    "EXPIRES",
    "NEXT",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Health;

    fn standing(certificate: &str, firewall: &str) -> Standing {
        Standing {
            certificate: certificate.to_owned(),
            firewall: firewall.to_owned(),
            ca: "office".to_owned(),
            health: Health::Renewing,
            state: Some("csr_generated"),
            renewal: None,
            not_after: Some(Timestamp::UNIX_EPOCH),
            sha256: None,
            seen_at: None,
            next_at: Some(Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(90_000)),
            addresses: Vec::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn the_longest_names_that_can_be_configured_fit_80_characters() {
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(30_000);
        let longest = "n".repeat(63);
        for (certificate, firewall) in [
            (&*longest, &*longest),
            (&longest, "hq"),
            ("portal", &longest),
        ] {
            for row in rows(&[standing(certificate, firewall)], now) {
                assert!(
                    row.chars().count() <= 80,
                    "{} characters: {row}",
                    row.chars().count()
                );
            }
        }
    }

    #[test]
    fn names_that_fit_are_not_cut() {
        let now = Timestamp::UNIX_EPOCH;
        let rows = rows(&[standing("amsterdam-vpn", "amsterdam-1")], now);
        assert!(rows[1].contains("amsterdam-vpn  amsterdam-1"), "{rows:?}");
    }
}
