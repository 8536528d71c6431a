//! `[daemon]` and `[renewal]`.

use jiff::SignedDuration;

use super::Resolver;
use crate::config::file_model::{self, default};
use crate::config::model::Daemon;
use crate::config::{database, values};
use crate::inventory::{RenewalPolicy, Urgent};

impl Resolver<'_> {
    /// `[daemon]`; every key has a default.
    pub fn daemon(&mut self, raw: &file_model::Daemon) -> Daemon {
        if let Some(folder) = self.path(raw.state_directory.as_ref()) {
            self.shared.state_directory = folder;
        }
        let in_state_directory = format!(
            "sqlite://{}/renewd.db",
            self.shared.state_directory.display()
        );
        self.shared.sealing_key = raw
            .sealing_key
            .as_ref()
            .and_then(|key| self.referred(&key.value, &key.range));
        let scan = self.schedule(raw.scan.as_ref(), default::SCAN);
        Daemon {
            database: self
                .parse_or(
                    raw.database.as_ref(),
                    &in_state_directory,
                    database::database,
                )
                .unwrap_or_default(),
            database_password: raw
                .database_password
                .as_ref()
                .and_then(|key| self.referred(&key.value, &key.range)),
            state_directory: self.shared.state_directory.clone(),
            sealing_key: self.shared.sealing_key.clone(),
            max_concurrent_renewals: raw
                .max_concurrent_renewals
                .as_ref()
                .map_or(default::MAX_CONCURRENT_RENEWALS, |raw| raw.value)
                .into(),
            scan: scan.map_or_else(String::new, |schedule| with_seconds(schedule.expression())),
            probe_interval: self.duration_or(
                raw.probe_interval.as_ref(),
                default::PROBE_INTERVAL,
                (
                    SignedDuration::from_mins(1),
                    SignedDuration::from_hours(7 * 24),
                ),
            ),
            keep_history: self
                .parse_or(
                    raw.keep_history.as_ref(),
                    default::KEEP_HISTORY,
                    values::keep_history,
                )
                .unwrap_or_default(),
            log: self
                .parse_or(raw.log.as_ref(), default::LOG, values::log_filter)
                .unwrap_or_default(),
        }
    }

    /// A policy, with `otherwise` for what is left out.
    pub fn policy(
        &mut self,
        raw: &file_model::Renewal,
        otherwise: &RenewalPolicy,
    ) -> RenewalPolicy {
        let share = raw.renew_after.as_ref();
        if let Some(late) = share.filter(|share| share.value > 0.9) {
            let hint = "two thirds, the default, leave time for two weeks of trouble in a lifetime of 47 days";
            self.warn(
                &late.range,
                "this leaves little time when a renewal fails",
                hint,
            );
        }
        let grace = raw.verify_timeout.as_ref();
        let bounds = (SignedDuration::from_secs(5), SignedDuration::from_hours(1));
        RenewalPolicy {
            renew_after: share
                .map(|share| thousandths(share.value))
                .or(otherwise.renew_after),
            verify_timeout: match grace {
                Some(_) => self.duration_or(grace, default::VERIFY_TIMEOUT, bounds),
                None => otherwise.verify_timeout,
            },
            urgent: raw
                .urgent
                .as_ref()
                .map_or(otherwise.urgent, |urgent| urgent.value.into()),
        }
    }
}

impl From<file_model::Urgent> for Urgent {
    fn from(raw: file_model::Urgent) -> Self {
        match raw {
            file_model::Urgent::Ask => Self::Ask,
            file_model::Urgent::Bind => Self::Bind,
            file_model::Urgent::Wait => Self::Wait,
        }
    }
}

/// The scheduler of the ticks wants the seconds, which an operator may leave out.
fn with_seconds(expression: &str) -> String {
    match expression.split_whitespace().count() {
        5 => format!("0 {expression}"),
        _ => expression.to_owned(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the schema keeps a share between 0.1 and 0.95"
)]
fn thousandths(share: f64) -> u16 {
    (share * 1000.0).round() as u16
}
