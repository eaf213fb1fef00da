//! A booking application on Vacancy.

fn main() {}
