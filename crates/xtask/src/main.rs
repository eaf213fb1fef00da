//! Set-up, test and CI commands.

fn main() {}
