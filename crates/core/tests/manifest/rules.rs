//! Rules of deliveries: all of them, everywhere.

use serde_json::Value;
use wakeful_core::manifest;

use crate::{load, schema::faults};

/// What is pending hangs on a trigger's identity, so no rule about its deliveries changes it.
#[test]
fn rules_never_enter_the_identity_of_a_trigger() {
    let ids = |rules: &str, routes: &str| -> Vec<String> {
        let text = format!(
            "name = \"p\"\n[topic.\"t.*\"]\n[bucket.photos]\n[function.f]\n{routes}\n\
             [[function.f.on]]\ntopic = \"t.*\"\n{rules}\n\
             [[function.f.on]]\nbucket = \"photos\"\n{rules}\n\
             [[function.f.on]]\nsystem = \"dead_letter\"\nhandler = \"dead\"\n{rules}\n"
        );
        let loaded = load(&text).unwrap_or_else(|problems| panic!("{problems}"));
        loaded
            .project
            .triggers()
            .map(|it| it.id.to_string())
            .collect()
    };
    let plain = ids("", "routes = { \"PUT /a\" = \"put\" }");
    assert_eq!(
        plain,
        [
            "f/topic.t.*.default",
            "f/bucket.photos.default",
            "f/system.dead.dead",
            "f/http.PUT./a.put"
        ]
    );
    let rules = "ordering_key = \"data.a\"\nconcurrency_key = { key = \"data.b\", limit = 2 }\n\
                 rate = \"1/s\"\nbatch = { size = 2 }\npriority = \"1m\"\ndedup = \"id\"\n\
                 breaker = false\non_unknown = \"hold\"\non_success = { topic = \"t.x\" }\n\
                 on_failure = { function = \"f\" }\nretry = { max_attempts = 2 }";
    let route = "routes = { \"PUT /a\" = { handler = \"put\", async = true, dedup = \"id\" } }";
    assert_eq!(ids(rules, route), plain);
}

/// Every rule with values of every kind, wherever it can stand: it is read, and then the schema takes
/// it as well, or it is refused at a place inside of the text.
#[test]
fn whatever_stands_under_a_rule_is_read_or_refused_at_its_place() {
    const RULES: [&str; 16] = [
        "retry",
        "ordering_key",
        "concurrency_key",
        "rate",
        "debounce",
        "batch",
        "priority",
        "dedup",
        "breaker",
        "on_unknown",
        "on_success",
        "on_failure",
        "async",
        "idempotency",
        "filter",
        "topic",
    ];
    const VALUES: [&str; 34] = [
        "5",
        "-1",
        "1.5",
        "true",
        "false",
        "\"\"",
        "\"data.id\"",
        "\"10/s\"",
        "\"5s\"",
        "\"hold\"",
        "\"ä\\u0000\"",
        "2026-01-01",
        "[]",
        "[\"subject\", \"data.id\"]",
        "[5]",
        "{}",
        "{ key = \"subject\" }",
        "{ key = \"subject\", limit = 2 }",
        "{ key = [\"a\", \"a\"], limit = 0 }",
        "{ limit = 5, per = \"1s\" }",
        "{ limit = 5, per = \"1s\", burst = 9 }",
        "{ wait = \"1s\" }",
        "{ wait = \"1s\", most = \"1ms\" }",
        "{ size = 5 }",
        "{ size = 5, window = \"1h\" }",
        "{ key = \"subject\", window = \"1h\" }",
        "{ failures = 1 }",
        "{ retry_most = \"1s\" }",
        "{ topic = \"news\" }",
        "{ function = \"f\", handler = \"x\" }",
        "{ http = \"https://a\" }",
        "{ max_attempts = 2, on.timeout = { max_attempts = 1 } }",
        "{ subject = [\"x\"] }",
        "\"news\"",
    ];
    let schema = manifest::schema();
    let (mut read, mut refused) = (0, 0);
    let sites: [fn(&str, &str) -> String; 5] = [
        |rule, value| format!("{rule} = {value}\n"),
        |rule, value| format!("[[function.f.on]]\ntopic = \"news\"\n{rule} = {value}\n"),
        |rule, value| format!("[[function.f.on]]\nhttp = \"PUT /a\"\n{rule} = {value}\n"),
        |rule, value| {
            format!("[[function.f.on]]\nhttp = \"PUT /a\"\nasync = true\n{rule} = {value}\n")
        },
        |rule, value| format!("routes = {{ \"PUT /a\" = {{ {rule} = {value} }} }}\n"),
    ];
    for ((rule, value), site) in (RULES.iter())
        .flat_map(|rule| VALUES.map(|value| (*rule, value)))
        .flat_map(|pair| sites.map(|site| (pair, site)))
    {
        let text = format!(
            "name = \"p\"\n[topic.news]\n[function.f]\n{}",
            site(rule, value)
        );
        let Ok(parsed) = toml::from_str::<Value>(&text) else {
            // A key that the site has already stands there twice.
            assert!(
                load(&text).unwrap_err().to_string().contains("second time"),
                "{text}"
            );
            continue;
        };
        match load(&text) {
            Ok(_) => {
                read += 1;
                let faults = faults(&schema, &parsed);
                assert!(faults.is_empty(), "{text}\n{faults:#?}");
            }
            Err(problems) => {
                refused += 1;
                for problem in problems.iter() {
                    let at = problem
                        .at
                        .clone()
                        .unwrap_or_else(|| panic!("{text}{problem:?}"));
                    assert!(
                        text.get(at).is_some_and(|it| !it.is_empty()),
                        "{text}{problem:?}"
                    );
                    assert!(problem.help.is_some(), "{text}{problem:?}");
                }
            }
        }
    }
    assert!(read > 100 && refused > 1000, "{read} {refused}");
}
