//! The yardstick measures: a short race of three nodes through one kind of fault.

use std::process::Command;

#[test]
fn a_short_race_of_nodes_keeps_its_promises_and_sees_who_makes_none() {
    let race = Command::new(env!("CARGO_BIN_EXE_vacancy-freshness"))
        .args(["--faults", "black-hole", "--columns", "naive,strict,held"])
        .args(["--reads", "4000", "--injections", "2"])
        .output()
        .expect("the race could be started");
    let (output, errors) = (
        String::from_utf8_lossy(&race.stdout),
        String::from_utf8_lossy(&race.stderr),
    );
    assert!(race.status.success(), "{output}\n{errors}");
    assert!(
        output.contains("black hole, Strict + hold: 0 stale"),
        "{output}"
    );
}
