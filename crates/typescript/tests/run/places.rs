//! Where things happen: stacks and mistakes name lines as they were written.

use super::{Copy, prints};

/// The first lines of what is printed, without what Node adds.
fn head(copy: &Copy, entry: &str, lines: usize) -> String {
    let printed = copy.run(entry);
    printed.lines().take(lines).collect::<Vec<_>>().join("\n")
}

#[test]
fn stacks_name_lines_as_written() {
    let text = "interface Long {\n  a: string;\n  b: number;\n}\n\nenum E {\n  A,\n}\n\nexport function fail(x: Long | E): never {\n  throw new Error('at line 11');\n}\n";
    for package in ["{}", r#"{ "type": "module" }"#] {
        let copy = Copy::of(&[
            (
                "main.ts",
                "type T = 1;\n\nimport { fail } from './lib/fail';\n\nfail(0);\n",
            ),
            ("lib/fail.ts", text),
            ("package.json", package),
        ]);
        let head = head(&copy, "main.ts", 3);
        assert!(head.starts_with("Error: at line 11\n    at fail"), "{head}");
        assert!(head.contains("/lib/fail.ts:11:9"), "{head}");
        assert!(head.contains("/main.ts:5:"), "{head}");
    }
}

#[test]
fn strange_names_have_places_too() {
    let copy = Copy::of(&[("a b#c%20.ts", "type A = 1;\nthrow new Error('here');")]);
    let head = head(&copy, "a b#c%20.ts", 2);
    assert!(head.contains("/a b#c%20.ts:2:7"), "{head}");
}

#[test]
fn a_syntax_error_is_said_as_node_says_it() {
    for (name, package) in [
        ("a.ts", "{}"),
        ("a.mts", "{}"),
        ("a.ts", r#"{ "type": "module" }"#),
    ] {
        let import = format!("import {{ a }} from './{name}'; console.log(a);");
        for main in ["main.ts", "main.mts"] {
            let copy = Copy::of(&[
                (main, &import),
                (name, "export const a = 1;\n\tlet b: = 2;\n"),
                ("package.json", package),
            ]);
            let wanted = format!("/{name}:2\n\tlet b: = 2;\n\t       ^\n\nSyntaxError: ");
            let printed = copy.run(main);
            assert!(printed.starts_with(&wanted), "{printed}");
        }
    }
}

#[test]
fn mistakes_are_found_at_their_places() {
    for (text, place) in [
        ("let a = 1;\nlet b = ;\n", "2"),
        ("class A { constructor( }", "1"),
        ("const 'x' = 1", "1"),
        ("function f() {\n  return {\n", "2"),
        ("enum A { B = }", "1"),
        ("const s = 'open\n", "1"),
        ("@ class A {}", "1"),
        ("await = 1; export {}", "1"),
        ("type A = {\n  b: string\n  c d\n}", "3"),
    ] {
        let copy = Copy::of(&[("main.ts", text)]);
        let printed = copy.run("main.ts");
        let line = printed.lines().next().unwrap_or_default();
        assert_eq!(line, format!("/main.ts:{place}"), "{text}: {printed}");
        assert!(printed.contains("SyntaxError: "), "{printed}");
    }
}

#[test]
fn mistakes_that_only_the_engine_finds_have_places_too() {
    for (text, place) in [
        ("let a = 1;\nlet a = 2;", "/a.ts:6\nlet a = 2;\n    ^"),
        (
            "class A { m() { this.#x; } }",
            "/a.ts:5\nclass A { m() { this.#x; } }\n",
        ),
        ("const r = /(/;", "/a.ts:5\nconst r = /(/;\n          ^"),
    ] {
        let text = format!("interface Long {{\n  a: string;\n}}\nexport {{}};\n{text}\n");
        for package in ["{}", r#"{ "type": "module" }"#] {
            let main = "import * as all from './a'; console.log(all);";
            let copy = Copy::of(&[
                ("main.ts", main),
                ("a.ts", &text),
                ("package.json", package),
            ]);
            let printed = copy.run("main.ts");
            assert!(
                printed.starts_with(place),
                "{place} in {package}: {printed}"
            );
        }
    }
}

#[test]
fn a_mistake_in_a_file_that_nobody_imports_disturbs_nobody() {
    prints(
        &[
            ("main.ts", "console.log('fine');"),
            ("other.ts", "this is no code"),
        ],
        "fine",
    );
}

#[test]
fn a_mistake_in_a_configuration_names_it() {
    let copy = Copy::of(&[
        ("main.ts", "console.log('not reached');"),
        (
            "tsconfig.json",
            "{\n  \"compilerOptions\": {\n    \"paths\": ;\n  }\n}",
        ),
    ]);
    let printed = copy.run("main.ts");
    assert!(
        printed.starts_with("/tsconfig.json:3\n    \"paths\": ;"),
        "{printed}"
    );
}

#[test]
fn what_is_nested_deeply_is_compiled_or_refused() {
    let deep = format!("console.log({}1{});", "(".repeat(3000), ")".repeat(3000));
    prints(&[("main.ts", &deep)], "1");
}
