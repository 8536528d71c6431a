//! The error envelope, dates and periods (TLS Protect Cloud reference 3, 4.3).

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, UtcOffset};

use super::variants::DateForm;
use crate::ca::{Office, Reply};

/// The result of a handler.
pub(super) type Handled = Result<Reply, Refusal>;

/// A request that is not done.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    status: u16,
    code: u32,
    message: String,
    args: Value,
}

impl Refusal {
    pub(super) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            args: json!([]),
        }
    }

    pub(super) fn with_args(mut self, args: Value) -> Self {
        self.args = args;
        self
    }

    /// 10051: application, template, request or certificate unknown.
    pub(super) fn not_found(status: u16, what: &str, id: &str) -> Self {
        let message = format!("Unable to find {what} for key {id}");
        Self::new(status, 10051, message).with_args(json!([id]))
    }

    /// guess: codes of malformed bodies are not public.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(400, 1001, message)
    }

    /// The same as `errorInformation` of a failed request (4.4).
    pub(super) fn information(&self) -> Value {
        json!({"type": "CA", "code": self.code, "message": self.message, "args": self.args})
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let error = json!({"code": refusal.code, "message": refusal.message, "args": refusal.args});
        // An unknown key is part of its message (2): the journal gets the code only.
        Self::json(refusal.status, &json!({"errors": [error]}))
            .noted(format!("error {}", refusal.code))
    }
}

/// A date as the service writes it (4.3): milliseconds, and one of three spellings of the zone.
pub(super) fn date(moment: OffsetDateTime, form: DateForm, office: &mut Office) -> String {
    let zone = match form {
        DateForm::Basic => "+0000",
        DateForm::Extended => "+00:00",
        DateForm::Zulu => "Z",
        DateForm::Mixed => match office.rng.next() % 3 {
            0 => "+0000",
            1 => "+00:00",
            _ => "Z",
        },
    };
    let moment = moment.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{zone}",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second(),
        moment.millisecond()
    )
}

/// An ISO 8601 period of days and hours, `P<d>D`, `PT<h>H` or both, or of years, `P<y>Y` (4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    days: i64,
    hours: i64,
}

impl Period {
    pub(super) fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('P')?;
        let (date, time) = rest.split_once('T').unwrap_or((rest, ""));
        let number = |text: &str, unit: char| match text {
            "" => Some(0),
            _ => text.strip_suffix(unit)?.parse::<u16>().ok().map(i64::from),
        };
        let days = match date.strip_suffix('Y') {
            Some(years) => i64::from(years.parse::<u8>().ok()?) * 365,
            None => number(date, 'D')?,
        };
        let hours = number(time, 'H')?;
        (days + hours > 0).then_some(Self { days, hours })
    }

    pub(super) fn is_hours_only(self) -> bool {
        self.days == 0
    }

    pub(super) fn length(self) -> Duration {
        Duration::days(self.days) + Duration::hours(self.hours)
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::Period;

    #[test]
    fn periods_are_read_in_all_documented_forms() {
        let length = |text| Period::read(text).map(Period::length);
        assert_eq!(length("P47D"), Some(Duration::days(47)));
        assert_eq!(length("P1DT12H"), Some(Duration::hours(36)));
        assert_eq!(length("P1Y"), Some(Duration::days(365)));
        assert_eq!(length("PT12H"), Some(Duration::hours(12)));
        for wrong in ["", "P", "47", "P0D", "PD", "P-1D", "PT", "P47"] {
            assert_eq!(length(wrong), None, "{wrong:?}");
        }
    }
}
