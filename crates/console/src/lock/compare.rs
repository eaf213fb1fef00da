//! What changed between a lock and another.

use std::collections::BTreeMap;

use super::{
    change::{Change, EventChange, FieldChange, ListenerChange},
    file::{Locked, LockedEvent, LockedListener},
};

/// All changes from `was` to `is`, event by event.
pub(crate) fn changes(was: &Locked, is: &Locked) -> Vec<Change> {
    let mut changes = Vec::new();
    for (event, was) in &was.events {
        let mut note = |change| changes.push(change);
        match is.events.get(event) {
            Some(is) => in_event(event, was, is, &mut note),
            None => note(of_event(event, EventChange::Disappeared)),
        }
    }
    let appeared = is.events.keys();
    let appeared = appeared.filter(|event| !was.events.contains_key(*event));
    changes.extend(appeared.map(|event| of_event(event, EventChange::Appeared)));
    changes
}

fn of_event(event: &str, change: EventChange) -> Change {
    Change::Event {
        event: event.to_owned(),
        change,
    }
}

fn in_event(event: &str, was: &LockedEvent, is: &LockedEvent, note: &mut impl FnMut(Change)) {
    let versions = (was.version, is.version);
    let (was_version, is_version) = versions;
    if is_version < was_version {
        note(of_event(
            event,
            EventChange::VersionLowered {
                was: was_version,
                is: is_version,
            },
        ));
    }
    if is_version > was_version {
        note(of_event(
            event,
            EventChange::VersionRaised {
                was: was_version,
                is: is_version,
            },
        ));
    }
    match (&was.fields, &is.fields) {
        (Some(was), Some(is)) => {
            let mut broken = false;
            in_fields(was, is, &mut |field, change| {
                broken |= change != FieldChange::Appeared;
                note(Change::Field {
                    event: event.to_owned(),
                    field: field.to_owned(),
                    change,
                });
            });
            if broken && is_version == was_version {
                let version = is_version;
                note(of_event(event, EventChange::VersionNotRaised { version }));
            }
        }
        (Some(_), None) => note(of_event(event, EventChange::SampleDisappeared)),
        (None, Some(_)) => note(of_event(event, EventChange::SampleAppeared)),
        (None, None) => {}
    }
    in_listeners(&was.listeners, &is.listeners, &mut |listener, change| {
        note(Change::Listener {
            event: event.to_owned(),
            listener: listener.to_owned(),
            change,
        });
    });
}

type Fields = BTreeMap<String, String>;

fn in_fields(was: &Fields, is: &Fields, note: &mut impl FnMut(&str, FieldChange)) {
    for (field, was_types) in was {
        match is.get(field) {
            None if outermost(field, was, is) => note(field, FieldChange::Disappeared),
            Some(types) if types != was_types => note(
                field,
                FieldChange::Types {
                    was: was_types.clone(),
                    is: types.clone(),
                },
            ),
            None | Some(_) => {}
        }
    }
    for field in is.keys() {
        if !was.contains_key(field) && outermost(field, is, was) {
            note(field, FieldChange::Appeared);
        }
    }
}

/// Whether no field around this one is missing as well.
fn outermost(field: &str, from: &Fields, others: &Fields) -> bool {
    let around = |outer: &&String| {
        let inside = field.strip_prefix(outer.as_str());
        inside.is_some_and(|inside| inside.starts_with(['.', '[']))
    };
    from.keys()
        .filter(around)
        .all(|outer| others.contains_key(outer))
}

type Listeners = BTreeMap<String, LockedListener>;

fn in_listeners(was: &Listeners, is: &Listeners, note: &mut impl FnMut(&str, ListenerChange)) {
    for (name, was) in was {
        match is.get(name) {
            None => note(name, ListenerChange::Disappeared),
            Some(is) => in_listener(was, is, &mut |change| note(name, change)),
        }
    }
    for name in is.keys().filter(|name| !was.contains_key(*name)) {
        note(name, ListenerChange::Appeared);
    }
}

fn in_listener(was: &LockedListener, is: &LockedListener, note: &mut impl FnMut(ListenerChange)) {
    match (was.enabled, is.enabled) {
        (true, false) => note(ListenerChange::Disabled),
        (false, true) => note(ListenerChange::Enabled),
        _ => {}
    }
    match (was.required, is.required) {
        (true, false) => note(ListenerChange::NotRequired),
        (false, true) => note(ListenerChange::Required),
        _ => {}
    }
    if was.kind != is.kind {
        // The settings that come or go with the lane say nothing more.
        return note(ListenerChange::Kind {
            was: was.kind.clone(),
            is: is.kind.clone(),
        });
    }
    let added = is.policy.keys();
    let added = added.filter(|setting| !was.policy.contains_key(*setting));
    for setting in was.policy.keys().chain(added) {
        let [was, is] = [was, is].map(|listener| listener.policy.get(setting));
        if was != is {
            note(ListenerChange::Policy {
                setting: setting.clone(),
                was: was.map(ToString::to_string),
                is: is.map(ToString::to_string),
            });
        }
    }
}
