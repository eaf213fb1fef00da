//! Whatever the calendar answers, reading it neither panics nor hangs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vacancy_calcom::fuzzing::slots_answer;

fuzz_target!(|bytes: &[u8]| slots_answer(bytes));
