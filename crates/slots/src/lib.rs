//! Vacancy.
