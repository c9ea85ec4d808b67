//! A trigger with a filter: only what it wants becomes a delivery.

mod support;

use std::{fs, process::Command};

use support::Project;

const MANIFEST: &str = r#"
name = "orders"

[database.shop]
url = "sqlite:data/shop.db"

[function.ship]
access = { database.shop = "read" }

[[function.ship.on]]
database = "shop"
table = "orders"
events = ["insert", "update"]
[function.ship.on.filter]
data.after.status = ["paid"]

[function.all]
[[function.all.on]]
database = "shop"
table = "orders"
"#;

const NOTE: &str = r#"
exports.default = async (event) => `${event.data.key.id} ${event.data.after?.status}`;
"#;

fn sqlite(project: &Project, sql: &str) {
    let file = project.path().join("data/shop.db");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 20000"])
        .arg(file)
        .arg(sql)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn only_what_the_filter_wants_runs() {
    let project = Project::of(&[
        ("wakeful.toml", MANIFEST),
        ("functions/ship.js", NOTE),
        ("functions/all.js", NOTE),
    ]);
    sqlite(
        &project,
        "create table orders (id integer primary key, status text)",
    );
    let server = project.dev();
    server.until("the filtered trigger is listed as such", || {
        let listed = "table shop.orders: insert, update (filtered)";
        project.output().contains(listed).then_some(())
    });
    sqlite(
        &project,
        "insert into orders values (1, 'open'), (2, 'paid'), (3, null), (4, 'Paid');
         update orders set status = 'paid' where id = 1;
         update orders set status = 'sent' where id = 2;
         delete from orders where id = 2;
         insert into orders values (5, 'paid');",
    );
    // Seven changes and the last; the filter was asked about each when its event was stored.
    server.until("every change has run the function without a filter", || {
        (server.runs("all", "succeeded").len() == 8).then_some(())
    });
    let ran = server.until("three changes are wanted", || {
        let runs = server.runs("ship", "succeeded");
        (runs.len() >= 3).then_some(runs)
    });
    let mut results: Vec<String> = (ran.iter())
        .map(|run| {
            let shown = server.json(&["show", run["id"].as_str().unwrap()]);
            let data = &shown["event"]["data"];
            let text = |value: &serde_json::Value| value.to_string().replace('"', "");
            format!(
                "{} {}",
                text(&data["key"]["id"]),
                text(&data["after"]["status"])
            )
        })
        .collect();
    results.sort();
    assert_eq!(results, ["1 paid", "2 paid", "5 paid"]);
    let owed = server.json(&["runs", "--function", "ship"]);
    assert_eq!(owed["runs"].as_array().unwrap().len(), 3, "{owed}");

    // A stored event can be put to a filter as `show` prints it.
    let shown = server.json(&["show", ran[0]["id"].as_str().unwrap()]);
    let event = project.path().join("event.json");
    fs::write(&event, shown["event"].to_string()).unwrap();
    for (pattern, expected) in [
        ("data.after.status = [\"paid\"]", 0),
        ("data.after.status = [\"sent\"]", 1),
        ("type = [{ prefix = \"wakeful.database.\" }]", 0),
    ] {
        let output = server.cli(&["filter", pattern, event.to_str().unwrap()]);
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{pattern}: {output:?}"
        );
    }
}
