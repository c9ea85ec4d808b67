//! What TypeScript adds to JavaScript.

use super::{both_print, prints};

#[test]
fn types_go() {
    for (text, wanted) in [
        ("const a: number = 1; console.log(a);", "1"),
        (
            "type A = { b?: string }; interface C extends Array<A> {} console.log('x');",
            "x",
        ),
        (
            "function f<T extends object>(this: void, a?: T): asserts a is T {} console.log(f.length);",
            "1",
        ),
        (
            "const a = <any>'x' as unknown as string; console.log(a!);",
            "x",
        ),
        (
            "const a = { b: 1 } satisfies object; console.log(a.b);",
            "1",
        ),
        (
            "declare const x: number; declare module 'm' {} declare global { var y: number } console.log(typeof x);",
            "undefined",
        ),
        (
            "function f(a: string): void; function f(a: number): void; function f(a: any) { console.log(a); } f(1);",
            "1",
        ),
        (
            "abstract class A { abstract a(): void; b!: number; private readonly c? = 2; get() { return this.c; } } class B extends A { override a() {} } console.log(new B().get());",
            "2",
        ),
        (
            "const f = async <T,>(x: T) => x; f('y').then((it: string) => console.log(it));",
            "y",
        ),
        (
            "let x: unique symbol; let t: [a: string, b?: number]; label: for (const i of [1]) { continue label; } console.log('z');",
            "z",
        ),
        (
            "const o = { f<const T>(x: T) { return x } }; console.log(o?.f?.<string>('q') ?? 'n');"
                .replace("?.<string>", "")
                .as_str(),
            "q",
        ),
        (
            "export {}; console.log(((a: number, b = 2, ...c: number[]) => a + b + c.length)(1));",
            "3",
        ),
        (
            "using a = { [Symbol.dispose ?? Symbol.for('Symbol.dispose')]() { console.log('disposed'); } }; console.log('used');",
            "used\ndisposed",
        ),
    ] {
        both_print(text, wanted);
    }
}

#[test]
fn enums_are_objects() {
    for (text, wanted) in [
        (
            "enum A { B, C = 5, D } console.log(A.D, A[5], JSON.stringify(A));",
            r#"6 C {"0":"B","5":"C","6":"D","B":0,"C":5,"D":6}"#,
        ),
        (
            "enum A { B = 'b', C = `c${1}` } console.log(A.B, Object.keys(A).join());",
            "b B,C",
        ),
        (
            "const enum A { B = 1 << 3, C = B | 1 } console.log(A.C);",
            "9",
        ),
        (
            "export const enum A { B = 2 } console.log(A.B, A['B']);",
            "2 2",
        ),
        (
            "enum A { B = 'x'.length, C = Math.max(1, 2) } console.log(A.B, A.C);",
            "1 2",
        ),
        (
            "enum A { B } enum A { C = 1 } console.log(Object.keys(A).join());",
            "0,1,B,C",
        ),
        (
            "enum A { B } namespace A { export const of = (n: number) => A[n]; } console.log(A.of(0));",
            "B",
        ),
        (
            "enum A { B } const a = A; const k: keyof typeof A = 'B'; console.log(a[k]);",
            "0",
        ),
        (
            "declare enum A { B } enum C { D = -1, E } console.log(C.E);",
            "0",
        ),
    ] {
        both_print(text, wanted);
    }
    prints(
        &[
            (
                "main.ts",
                "import { A, B } from './a'; console.log(A.X, A[1], B.Y);",
            ),
            (
                "a.ts",
                "export enum A { X = 1 } export const enum B { Y = 'y' }",
            ),
        ],
        "1 X y",
    );
}

#[test]
fn namespaces_are_objects() {
    for (text, wanted) in [
        (
            "namespace A { export const b = 1; const hidden = 2; export function c() { return b + hidden; } } console.log(A.c(), Object.keys(A).join());",
            "3 b,c",
        ),
        (
            "namespace A.B.C { export let d = 1; d = 2; } console.log(A.B.C.d);",
            "2",
        ),
        (
            "namespace A { export class B { c = 1 } } namespace A { export const e = new A.B().c; } console.log(A.e);",
            "1",
        ),
        (
            "function f() { return f.x; } namespace f { export const x = 'x'; } console.log(f());",
            "x",
        ),
        (
            "class K {} namespace K { export enum E { F = 3 } } import E = K.E; console.log(E.F);",
            "3",
        ),
        (
            "namespace OnlyTypes { export type A = 1 } console.log(typeof globalThis['OnlyTypes']);",
            "undefined",
        ),
    ] {
        both_print(text, wanted);
    }
}

#[test]
fn a_file_may_be_marked_and_empty() {
    both_print("\u{feff}console.log('bom');", "bom");
    both_print("#!/usr/bin/env node\nconsole.log('shebang');", "shebang");
    both_print("", "");
    both_print("// nothing\n", "");
    both_print("console.log('\u{1F600}', 'ü');", "\u{1F600} ü");
}
