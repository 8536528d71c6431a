//! Operators' cron expressions and maintenance windows, in their own time zone.
//!
//! Pure: `now` is an argument. It may not wait, and it knows nothing of what happens inside a window.

use std::sync::Arc;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A recurring span in which certificates may be bound.
///
/// The start is a cron expression on the operator's wall clock; the length is counted in absolute time from there, so
/// that a window of three hours is three hours long in the night in which the clocks change, too. A start that falls
/// into the hour that a clock skips is moved to the first moment after it; one that a clock repeats counts once.
#[derive(Debug, Clone)]
pub struct MaintenanceWindow {
    start: Schedule,
    duration: SignedDuration,
    time_zone: TimeZone,
}

/// A window's place in time: from `start` until just before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

/// A cron expression that was read and does occur; cheap to clone.
///
/// Five fields (minute, hour, day, month, weekday), or six with the seconds first.
#[derive(Debug, Clone)]
pub struct Schedule {
    // croner keeps some six kilobytes for each: a fleet shares them.
    cron: Arc<Cron>,
    expression: Arc<str>,
}

impl MaintenanceWindow {
    /// A window that opens at `expression` on the wall clock of `time_zone` (an IANA name) and stays open for `duration`.
    ///
    /// # Errors
    /// Words for the operator about the part that is wrong.
    pub fn new(
        expression: &str,
        duration: SignedDuration,
        time_zone: &str,
    ) -> Result<Self, String> {
        let start = Schedule::new(expression)?;
        Self::from_parts(start, duration, find_time_zone(time_zone)?)
    }

    /// The same from parts that were read before, so that many windows can share them.
    ///
    /// # Errors
    /// When `duration` is shorter than [`SHORTEST`] or longer than [`LONGEST`].
    pub fn from_parts(
        start: Schedule,
        duration: SignedDuration,
        time_zone: TimeZone,
    ) -> Result<Self, String> {
        if duration < SHORTEST || duration > LONGEST {
            return Err(format!(
                "a maintenance window lasts between {SHORTEST:#} and {LONGEST:#}, not {duration:#}"
            ));
        }
        Ok(Self {
            start,
            duration,
            time_zone,
        })
    }

    /// The window that is open at `now`; where two overlap, the one that opened last.
    pub fn current(&self, now: Timestamp) -> Option<Span> {
        let start = self.start.last_until(now, &self.time_zone)?;
        let span = self.span(start)?;
        (now < span.end).then_some(span)
    }

    /// The window that is open at `now`, else the next one. `None` only at the end of representable time.
    pub fn next(&self, now: Timestamp) -> Option<Span> {
        self.current(now)
            .or_else(|| self.span(self.start.next_after(now, &self.time_zone)?))
    }

    /// Whether a window is open now or opens before `deadline`.
    pub fn opens_before(&self, deadline: Timestamp, now: Timestamp) -> bool {
        self.next(now).is_some_and(|span| span.start < deadline)
    }

    /// The start, as it was written.
    pub fn expression(&self) -> &str {
        self.start.expression()
    }

    /// How long it stays open.
    pub fn duration(&self) -> SignedDuration {
        self.duration
    }

    /// On whose wall clock it starts.
    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    fn span(&self, start: Timestamp) -> Option<Span> {
        let end = start.checked_add(self.duration).ok()?;
        Some(Span { start, end })
    }
}

impl Schedule {
    /// Reads `expression`.
    ///
    /// # Errors
    /// Words for the operator: not a cron expression, or one that never occurs, such as 31 February.
    pub fn new(expression: &str) -> Result<Self, String> {
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build()
            .parse(expression)
            .map_err(|error| words_of(&error))?;
        let schedule = Self {
            cron: Arc::new(cron),
            expression: Arc::from(expression),
        };
        // Without a field for the year, what does not occur in the decades after any day never occurs.
        match schedule.next_after(Timestamp::UNIX_EPOCH, &TimeZone::UTC) {
            Some(_) => Ok(schedule),
            None => Err("this never occurs: no such day is in any calendar".to_owned()),
        }
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The first occurrence after `now` on the wall clock of `time_zone`.
    pub fn next_after(&self, now: Timestamp, time_zone: &TimeZone) -> Option<Timestamp> {
        let now = now.to_zoned(time_zone.clone());
        let next = self.cron.find_next_occurrence(&now, false).ok()?;
        Some(next.timestamp())
    }

    /// The last occurrence at or before `now` on the wall clock of `time_zone`.
    fn last_until(&self, now: Timestamp, time_zone: &TimeZone) -> Option<Timestamp> {
        let now = now.to_zoned(time_zone.clone());
        let last = self.cron.find_previous_occurrence(&now, true).ok()?;
        Some(last.timestamp())
    }
}

/// The time zone of this IANA name.
///
/// # Errors
/// Words for the operator, with the nearest name that is known.
pub fn find_time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| match nearest_time_zone(name) {
        Some(nearest) => format!("there is no time zone `{name}`: did you mean `{nearest}`?"),
        None => format!(
            "there is no time zone `{name}`: use an IANA name such as `Europe/Amsterdam` (the system's tzdata is read)"
        ),
    })
}

fn nearest_time_zone(name: &str) -> Option<String> {
    let wanted = name.to_lowercase();
    jiff::tz::db()
        .available()
        .map(|known| {
            let known = known.to_string();
            (strsim::jaro_winkler(&wanted, &known.to_lowercase()), known)
        })
        .filter(|(likeness, _)| *likeness > 0.9)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// croner's errors name its own types; an operator wrote a cron expression.
fn words_of(error: &croner::errors::CronError) -> String {
    use croner::errors::CronError;
    match error {
        CronError::EmptyPattern => "a cron expression is missing".to_owned(),
        CronError::InvalidPattern(words) if words.contains("field") => {
            "a cron expression has five fields: minute, hour, day of month, month, day of week"
                .to_owned()
        }
        CronError::InvalidPattern(words)
        | CronError::IllegalCharacters(words)
        | CronError::ComponentError(words) => {
            let words = words.trim_end_matches('.').replace("CronPattern ", "it ");
            format!("not a cron expression: {words}")
        }
        other => format!("not a cron expression: {other}"),
    }
}

/// The shortest window: a bind, its commit and its proof must fit.
pub const SHORTEST: SignedDuration = SignedDuration::from_mins(5);

/// The longest window.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn span(start: &str, end: &str) -> Span {
        let (start, end) = (at(start), at(end));
        Span { start, end }
    }

    fn window(expression: &str, hours: i64, zone: &str) -> MaintenanceWindow {
        MaintenanceWindow::new(expression, SignedDuration::from_hours(hours), zone).unwrap()
    }

    #[test]
    fn the_first_moment_is_inside_and_the_last_is_not() {
        let window = window("0 2 * * *", 3, "UTC");
        let night = span("2026-05-01T02:00:00Z", "2026-05-01T05:00:00Z");
        assert_eq!(window.current(at("2026-05-01T01:59:59.999999Z")), None);
        assert_eq!(window.current(at("2026-05-01T02:00:00Z")), Some(night));
        assert_eq!(window.current(at("2026-05-01T02:00:00.5Z")), Some(night));
        assert_eq!(
            window.current(at("2026-05-01T04:59:59.999999Z")),
            Some(night)
        );
        assert_eq!(window.current(at("2026-05-01T05:00:00Z")), None);
    }

    #[test]
    fn next_is_the_open_window_and_else_the_following_one() {
        let window = window("0 2 * * SAT,SUN", 3, "UTC");
        let saturday = span("2026-05-02T02:00:00Z", "2026-05-02T05:00:00Z");
        assert_eq!(window.next(at("2026-04-30T12:00:00Z")), Some(saturday));
        assert_eq!(window.next(at("2026-05-02T03:00:00Z")), Some(saturday));
        let sunday = span("2026-05-03T02:00:00Z", "2026-05-03T05:00:00Z");
        assert_eq!(window.next(at("2026-05-02T05:00:00Z")), Some(sunday));
    }

    #[test]
    fn a_window_over_midnight_is_found_after_midnight() {
        let window = window("0 22 * * FRI", 6, "UTC");
        let night = span("2026-05-01T22:00:00Z", "2026-05-02T04:00:00Z");
        assert_eq!(window.current(at("2026-05-02T03:59:00Z")), Some(night));
    }

    #[test]
    fn of_overlapping_windows_the_last_one_counts() {
        let window = window("0 * * * *", 3, "UTC");
        let latest = span("2026-05-01T04:00:00Z", "2026-05-01T07:00:00Z");
        assert_eq!(window.current(at("2026-05-01T04:30:00Z")), Some(latest));
    }

    #[test]
    fn whether_one_opens_before_a_deadline_is_known() {
        let window = window("0 2 * * SAT", 3, "UTC");
        let thursday = at("2026-04-30T12:00:00Z");
        assert!(!window.opens_before(at("2026-05-02T02:00:00Z"), thursday));
        assert!(window.opens_before(at("2026-05-02T02:00:01Z"), thursday));
        assert!(window.opens_before(at("2026-05-02T03:01:00Z"), at("2026-05-02T03:00:00Z")));
    }

    #[test]
    fn the_operators_zone_counts_in_summer_and_in_winter() {
        let window = window("0 2 * * *", 1, "Europe/Amsterdam");
        let summer = span("2026-07-01T00:00:00Z", "2026-07-01T01:00:00Z");
        assert_eq!(window.next(at("2026-06-30T12:00:00Z")), Some(summer));
        let winter = span("2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z");
        assert_eq!(window.next(at("2025-12-31T12:00:00Z")), Some(winter));
    }

    #[test]
    fn a_start_in_the_skipped_hour_moves_to_the_first_moment_after_it() {
        // 2026-03-29, Amsterdam: 02:00 becomes 03:00 (01:00 UTC).
        let window = window("30 2 * * *", 3, "Europe/Amsterdam");
        let moved = span("2026-03-29T01:00:00Z", "2026-03-29T04:00:00Z");
        assert_eq!(window.next(at("2026-03-29T00:30:00Z")), Some(moved));
        assert_eq!(window.current(at("2026-03-29T01:00:00Z")), Some(moved));
        assert_eq!(window.current(at("2026-03-29T03:59:59Z")), Some(moved));
        let following = span("2026-03-30T00:30:00Z", "2026-03-30T03:30:00Z");
        assert_eq!(window.next(at("2026-03-29T04:00:00Z")), Some(following));
    }

    #[test]
    fn a_start_in_the_repeated_hour_counts_once_and_lasts_its_full_length() {
        // 2026-10-25, Amsterdam: 03:00 becomes 02:00 (01:00 UTC); 02:30 is at 00:30 and at 01:30 UTC.
        let window = window("30 2 * * *", 3, "Europe/Amsterdam");
        let first = span("2026-10-25T00:30:00Z", "2026-10-25T03:30:00Z");
        assert_eq!(window.next(at("2026-10-24T12:00:00Z")), Some(first));
        assert_eq!(window.current(at("2026-10-25T01:45:00Z")), Some(first));
        let following = span("2026-10-26T01:30:00Z", "2026-10-26T04:30:00Z");
        assert_eq!(window.next(at("2026-10-25T03:30:00Z")), Some(following));
    }

    #[test]
    fn a_window_around_the_change_is_as_long_as_written() {
        let window = window("0 1 * * *", 4, "Europe/Amsterdam");
        let spring = span("2026-03-29T00:00:00Z", "2026-03-29T04:00:00Z");
        assert_eq!(window.next(at("2026-03-28T12:00:00Z")), Some(spring));
        let autumn = span("2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z");
        assert_eq!(window.next(at("2026-10-24T12:00:00Z")), Some(autumn));
    }

    #[test]
    fn the_southern_hemisphere_changes_the_other_way() {
        // 2026-10-04, Sydney: 02:00 becomes 03:00 (16:00 UTC of the 3rd). 2026-04-05: 03:00 becomes 02:00.
        let window = window("30 2 * * *", 2, "Australia/Sydney");
        let gap = span("2026-10-03T16:00:00Z", "2026-10-03T18:00:00Z");
        assert_eq!(window.next(at("2026-10-03T14:00:00Z")), Some(gap));
        let overlap = span("2026-04-04T15:30:00Z", "2026-04-04T17:30:00Z");
        assert_eq!(window.next(at("2026-04-04T12:00:00Z")), Some(overlap));
        assert_eq!(window.current(at("2026-04-04T17:00:00Z")), Some(overlap));
    }

    #[test]
    fn walking_from_window_to_window_never_goes_back_and_misses_no_day() {
        for zone in [
            "Europe/Amsterdam",
            "Australia/Lord_Howe",
            "America/St_Johns",
            "UTC",
        ] {
            let window = window("30 2 * * *", 1, zone);
            let mut now = at("2026-01-01T12:00:00Z");
            for day in 0..800 {
                let next = window.next(now).unwrap();
                let waited = next.start.duration_since(now);
                assert!(waited >= SignedDuration::ZERO, "{zone}, day {day}");
                assert!(
                    waited <= SignedDuration::from_hours(25),
                    "{zone}, day {day}"
                );
                assert_eq!(window.current(next.start), Some(next), "{zone}, day {day}");
                now = next.end;
            }
            assert_eq!(
                now.duration_since(at("2026-01-01T12:00:00Z")).as_hours() / 24,
                799
            );
        }
    }

    #[test]
    fn an_expression_that_never_occurs_is_refused() {
        let words = Schedule::new("0 3 31 2 *").unwrap_err();
        assert!(words.contains("never occurs"), "{words}");
        assert!(Schedule::new("0 3 29 2 *").is_ok(), "leap days do occur");
    }

    #[test]
    fn what_is_no_cron_expression_is_refused_in_plain_words() {
        for (expression, expected) in [
            ("", "missing"),
            ("daily at two", "five fields"),
            ("0 2 * *", "five fields"),
            ("0 0 2 * * * 2030", "five fields"),
            ("0 25 * * *", "not a cron expression"),
            ("61 2 * * *", "not a cron expression"),
            ("0 2 * * FUNDAY", "not a cron expression"),
        ] {
            let words = Schedule::new(expression).unwrap_err();
            assert!(words.contains(expected), "{expression}: {words}");
            assert!(!words.contains("Pattern"), "{expression}: {words}");
        }
    }

    #[test]
    fn seconds_are_allowed_and_come_first() {
        let schedule = Schedule::new("0 * * * * *").unwrap();
        let next = schedule.next_after(at("2026-05-01T00:00:00.5Z"), &TimeZone::UTC);
        assert_eq!(next, Some(at("2026-05-01T00:01:00Z")));
    }

    #[test]
    fn a_length_out_of_bounds_is_refused() {
        for duration in [
            SignedDuration::from_mins(4),
            SignedDuration::from_hours(169),
        ] {
            let words = MaintenanceWindow::new("0 2 * * *", duration, "UTC").unwrap_err();
            assert!(words.contains("between 5m and 168h"), "{words}");
        }
    }

    #[test]
    fn a_misspelt_time_zone_is_refused_with_the_nearest_name() {
        let words = find_time_zone("Europe/Amsterdm").unwrap_err();
        assert!(
            words.contains("did you mean `Europe/Amsterdam`?"),
            "{words}"
        );
        assert!(find_time_zone("Mars/Olympus").unwrap_err().contains("IANA"));
    }
}
