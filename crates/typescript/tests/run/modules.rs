//! ES modules and CommonJS.

use super::{has_hooks, prints};

#[test]
fn the_nearest_package_decides() {
    let text = "import * as fs from 'node:fs'; export const a = fs.existsSync; console.log(typeof require, typeof module);";
    let common = "function object";
    let module = "undefined undefined";
    for (name, package, wanted) in [
        ("main.ts", "{}", common),
        ("main.ts", r#"{ "type": "commonjs" }"#, common),
        ("main.ts", r#"{ "type": "module" }"#, module),
        ("main.mts", r#"{ "type": "commonjs" }"#, module),
        ("main.cts", r#"{ "type": "module" }"#, common),
        ("main.tsx", r#"{ "type": "module" }"#, module),
    ] {
        prints(&[(name, text), ("package.json", package)], wanted);
    }
    prints(
        &[
            ("a/b/main.ts", text),
            ("package.json", "{}"),
            ("a/package.json", r#"{ "type": "module" }"#),
        ],
        module,
    );
}

#[test]
fn what_only_modules_can_makes_a_module() {
    prints(
        &[(
            "main.ts",
            "const x: string = await Promise.resolve('top'); console.log(x); export {};",
        )],
        "top",
    );
    prints(
        &[(
            "main.ts",
            "for await (const x of [1]) console.log(x); export {};",
        )],
        "1",
    );
    prints(
        &[(
            "main.ts",
            "console.log(import.meta.url.endsWith('/main.ts'), import.meta.filename?.endsWith('/main.ts'));",
        )],
        "true true",
    );
    prints(
        &[(
            "main.ts",
            "const f = async () => { await 1; }; console.log(typeof module, __filename.endsWith('/main.ts'), __dirname.length > 1);",
        )],
        "object true true",
    );
}

#[test]
fn exports_live() {
    for package in ["{}", r#"{ "type": "module" }"#] {
        prints(
            &[
                ("main.ts", "import { n, more, type T } from './a'; import * as all from './a'; import fallback, { Cls as K } from './a';
                    more(); console.log(n, all.n, fallback(), new K().x, Object.keys(all).join());"),
                ("a.ts", "export let n = 1; export function more() { n++; } export default () => 'default'; class C { x = 1 } export { C as Cls }; export type T = 1; export interface I {}"),
                ("package.json", package),
            ],
            "2 2 default 1 Cls,default,more,n",
        );
        prints(
            &[
                (
                    "main.ts",
                    "export * from './a'; export * as ns from './a'; export { a as b } from './a'; import * as self from './main'; globalThis.after = () => console.log(self.a, self.b, self.ns.a, Object.keys(self).length);",
                ),
                ("a.ts", "export const a = 1;"),
                ("package.json", package),
            ],
            "1 1 1 3",
        );
    }
}

#[test]
fn circles_resolve() {
    for package in ["{}", r#"{ "type": "module" }"#] {
        prints(
            &[
                (
                    "main.ts",
                    "import { b } from './b'; export const a = () => 'a'; console.log(b());",
                ),
                (
                    "b.ts",
                    "import { a } from './main'; export const b = () => a() + 'b';",
                ),
                ("package.json", package),
            ],
            "ab",
        );
    }
}

#[test]
fn packages_of_either_kind_are_imported() {
    let packages = [
        (
            "node_modules/common/index.js",
            "module.exports = (x) => 'common ' + x; module.exports.named = 'n';",
        ),
        (
            "node_modules/transpiled/index.js",
            "Object.defineProperty(exports, '__esModule', { value: true }); exports.default = 'd'; exports.named = 'n';",
        ),
        (
            "node_modules/esm/package.json",
            r#"{ "type": "module", "exports": "./index.js" }"#,
        ),
        (
            "node_modules/esm/index.js",
            "export default 'd'; export const named = 'n';",
        ),
        (
            "node_modules/slow/package.json",
            r#"{ "type": "module", "exports": "./index.js" }"#,
        ),
        (
            "node_modules/slow/index.js",
            "export default await Promise.resolve('slow');",
        ),
    ];
    let with = |text: &'static str, package: &'static str, wanted: &str| {
        let own = [("main.ts", text), ("package.json", package)];
        let files: Vec<_> = own.into_iter().chain(packages).collect();
        prints(&files, wanted);
    };
    let text = "import common from 'common'; import { named } from 'common'; import transpiled from 'transpiled'; import { named as t } from 'transpiled';
        console.log(common('x'), named, typeof transpiled, t);";
    with(text, "{}", "common x n string n");
    with(text, r#"{ "type": "module" }"#, "common x n object n");
    let esm = "import d, { named } from 'esm'; import * as all from 'esm'; console.log(d, named, all.default);";
    with(esm, "{}", "d n d");
    with(esm, r#"{ "type": "module" }"#, "d n d");
    let dynamic = "export {}; (async () => {
        const common = await import('common'); const esm = await import('esm'); const slow = await import('slow');
        console.log(common.default('x'), common.named, esm.default, esm.named, slow.default);
    })();";
    with(dynamic, "{}", "common x n d n slow");
    with(dynamic, r#"{ "type": "module" }"#, "common x n d n slow");
    with(
        "import common = require('common'); console.log(common('y'));",
        "{}",
        "common y",
    );
    with(
        "import common = require('common'); console.log(common('y'));",
        r#"{ "type": "module" }"#,
        "common y",
    );
}

#[test]
fn without_interop_a_namespace_is_what_require_answers() {
    prints(
        &[
            (
                "main.ts",
                "import * as f from 'f'; console.log((f as any)());",
            ),
            (
                "tsconfig.json",
                r#"{ "compilerOptions": { "esModuleInterop": false } }"#,
            ),
            (
                "node_modules/f/index.js",
                "module.exports = () => 'called';",
            ),
        ],
        "called",
    );
}

#[test]
fn export_assignments_are_module_exports() {
    prints(
        &[
            (
                "main.ts",
                "import f = require('./f'); import g from './f'; console.log(f(), g());",
            ),
            ("f.ts", "function f() { return 'f'; } export = f;"),
        ],
        "f f",
    );
}

#[test]
fn modules_of_both_kinds_import_each_other() {
    prints(
        &[
            (
                "main.mts",
                "import { a } from './a.cjs'; import b, { c } from './b.js'; console.log(a, typeof b, c);",
            ),
            ("a.cts", "export const a = 'a';"),
            ("b.ts", "export default 'b'; export const c = 'c';"),
        ],
        "a object c",
    );
    prints(
        &[
            (
                "main.cts",
                "const load = async () => (await import('./m.mjs')).m; load().then((it) => console.log(it));",
            ),
            ("m.mts", "export const m = await Promise.resolve('m');"),
        ],
        "m",
    );
}

#[test]
fn imports_of_types_only_go() {
    prints(
        &[(
            "main.ts",
            "import { A } from './types-only'; import type B from './not-there'; import { type C } from './neither'; export type { B, C }; const a: A = 1; console.log(a);",
        )],
        "1",
    );
    prints(
        &[
            (
                "main.ts",
                "import './effect'; import { unused } from './removed'; import { type T } from './effect'; console.log('main');",
            ),
            ("effect.ts", "console.log('effect'); export type T = 1;"),
        ],
        "effect\nmain",
    );
    prints(
        &[
            (
                "main.mts",
                "import { kept } from './kept.mjs'; import { type T } from './kept.mjs'; console.log('main');",
            ),
            (
                "kept.mts",
                "console.log('kept'); export const kept = 1; export type T = 1;",
            ),
            (
                "tsconfig.json",
                r#"{ "compilerOptions": { "verbatimModuleSyntax": true } }"#,
            ),
        ],
        "kept\nmain",
    );
}

#[test]
fn packages_that_can_only_be_imported_are_found_by_either_kind() {
    for (package, needs_hooks) in [("{}", true), (r#"{ "type": "module" }"#, false)] {
        // Before Node 22.15, require() finds what can be required.
        if needs_hooks && !has_hooks() {
            continue;
        }
        prints(
            &[
                (
                    "main.ts",
                    "import only, { named } from 'only'; import { deep } from 'only/deep'; console.log(only, named, deep);",
                ),
                ("package.json", package),
                (
                    "node_modules/only/package.json",
                    r#"{ "type": "module", "exports": { ".": { "import": { "types": "./index.d.ts", "default": "./index.js" } }, "./deep": { "import": "./deep.js" } } }"#,
                ),
                (
                    "node_modules/only/index.js",
                    "export default 'd'; export const named = 'n';",
                ),
                ("node_modules/only/deep.js", "export const deep = 'deep';"),
            ],
            "d n deep",
        );
    }
}
