//! The scripts that run in Redis. Each looks first whether the partition still lives the life it had:
//! see `scripts/prelude.lua`.

use redis::Script;

pub(crate) struct Scripts {
    pub(crate) look: Script,
    pub(crate) raise: Script,
    pub(crate) pulse: Script,
    pub(crate) retire: Script,
    pub(crate) rebirth: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            look: script(include_str!("scripts/look.lua")),
            raise: script(include_str!("scripts/raise.lua")),
            pulse: script(include_str!("scripts/pulse.lua")),
            retire: script(include_str!("scripts/retire.lua")),
            rebirth: script(include_str!("scripts/rebirth.lua")),
        }
    }
}

fn script(body: &str) -> Script {
    Script::new(&[include_str!("scripts/prelude.lua"), body].concat())
}
