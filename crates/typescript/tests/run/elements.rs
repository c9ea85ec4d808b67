//! TSX and JSX.

use super::prints;

const RUNTIME: &str = "const make = (tag, props) => typeof tag === 'function' ? tag(props) : { tag, ...props };
    exports.jsx = exports.jsxs = make; exports.jsxDEV = (t, p, k, s, src) => ({ ...make(t, p), line: src.lineNumber }); exports.Fragment = 'fragment';";
const PACKAGE: &str = r#"{ "name": "react", "exports": { "./jsx-runtime": "./jsx-runtime.js", "./jsx-dev-runtime": "./jsx-runtime.js" } }"#;

#[test]
fn elements_are_calls_of_the_runtime() {
    let text = "const B = (p: { n: number }) => 'B' + p.n;
        const id = <T,>(x: T) => x;
        console.log(JSON.stringify(<a href=\"x\" {...{ k: 1 }}>t <b/>{id(2)}<B n={3}/></a>), JSON.stringify(<></>));";
    let wanted =
        r#"{"tag":"a","href":"x","k":1,"children":["t ",{"tag":"b"},2,"B3"]} {"tag":"fragment"}"#;
    for config in [
        "{}",
        r#"{ "compilerOptions": { "jsx": "react-jsx" } }"#,
        r#"{ "compilerOptions": { "jsx": "preserve" } }"#,
    ] {
        for package in ["{}", r#"{ "type": "module" }"#] {
            prints(
                &[
                    ("main.tsx", text),
                    ("tsconfig.json", config),
                    ("package.json", package),
                    ("node_modules/react/package.json", PACKAGE),
                    ("node_modules/react/jsx-runtime.js", RUNTIME),
                ],
                wanted,
            );
        }
    }
}

#[test]
fn where_elements_come_from_can_be_said() {
    let runtime = [
        ("node_modules/other/package.json", PACKAGE),
        ("node_modules/other/jsx-runtime.js", RUNTIME),
        ("node_modules/react/package.json", PACKAGE),
        ("node_modules/react/jsx-runtime.js", RUNTIME),
    ];
    let with = |files: &[(&'static str, &'static str)], wanted: &str| {
        let files: Vec<_> = files.iter().copied().chain(runtime).collect();
        prints(&files, wanted);
    };
    let source = r#"{ "compilerOptions": { "jsx": "react-jsx", "jsxImportSource": "other" } }"#;
    with(
        &[
            ("main.tsx", "console.log((<i/> as any).tag);"),
            ("tsconfig.json", source),
        ],
        "i",
    );
    let development = r#"{ "compilerOptions": { "jsx": "react-jsxdev" } }"#;
    with(
        &[
            ("main.tsx", "\nconsole.log((<i/> as any).line);"),
            ("tsconfig.json", development),
        ],
        "2",
    );
    let classic = r#"{ "compilerOptions": { "jsx": "react", "jsxFactory": "h", "jsxFragmentFactory": "F" } }"#;
    with(
        &[
            (
                "main.tsx",
                "import { h, F } from './h'; console.log(<i a=\"b\">c</i>, <></>);",
            ),
            (
                "h.ts",
                "export const F = 'F'; export const h = (...a: any[]) => JSON.stringify(a);",
            ),
            ("tsconfig.json", classic),
        ],
        r#"["i",{"a":"b"},"c"] ["F",null]"#,
    );
    with(
        &[(
            "main.tsx",
            "/** @jsxImportSource other */\nconsole.log((<i/> as any).tag);",
        )],
        "i",
    );
    with(
        &[(
            "main.tsx",
            "/** @jsxRuntime classic */\n/** @jsx h */\nconst h = (t: string) => t + '!'; console.log(<i/>);",
        )],
        "i!",
    );
    with(
        &[("main.jsx", "const n = 1; console.log((<i n={n}/>).n);")],
        "1",
    );
}
