//! [`Question`]: what to ask the caller when an argument cannot be used.

/// An argument that cannot be used, and why. Nothing is assumed in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The argument's name.
    pub argument: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It is not there, and the function cannot do without.
    Missing,
    /// It is not what the argument is about, or not a date, time, number or id at all.
    Unreadable,
    /// The clocks skip this time on this day.
    NoSuchTime,
    /// The clocks show this time twice on this day. With an offset it is clear which one is meant.
    TwoSuchTimes,
    /// It has passed.
    Past,
    /// It is more than [`MAX_DAYS_AHEAD`](crate::MAX_DAYS_AHEAD) away.
    TooFarAhead,
    /// Another argument says something else.
    Contradicted,
}

impl Problem {
    /// Its name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::NoSuchTime => "no_such_time",
            Self::TwoSuchTimes => "two_such_times",
            Self::Past => "past",
            Self::TooFarAhead => "too_far_ahead",
            Self::Contradicted => "contradicted",
        }
    }

    const fn preface(self) -> &'static str {
        match self {
            Self::Missing => "",
            Self::Unreadable => "Sorry, I did not get that. ",
            Self::NoSuchTime => "The clocks change that night and skip that time. ",
            Self::TwoSuchTimes => {
                "The clocks change that night and show that time twice; I need to know which one. "
            }
            Self::Past => "That has passed already. ",
            Self::TooFarAhead => "That is too far ahead. ",
            Self::Contradicted => "I have two different times. ",
        }
    }
}

impl Question {
    pub(crate) const fn new(argument: &'static str, problem: Problem) -> Self {
        Self { argument, problem }
    }

    /// What the agent can say.
    #[must_use]
    pub fn say(&self) -> String {
        let question = match self.argument {
            "date" => "Which day should it be?",
            "time" => "At what time?",
            "start" => "Which day and time should it be?",
            "days" => "How many days should I look at?",
            "timezone" => "In which time zone is that?",
            "event_type" => "What is it that you would like to book?",
            "resource" => "With whom should it be?",
            "branch" => "At which place should it be?",
            "duration_minutes" => "How many minutes should it take?",
            "appointment_id" => "Which appointment is it about?",
            "name" => "What is your name?",
            "phone" => "What is your phone number?",
            "email" => "What is your email address?",
            _ => "Could you say that again?",
        };
        format!("{}{question}", self.problem.preface())
    }
}
