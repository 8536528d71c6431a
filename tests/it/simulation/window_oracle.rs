//! Maintenance windows, computed a second time from the calendar of each zone, without a cron expression.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A window that opens at the same time of the wall clock, on some days of the week.
#[derive(Debug, Clone)]
pub struct WindowOracle {
    pub expression: &'static str,
    days: &'static [Weekday],
    opens: (i8, i8),
    pub hours: i64,
    pub zone: &'static str,
    calendar: TimeZone,
}

impl WindowOracle {
    /// The kind of windows number `kind` in the zone number `zone`.
    pub fn new(kind: usize, zone: usize) -> Self {
        let (expression, days, opens, hours) = KINDS[kind % KINDS.len()];
        let zone = ZONES[zone % ZONES.len()];
        Self {
            expression,
            days,
            opens,
            hours,
            zone,
            calendar: TimeZone::get(zone).unwrap(),
        }
    }

    /// Whether one is open at `now`, or was until a moment ago: a bind takes a while.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let today = now.to_zoned(self.calendar.clone()).date();
        let openings = (-2..=1).filter_map(|days| self.opening_on(shifted(today, days)));
        let lasts = SignedDuration::from_hours(self.hours) + OVERTIME;
        openings
            .into_iter()
            .any(|(at, early)| at - early <= now && now < at + lasts)
    }

    /// When the next one opens, within some days.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned(self.calendar.clone()).date();
        let mut openings = (0..10).filter_map(|days| self.opening_on(shifted(today, days)));
        openings.find(|(at, _)| *at > now).map(|(at, _)| at)
    }

    /// The opening on that day, and how much earlier it may be because the clock skips an hour there.
    fn opening_on(&self, date: Date) -> Option<(Timestamp, SignedDuration)> {
        if !self.days.contains(&date.weekday()) {
            return None;
        }
        let (hour, minute) = self.opens;
        let opening = date
            .at(hour, minute, 0, 0)
            .to_zoned(self.calendar.clone())
            .ok()?;
        let is_moved = (opening.hour(), opening.minute()) != self.opens;
        let early = SignedDuration::from_mins(if is_moved { 60 } else { 0 });
        Some((opening.timestamp(), early))
    }
}

fn shifted(date: Date, days: i64) -> Date {
    date + SignedDuration::from_hours(24 * days)
}

type Kind = (&'static str, &'static [Weekday], (i8, i8), i64);

const EVERY_DAY: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];
const KINDS: [Kind; 4] = [
    (
        "0 2 * * SAT,SUN",
        &[Weekday::Saturday, Weekday::Sunday],
        (2, 0),
        3,
    ),
    ("30 2 * * *", &EVERY_DAY, (2, 30), 2),
    ("0 22 * * FRI", &[Weekday::Friday], (22, 0), 6),
    ("30 1 * * WED", &[Weekday::Wednesday], (1, 30), 1),
];
const ZONES: [&str; 6] = [
    "Europe/Amsterdam",
    "America/New_York",
    "Australia/Sydney",
    "Asia/Kolkata",
    "America/St_Johns",
    "UTC",
];
const OVERTIME: SignedDuration = SignedDuration::from_mins(15);
