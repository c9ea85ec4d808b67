use std::{collections::BTreeMap, fs};

use super::*;

/// What the files say, of which `tsconfig.json` in the folder `project` is the first one read.
fn read(files: &[(&str, &str)]) -> Result<TsConfig, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    for (name, text) in files {
        let file = project.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let place = Place {
        copy: &project,
        project: &project,
    };
    TsConfig::read(&place, Path::new("tsconfig.json"))
}

fn options(text: &str) -> Options {
    let text = format!("{{ \"compilerOptions\": {{ {text} }} }}");
    read(&[("tsconfig.json", &text)]).unwrap().options
}

#[test]
fn options_mean_what_tsc_means() {
    let usual = Options::default();
    let classic = |factory: &str, fragment: &str| Jsx::Classic {
        factory: factory.into(),
        fragment: fragment.into(),
    };
    let automatic = |source: &str, development| Jsx::Automatic {
        source: source.into(),
        development,
    };
    let fields = |fields| Options {
        fields,
        ..usual.clone()
    };
    let jsx = |jsx| Options {
        jsx,
        ..usual.clone()
    };
    let decorators = |decorators| Options {
        decorators,
        ..usual.clone()
    };
    for (text, wanted) in [
        ("", usual.clone()),
        (r#""target": "es2021""#, fields(Fields::Assign)),
        (r#""target": "ES6""#, fields(Fields::Assign)),
        (r#""target": "ES2022""#, fields(Fields::Define)),
        (r#""target": "ESNext""#, fields(Fields::Define)),
        (
            r#""target": "es5", "useDefineForClassFields": true"#,
            fields(Fields::Define),
        ),
        (
            r#""useDefineForClassFields": false"#,
            fields(Fields::Assign),
        ),
        (
            r#""experimentalDecorators": true"#,
            decorators(Decorators::Legacy),
        ),
        (
            r#""experimentalDecorators": true, "emitDecoratorMetadata": true"#,
            decorators(Decorators::LegacyWithMetadata),
        ),
        (
            r#""emitDecoratorMetadata": true"#,
            decorators(Decorators::Standard),
        ),
        (
            r#""jsx": "react""#,
            jsx(classic("React.createElement", "React.Fragment")),
        ),
        (
            r#""jsx": "react", "jsxFactory": "h", "jsxFragmentFactory": "Fragment""#,
            jsx(classic("h", "Fragment")),
        ),
        (r#""jsx": "react-jsxdev""#, jsx(automatic("react", true))),
        (
            r#""jsx": "react-jsx", "jsxImportSource": "preact""#,
            jsx(automatic("preact", false)),
        ),
        (
            r#""verbatimModuleSyntax": true"#,
            Options {
                unused_imports: UnusedImports::Keep,
                ..usual.clone()
            },
        ),
        (
            r#""esModuleInterop": false"#,
            Options {
                interop: Interop::None,
                ..usual.clone()
            },
        ),
        // What is of the wrong type is as if it were not there.
        (r#""target": 5, "jsx": true"#, usual.clone()),
    ] {
        assert_eq!(options(text), wanted, "{text}");
    }
}

#[test]
fn what_extends_is_laid_over_what_it_extends() {
    let config = read(&[
        (
            "tsconfig.json",
            r#"{
              // A comment, and "a text" in it.
              "extends": ["./base", "@tsconfig/strict", "shared/strange.json", "not-there"],
              "compilerOptions": { "jsx": "react", /* here */ "url": "http://a/*b*/", },
            }"#,
        ),
        (
            "base.json",
            r#"{ "compilerOptions": { "experimentalDecorators": true, "jsx": "preserve",
                 "jsxFactory": "a" } }"#,
        ),
        (
            "node_modules/@tsconfig/strict/package.json",
            r#"{ "tsconfig": "./configs/strict.json" }"#,
        ),
        (
            "node_modules/@tsconfig/strict/configs/strict.json",
            r#"{ "extends": "../more.json", "compilerOptions": { "jsxFactory": "b" } }"#,
        ),
        (
            "node_modules/@tsconfig/strict/more.json",
            r#"{ "compilerOptions": { "emitDecoratorMetadata": true } }"#,
        ),
        (
            "../node_modules/shared/strange.json",
            "\u{feff}{ \"compilerOptions\": { \"jsxFragmentFactory\": \"c\" } }",
        ),
    ]);
    let wanted = Options {
        decorators: Decorators::LegacyWithMetadata,
        jsx: Jsx::Classic {
            factory: "b".into(),
            fragment: "c".into(),
        },
        ..Options::default()
    };
    assert_eq!(config.unwrap().options, wanted);
}

#[test]
fn paths_are_relative_to_who_says_them() {
    let paths = |files: &[(&str, &str)]| {
        let paths = read(files).unwrap().paths;
        let base = paths.base.map(|base| base.display().to_string());
        let shown = |path: &PathBuf| path.display().to_string();
        let patterns = paths.patterns.iter();
        let patterns =
            patterns.map(|(pattern, to)| (pattern.clone(), to.iter().map(shown).collect()));
        (base, patterns.collect::<BTreeMap<String, Vec<String>>>())
    };
    let one = |pattern: &str, to: &[&str]| {
        let to = to.iter().map(|it| (*it).to_owned()).collect();
        BTreeMap::from([(pattern.to_owned(), to)])
    };
    assert_eq!(
        paths(&[(
            "tsconfig.json",
            r#"{ "compilerOptions": { "paths": { "@/*": ["./src/*", "lib/../gen/*"] } } }"#
        )]),
        (None, one("@/*", &["src/*", "gen/*"]))
    );
    assert_eq!(
        paths(&[(
            "tsconfig.json",
            r#"{ "compilerOptions": { "baseUrl": "./src", "paths": { "x": ["a/b"] } } }"#
        )]),
        (Some("src".into()), one("x", &["src/a/b"]))
    );
    assert_eq!(
        paths(&[
            ("tsconfig.json", r#"{ "extends": "../base.json" }"#),
            (
                "../base.json",
                r#"{ "compilerOptions": { "paths": { "x": ["./a", "${configDir}/b"] } } }"#
            ),
        ]),
        (None, one("x", &["../a", "b"]))
    );
}

#[test]
fn mistakes_have_a_place() {
    let place = |files: &[(&str, &str)]| {
        let ConfigError { file, error } = read(files).unwrap_err();
        format!("{}:{error}", file.display())
    };
    assert_eq!(
        place(&[(
            "tsconfig.json",
            "{\n  // so\n  \"extends\": \"./a\" \"b\"\n}"
        )]),
        "tsconfig.json:3:20: expected `,` or `}`"
    );
    assert_eq!(
        place(&[
            ("tsconfig.json", r#"{ "extends": "./b.json" }"#),
            ("b.json", r#"{ "extends": "./tsconfig.json" }"#)
        ]),
        "tsconfig.json:1:1: it extends itself, in a circle"
    );
    assert_eq!(
        place(&[
            ("tsconfig.json", r#"{ "extends": "./b.json" }"#),
            ("b.json", "[")
        ]),
        "b.json:1:1: EOF while parsing a list"
    );
}
