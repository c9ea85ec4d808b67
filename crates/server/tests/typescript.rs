//! TypeScript without a build step.

mod support;

use support::{Project, Server};

const CONFIG: &str = r#"{
  // As people have it.
  "extends": "./tsconfig.base.json",
  "compilerOptions": { "jsx": "react-jsx", "jsxImportSource": "@/html", "paths": { "@/*": ["./src/*"] }, },
}"#;
const BASE: &str =
    r#"{ "compilerOptions": { "experimentalDecorators": true, "emitDecoratorMetadata": true } }"#;

const COMMON: &str = r"import { readFileSync } from 'node:fs';
import { log } from 'wakeful';
import type { Request, Response } from 'express';
import { Color, describe } from '@/colors';
import { greet } from '../src/greet.js';
import data from '../src/data.json';

namespace Words {
  export const end = '!';
}

function upper(_target: object, _name: string, descriptor: PropertyDescriptor) {
  const plain = descriptor.value;
  descriptor.value = function (...given: unknown[]) {
    return plain.apply(this, given).toUpperCase();
  };
}

class Greeter {
  constructor(private readonly name: string) {}

  @upper
  say(): string {
    return greet(this.name) + Words.end;
  }
}

export async function get(_req: Request, res: Response): Promise<void> {
  const name: string = 'late';
  const { late } = await import(`../src/${name}`);
  log.info('asked');
  const own = readFileSync(__filename, 'utf8').includes('namespace Words');
  res.json([describe(Color.Green), new Greeter(data.name).say(), late, own, process.versions.node.split('.')[0]]);
}
";

const PAGE: &str = r"interface Item { name: string }

const List = ({ items }: { items: Item[] }) => (
  <ul>
    {items.map((item) => <li>{item.name}</li>)}
  </ul>
);

export default {
  fetch: (): Response => new Response(String(<List items={[{ name: 'a' }, { name: 'b' }]} />)),
};
";

const HTML: &str = r"type Props = { children?: unknown };
export const jsx = (tag: string | ((props: Props) => string), props: Props): string =>
  typeof tag === 'function' ? tag(props) : `<${tag}>${[props.children].flat(9).join('')}</${tag}>`;
export const jsxs = jsx;
";

const MODULE: &str = r"const word: string = await Promise.resolve('module');
const log = <T extends (...given: never[]) => unknown>(method: T, context: ClassMethodDecoratorContext) =>
  function (this: unknown, ...given: Parameters<T>) {
    return `${String(context.name)}: ${method.apply(this, given)}`;
  };
class A {
  accessor x = 1;
  @log
  m(): string {
    return word + this.x;
  }
}
export const get = (_req: unknown, res: { send(text: string): void }) => res.send(new A().m());
";

/// A function for each kind of file, on one version of Node.
fn functions(node: u32) -> String {
    let mut text = String::new();
    for (name, code, handler) in [
        ("common", "functions/common.ts", "get"),
        ("page", "functions/page.tsx", "default"),
        ("module", "standard/module.mts", "get"),
        ("folder", "functions/folder", "handler"),
        ("old", "functions/old.cts", "get"),
    ] {
        text += &format!(
            "[function.{name}{node}]\ncode = \"{code}\"\nnode = {node}\nauth = \"none\"\n\
             routes = {{ \"GET /{name}{node}\" = \"{handler}\" }}\n"
        );
    }
    text
}

#[test]
fn typescript_runs_as_it_is_on_node_22_and_24() {
    let manifest = format!("name = \"ts\"\n{}{}", functions(22), functions(24));
    let project = Project::of(&[
        ("wakeful.toml", &manifest),
        ("tsconfig.json", CONFIG),
        ("tsconfig.base.json", BASE),
        ("functions/common.ts", COMMON),
        ("functions/page.tsx", PAGE),
        (
            "functions/old.cts",
            "import type { X } from './gone';\nexport function get(_: X, res: any) { res.send(typeof module); }\n",
        ),
        (
            "functions/folder/index.ts",
            "type Event = { rawPath: string };\nexport const handler = async (event: Event) => ({ statusCode: 201, body: event.rawPath });\n",
        ),
        ("standard/tsconfig.json", "{}"),
        ("standard/module.mts", MODULE),
        (
            "src/colors.ts",
            "export enum Color { Red, Green }\nexport const describe = (color: Color): string => Color[color];\n",
        ),
        (
            "src/greet.ts",
            "export const greet = (name: string): string => `hello ${name}`;\n",
        ),
        ("src/late.ts", "export const late: string = 'late';\n"),
        ("src/data.json", r#"{ "name": "json" }"#),
        ("src/html/jsx-runtime.ts", HTML),
    ]);
    let server = project.serve();
    for node in [22, 24] {
        let asked = |function: &str| server.curl(&format!("/{function}{node}"), &[]);
        let common = format!(r#"["Green","HELLO JSON!","late",true,"{node}"]"#);
        assert_eq!(asked("common"), (200, common), "{}", project.output());
        assert_eq!(asked("page"), (200, "<ul><li>a</li><li>b</li></ul>".into()));
        assert_eq!(asked("module"), (200, "m: module1".into()));
        assert_eq!(asked("folder"), (201, format!("/folder{node}")));
        assert_eq!(asked("old"), (200, "object".into()));
    }
}

const MANIFEST: &str =
    "name = \"ts\"\n[function.a]\nauth = \"none\"\nroutes = { \"GET /a\" = \"get\" }\n";

/// A function that answers with a word of another file.
fn project() -> Project {
    Project::of(&[
        ("wakeful.toml", MANIFEST),
        (
            "functions/a.ts",
            "import { word } from '../lib/word';\n\nexport const get = (_: unknown, res: any): void => res.send(word());\n",
        ),
        (
            "lib/word.ts",
            "export const word = (): string => 'first';\n",
        ),
    ])
}

fn until_answers(server: &Server<'_>, word: &str) {
    server.until(&format!("it answers {word}"), || {
        (server.curl("/a", &[]).1 == word).then_some(())
    });
}

#[test]
fn a_change_is_live_and_a_mistake_is_shown_at_its_place() {
    let project = project();
    let server = project.dev();
    until_answers(&server, "first");
    project.write(
        "lib/word.ts",
        "enum Word { It = 'second' }\nexport const word = (): Word => Word.It;\n",
    );
    until_answers(&server, "second");
    project.write(
        "lib/word.ts",
        "export const word = (): string => {\n  const a: = 'third';\n  return a;\n};\n",
    );
    server.until("the mistake is shown", || {
        let output = project.output();
        let shown =
            output.contains("lib/word.ts:2:12") && output.contains("> 2 |   const a: = 'third';");
        shown.then_some(())
    });
    assert_eq!(server.curl("/a", &[]).1, "second");
    // A mistake that nobody imports is none.
    project.write("lib/unused.ts", "no code at all");
    project.write(
        "lib/word.ts",
        "export const word = (): string => 'fourth';\n",
    );
    until_answers(&server, "fourth");
    project.write("tsconfig.json", "{ \"compilerOptions\": nothing }");
    server.until("the mistake in the configuration is shown", || {
        project.output().contains("tsconfig.json:1:2").then_some(())
    });
    assert_eq!(server.curl("/a", &[]).1, "fourth");
}

#[test]
fn stacks_name_the_lines_of_the_user() {
    let project = project();
    project.write(
        "lib/word.ts",
        "interface Unused {\n  a: string;\n}\n\nexport function word(given?: Unused): string {\n  if (!given) throw new TypeError('nothing given');\n  return given.a;\n}\n",
    );
    let server = project.dev();
    assert_eq!(server.curl("/a", &[]).0, 500);
    let run = server.runs("a", "failed").remove(0);
    let shown = run.to_string();
    let trace = server.cli(&["trace", run["id"].as_str().unwrap()]);
    let shown = shown + &String::from_utf8_lossy(&trace.stdout);
    let file = |name: &str| project.path().join(name).display().to_string();
    for place in ["lib/word.ts:6:21", "functions/a.ts:3:"] {
        assert!(shown.contains(&file(place)), "{place}: {shown}");
    }
    assert!(!shown.contains(".wakeful/versions"), "{shown}");
}

#[test]
fn the_example_keeps_notes() {
    let project = Project::example("typescript");
    let server = project.dev();
    assert_eq!(server.curl("/notes", &[]), (200, "[]".into()));
    let json = ["--header", "content-type: application/json", "--data"];
    let add = |note: &str| server.curl("/notes", &[&json[..], &[note]].concat());
    let calm = r#"{"text":"<b> & co","mood":"calm"}"#;
    assert_eq!(add(r#"{ "text": "<b> & co" }"#), (201, calm.into()));
    assert_eq!(add(r#"{ "text": "x", "mood": "cross" }"#).0, 400);
    assert_eq!(server.curl("/notes", &[]), (200, format!("[{calm}]")));
    let page = server.curl("/", &[]).1;
    let item = r#"<ul><li class="calm">&lt;b&gt; &amp; co</li></ul>"#;
    assert!(page.contains(item), "{page}");
    // What editors complete `import { db } from 'wakeful'` by.
    let types = std::fs::read_to_string(project.path().join(".wakeful/types/wakeful.d.ts"));
    assert!(types.unwrap().contains("export const db"));
}

#[test]
fn packages_of_a_workspace_may_be_typescript() {
    let project = Project::of(&[
        ("wakeful.toml", MANIFEST),
        (
            "functions/a.ts",
            "import { word } from '@own/words';\nexport const get = (_: unknown, res: any): void => res.send(word());\n",
        ),
        (
            "packages/words/package.json",
            r#"{ "name": "@own/words", "main": "src/index.ts" }"#,
        ),
        (
            "packages/words/src/index.ts",
            "import { Word } from './word';\nexport const word = (): string => Word.It;\n",
        ),
        (
            "packages/words/src/word.ts",
            "export enum Word { It = 'first' }\n",
        ),
    ]);
    let packages = project.path().join("node_modules/@own");
    std::fs::create_dir_all(&packages).unwrap();
    std::os::unix::fs::symlink("../../packages/words", packages.join("words")).unwrap();
    let server = project.dev();
    until_answers(&server, "first");
    project.write(
        "packages/words/src/word.ts",
        "export enum Word { It = 'second' }\n",
    );
    until_answers(&server, "second");
}
