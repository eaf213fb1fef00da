//! The workspace that mutants are made in: one crate, what it needs, and one test binary.
//!
//! A mutant of a crate costs what depends on that crate. In the workspace that is every crate and some sixty
//! test binaries; here it is a package that stands in for the facade, and has the tests that matter as modules
//! of one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::subject::Subject;
use crate::tree::Files;
use crate::workspace::Workspace;
use crate::{command, tree};

/// Waits of tests that wait for ever with a mutant, shortened: where, what, and by what.
const SHORTENED: [(&str, &str, &str); 2] = [
    (
        "tests/support/mod.rs",
        "timeout(Duration::from_secs(60), what)",
        "timeout(Duration::from_secs(15), what)",
    ),
    (
        "tests/dispatch/mod.rs",
        "timeout(Duration::from_secs(20), what)",
        "timeout(Duration::from_secs(10), what)",
    ),
];

/// What the tests use, of which each subject takes what it needs.
const FOR_TESTS: &str = r#"
[dev-dependencies]
async-trait.workspace = true
chrono.workspace = true
chrono-tz.workspace = true
fastrand.workspace = true
metrics.workspace = true
metrics-util.workspace = true
proptest.workspace = true
serde.workspace = true
serde_json.workspace = true
thiserror.workspace = true
tokio = { workspace = true, features = ["io-util", "macros", "net", "process", "rt-multi-thread", "sync", "time", "test-util"] }
tracing.workspace = true
tracing-subscriber.workspace = true
"#;

const FOR_TESTS_OF_DISPATCH: &str = "\
opentelemetry.workspace = true
opentelemetry_sdk.workspace = true
tracing-opentelemetry.workspace = true
";

const FOR_TESTS_OF_CACHE: &str = "\
rustix = { workspace = true, features = [\"time\"] }
vacancy-testbed.workspace = true
";

/// Without debug information. Dependencies are not optimized: those that are share no generic code, which is
/// then compiled again for every mutant.
const PROFILE: &str = "
[profile.dev]
debug = false
";

/// How the tests run: until one fails twice, as one that a loaded machine fails notices nothing, and none for
/// ever. A mutant that only hangs is `TIMEOUT` in the log.
const NEXTEST: &str = r#"
[profile.default]
test-threads = 16
retries = 1
fail-fast = { max-fail = 1, terminate = "immediate" }
slow-timeout = { period = "15s", terminate-after = 3, grace-period = "0s" }
status-level = "fail"
final-status-level = "none"
failure-output = "never"
success-output = "never"
"#;

/// A copy of the workspace, reduced to a subject, and where it is built.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) subject: Subject,
    root: PathBuf,
    build: PathBuf,
    output: PathBuf,
}

impl Scratch {
    /// Assembles the copy of this name, or brings it up to date. A mutant that an interrupt has left there
    /// goes, and so does one that another run is making.
    pub(super) fn assemble(
        workspace: &Workspace,
        subject: Subject,
        name: &str,
    ) -> anyhow::Result<Self> {
        let place = workspace.target().join("mutants");
        let place = place.join(format!("{subject}-{name}"));
        let scratch = Self {
            subject,
            root: place.join("tree"),
            build: place.join("build"),
            output: place.join("output"),
        };
        tree::write(&files(workspace, subject)?, &scratch.root)?;
        Ok(scratch)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo-mutants leaves what it found last.
    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    /// A cargo that works on the copy.
    pub(super) fn cargo(&self, workspace: &Workspace) -> Command {
        let mut cargo = command::cargo(workspace);
        cargo
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.build)
            .env("CARGO_INCREMENTAL", "1")
            .env_remove("CARGO_PROFILE_DEV_DEBUG")
            .env_remove("CARGO_PROFILE_TEST_DEBUG")
            // As often as shows that it can be shut down.
            .env("VACANCY_SHUTDOWNS", "3");
        cargo
    }
}

fn files(workspace: &Workspace, subject: Subject) -> anyhow::Result<Files> {
    let mut files = tree::files(workspace)?;
    let manifest = text(&files, "Cargo.toml")?;
    let crates: Vec<_> = subject
        .crates()
        .iter()
        .map(|name| format!("crates/{name}/"))
        .collect();
    files.retain(|file, _| {
        let of_crate = crates.iter().any(|prefix| file.starts_with(prefix));
        of_crate || file.starts_with("tests/") || file == "Cargo.lock"
    });
    for (file, from, to) in SHORTENED {
        let long = text(&files, file)?;
        if !long.contains(from) {
            bail!("{file} has no `{from}` to shorten");
        }
        files.insert(file.to_owned(), long.replace(from, to).into_bytes());
    }
    for (file, content) in &mut files {
        if file.ends_with(".rs") {
            let skipping = String::from_utf8(std::mem::take(content))
                .with_context(|| format!("{file} is not UTF-8"))?;
            *content = skip_what_is_not_compiled(skipping, subject).into_bytes();
        }
    }
    let generated = [
        ("Cargo.toml", manifest_of(subject, &manifest)?),
        (".config/nextest.toml", nextest(subject)),
        ("src/lib.rs", subject.library().to_owned()),
        ("tests/all.rs", test_binary(subject)),
    ];
    for (file, content) in generated {
        files.insert(file.to_owned(), content.into_bytes());
    }
    Ok(files)
}

fn text(files: &Files, file: &str) -> anyhow::Result<String> {
    let content = files
        .get(file)
        .with_context(|| format!("there is no {file}"))?;
    String::from_utf8(content.clone()).with_context(|| format!("{file} is not UTF-8"))
}

/// On the line of the attribute, or lines would move.
fn skip_what_is_not_compiled(mut code: String, subject: Subject) -> String {
    for attribute in subject.not_compiled() {
        code = code.replace(attribute, &format!("{attribute} #[mutants::skip]"));
    }
    code
}

/// The tables of the workspace as they are but for its members and profiles, and the package of the tests.
fn manifest_of(subject: Subject, manifest: &str) -> anyhow::Result<String> {
    let tables = manifest
        .split_once("\n[package]\n")
        .context("the workspace has no package at its root")?
        .0;
    // A comment may stand before the profiles, and says nothing here.
    let tables = tables.split("\n[profile.").next().unwrap_or(tables);
    let mut kept = String::new();
    for line in tables.lines() {
        if line.starts_with("members = ") {
            kept.push_str("members = [\".\", \"crates/*\"]\n");
        } else if !line.starts_with("default-members = ") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let tests = match subject {
        Subject::Dispatch | Subject::DispatchAlone => FOR_TESTS_OF_DISPATCH,
        Subject::Cache | Subject::CacheAlone => FOR_TESTS_OF_CACHE,
    };
    let package = "\n[package]\n\
        name = \"vacancy\"\n\
        version.workspace = true\n\
        edition.workspace = true\n\
        autotests = false\n\
        \n[lib]\n\
        doctest = false\n\
        test = false\n\
        \n[[test]]\n\
        name = \"all\"\n";
    Ok([
        kept.as_str(),
        package,
        subject.manifest(),
        FOR_TESTS,
        tests,
        PROFILE,
    ]
    .concat())
}

/// With a profile that leaves out the tests that are slow.
fn nextest(subject: Subject) -> String {
    let slow: Vec<_> = subject
        .slow()
        .iter()
        .map(|name| format!("test({name})"))
        .collect();
    let slow = slow.join(" | ");
    format!(
        "{NEXTEST}\n[profile.quick]\ndefault-filter = '''not ({slow})'''\n\
         slow-timeout = {{ period = \"10s\", terminate-after = 2, grace-period = \"0s\" }}\n"
    )
}

/// One program in place of one for each file.
fn test_binary(subject: Subject) -> String {
    let module = |name: &&str| format!("#[path = \"{name}.rs\"]\nmod {name};\n");
    subject.tests().iter().map(module).collect()
}
