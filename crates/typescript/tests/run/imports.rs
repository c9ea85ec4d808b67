//! What imports mean.

use super::prints;

/// As CommonJS and as ES modules.
#[track_caller]
fn prints_both(files: &[(&str, &str)], wanted: &str) {
    prints(files, wanted);
    let module = [("package.json", r#"{ "type": "module" }"#)];
    let files: Vec<_> = files.iter().copied().chain(module).collect();
    prints(&files, wanted);
}

#[test]
fn extensions_may_be_left_out_or_be_those_of_what_is_compiled() {
    let a = "export const a = 'a';";
    for (import, file) in [
        ("./a", "a.ts"),
        ("./a", "a.tsx"),
        ("./a.js", "a.ts"),
        ("./a.js", "a.tsx"),
        ("./a.jsx", "a.tsx"),
        ("./a.ts", "a.ts"),
        ("./a.tsx", "a.tsx"),
        ("./lib", "lib/index.ts"),
        ("./lib/", "lib/index.ts"),
        ("./lib/index.js", "lib/index.ts"),
        ("./a.b", "a.b.ts"),
        ("./a.b.js", "a.b.ts"),
        (".", "index.ts"),
    ] {
        let main = format!("import {{ a }} from '{import}'; console.log(a);");
        prints_both(&[("main.ts", &main), (file, a)], "a");
    }
    for import in ["./a", "./a.mjs", "./a.mts"] {
        let main = format!("import {{ a }} from '{import}'; console.log(a);");
        prints(&[("main.mts", &main), ("a.mts", a)], "a");
    }
    prints_both(
        &[
            (
                "main.ts",
                "import { a } from './a.js'; import { b } from './b'; console.log(a, b);",
            ),
            ("a.ts", "export const a = 'written';"),
            ("a.js", "exports.a = 'an old result';"),
            ("b.mjs", "export const b = 'JavaScript';"),
        ],
        "written JavaScript",
    );
    prints(
        &[
            ("main.mts", "import { a } from './folder'; console.log(a);"),
            (
                "folder/package.json",
                r#"{ "main": "./src/start.js", "type": "module" }"#,
            ),
            ("folder/src/start.ts", a),
        ],
        "a",
    );
}

#[test]
fn names_may_be_computed() {
    prints_both(
        &[
            (
                "main.ts",
                "export {}; (async () => { for (const n of ['one', 'two.js', 'three.ts']) console.log((await import('./plugins/' + n)).default); })();",
            ),
            ("plugins/one.ts", "export default 1 as number;"),
            ("plugins/two.ts", "enum A { B = 2 } export default A.B;"),
            ("plugins/three.ts", "export default 3;"),
        ],
        "1\n2\n3",
    );
    prints(
        &[
            (
                "main.ts",
                "const n: string = 'x'; console.log(require(`./${n}`).x, require.resolve('./x').endsWith('/x.ts'));",
            ),
            ("x.ts", "export const x = 'required';"),
        ],
        "required true",
    );
    prints_both(
        &[
            ("main.ts", "import { pathToFileURL } from 'node:url'; import { resolve } from 'node:path';
                (async () => { const a = await import(pathToFileURL(resolve('x.ts')).href); const b = await import(resolve('x.ts')); console.log(a.x, b.x); })();"),
            ("x.ts", "export const x = 'x';"),
        ],
        "x x",
    );
}

#[test]
fn a_question_mark_makes_another_module() {
    prints(
        &[
            (
                "main.mts",
                "const a = await import('./x.mjs?1'); const b = await import('./x.mts?2'); console.log(a.id !== b.id);",
            ),
            ("x.mts", "export const id: symbol = Symbol();"),
        ],
        "true",
    );
}

#[test]
fn paths_are_aliases() {
    let config = r#"{ "compilerOptions": { "paths": {
        "@/*": ["./src/*"], "@/special/*": ["./special/*"], "exact": ["./src/exact-one"],
        "two/*": ["./missing/*", "./src/*"], "*.data": ["./src/*"] } } }"#;
    let file = "export const a = 'a';";
    prints_both(
        &[
            ("main.ts", "import { a } from '@/a'; import { s } from '@/special/s'; import { e } from 'exact'; import { a as b } from 'two/a.js'; import { d } from 'd.data'; import { deep } from '@/deep';
                import type { T } from '@/only-types'; console.log(a, s, e, b, d, deep);"),
            ("tsconfig.json", config),
            ("src/a.ts", file),
            ("special/s.ts", "export const s = 's';"),
            ("src/exact-one.ts", "export const e = 'e';"),
            ("src/d.ts", "export const d = 'd';"),
            ("src/deep/index.ts", "import { a } from '@/a'; export const deep = 'deep ' + a;"),
        ],
        "a s e a d deep a",
    );
    prints_both(
        &[
            (
                "main.ts",
                "export {}; (async () => { const n = 'a'; console.log((await import(`@/${n}`)).a); })();",
            ),
            ("tsconfig.json", config),
            ("src/a.ts", file),
        ],
        "a",
    );
}

#[test]
fn base_urls_come_before_packages() {
    prints_both(
        &[
            (
                "src/main.ts",
                "import { a } from 'lib/a'; import { b } from 'other'; import fs from 'fs'; console.log(a, b, typeof fs.readFileSync);",
            ),
            (
                "tsconfig.json",
                r#"{ "compilerOptions": { "baseUrl": "./src" } }"#,
            ),
            ("src/lib/a.ts", "export const a = 'own';"),
            ("node_modules/lib/a.js", "exports.a = 'package';"),
            ("node_modules/other/index.js", "exports.b = 'package';"),
        ],
        "own package function",
    );
}

#[test]
fn the_nearest_configuration_holds() {
    prints_both(
        &[
            (
                "main.ts",
                "import { x } from './packages/one/main'; import '#nothing'; console.log(x);"
                    .replace(" import '#nothing';", "")
                    .as_str(),
            ),
            (
                "tsconfig.json",
                r#"{ "compilerOptions": { "paths": { "~/*": ["./src/*"] } } }"#,
            ),
            ("src/v.ts", "export const v = 'outer';"),
            (
                "packages/one/tsconfig.json",
                r#"{ "extends": "../../tsconfig.json", "compilerOptions": { "paths": { "~/*": ["./lib/*"] } } }"#,
            ),
            (
                "packages/one/main.ts",
                "import { v } from '~/v'; export const x = v;",
            ),
            ("packages/one/lib/v.ts", "export const v = 'inner';"),
        ],
        "inner",
    );
}

#[test]
fn json_needs_no_attribute() {
    prints_both(
        &[
            (
                "main.ts",
                "import data from './data.json'; import { same } from './other'; console.log(data.a, same);",
            ),
            (
                "other.ts",
                "import data from './data.json' with { type: 'json' }; export const same = data.a;",
            ),
            ("data.json", r#"{ "a": "json" }"#),
        ],
        "json json",
    );
}

#[test]
fn packages_may_name_imports() {
    for kind in ["commonjs", "module"] {
        let package = format!(
            r##"{{ "type": "{kind}", "name": "self", "imports": {{ "#lib/*": "./src/*.ts" }}, "exports": {{ "./a": "./src/a.ts" }} }}"##
        );
        prints(
            &[
                (
                    "main.ts",
                    "import { a } from '#lib/a'; import { a as b } from 'self/a'; console.log(a, b);",
                ),
                ("src/a.ts", "export const a: string = 'a';"),
                ("package.json", &package),
            ],
            "a a",
        );
    }
}

#[test]
fn javascript_imports_typescript() {
    prints(
        &[
            (
                "main.js",
                "const { a } = require('./a'); const { b } = require('./b.ts'); console.log(a, b);",
            ),
            ("a.ts", "export enum E { A = 'a' } export const a = E.A;"),
            ("b.ts", "export const b: string = 'b';"),
        ],
        "a b",
    );
    prints(
        &[
            (
                "main.mjs",
                "import { a } from './a.mts'; import { b } from './a.js'; console.log(a, b);",
            ),
            ("a.mts", "export enum E { A = 'a' } export const a = E.A;"),
            ("a.js", "exports.b = 'stays JavaScript';"),
            ("a.ts", "export const b = 'is not looked for';"),
        ],
        "a stays JavaScript",
    );
}
