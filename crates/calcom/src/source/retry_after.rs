//! How long a 429 asks to wait.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderName,
    header::{DATE, RETRY_AFTER},
};

/// When it does not say: the limit counts by the minute.
const UNTOLD: Duration = Duration::from_secs(60);

/// Reads `Retry-After`, in seconds or as a date. A date is compared with the date of the answer, if
/// there is one, so that the clocks need not agree. At least one second: who asks at once is refused
/// again.
pub(crate) fn of(headers: &HeaderMap) -> Duration {
    let seconds = || text(headers, RETRY_AFTER)?.parse().ok();
    let asked = seconds().map(Duration::from_secs).or_else(|| {
        let until = date(headers, RETRY_AFTER)?;
        let now = date(headers, DATE).unwrap_or_else(SystemTime::now);
        Some(until.duration_since(now).unwrap_or_default())
    });
    asked.unwrap_or(UNTOLD).max(Duration::from_secs(1))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(retry_after: Option<&str>, date: Option<&str>) -> u64 {
        let mut headers = HeaderMap::new();
        for (name, value) in [(RETRY_AFTER, retry_after), (DATE, date)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        of(&headers).as_secs()
    }

    #[test]
    fn seconds_and_dates_are_read_and_anything_else_is_a_minute() {
        let date = Some("Wed, 15 Oct 2025 14:00:00 GMT");
        assert_eq!(wait(Some("17"), None), 17);
        assert_eq!(wait(Some(" 17 "), date), 17);
        assert_eq!(wait(Some("Wed, 15 Oct 2025 14:00:30 GMT"), date), 30);
        assert_eq!(wait(Some("Wednesday, 15-Oct-25 14:00:30 GMT"), date), 30);
        assert_eq!(wait(None, date), 60);
        for nonsense in ["", "soon", "-3", "1.5", "99999999999999999999999"] {
            assert_eq!(wait(Some(nonsense), date), 60, "{nonsense}");
        }
    }

    #[test]
    fn what_is_over_already_is_a_second() {
        let date = Some("Wed, 15 Oct 2025 14:00:00 GMT");
        assert_eq!(wait(Some("0"), None), 1);
        assert_eq!(wait(Some("Wed, 15 Oct 2025 13:00:00 GMT"), date), 1);
    }

    #[test]
    fn a_date_without_another_is_compared_with_this_clock() {
        assert_eq!(wait(Some("Wed, 15 Oct 2025 14:00:00 GMT"), None), 1);
        assert!(wait(Some("Fri, 15 Oct 2100 14:00:00 GMT"), None) > 3600);
    }
}
