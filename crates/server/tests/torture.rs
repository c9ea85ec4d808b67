//! `scripts/torture` in its short form: the real binary ended with kill -9 thirty times under load.

mod support;

use std::process::Command;

use support::{WAKEFUL, root};

#[test]
fn thirty_kills_break_no_promise() {
    let output = Command::new("node")
        .arg(root().join("scripts/torture"))
        .args(["--binary", WAKEFUL, "--kills", "30", "--clients", "8"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{complaints}");
    assert!(told.contains("all held"), "{told}");
}
