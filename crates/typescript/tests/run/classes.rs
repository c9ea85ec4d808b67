//! Parameter properties, fields and decorators.

use super::{both_print, prints};

const LEGACY: &str = r#"{ "compilerOptions": { "experimentalDecorators": true } }"#;
const METADATA: &str =
    r#"{ "compilerOptions": { "experimentalDecorators": true, "emitDecoratorMetadata": true } }"#;
const ASSIGN: &str = r#"{ "compilerOptions": { "useDefineForClassFields": false } }"#;

/// Runs a text under a `tsconfig.json`, as CommonJS and as an ES module.
#[track_caller]
fn under(config: &str, text: &str, wanted: &str) {
    for entry in ["main.ts", "main.mts"] {
        prints(&[(entry, text), ("tsconfig.json", config)], wanted);
    }
}

#[test]
fn parameters_may_be_properties() {
    for (text, wanted) in [
        (
            "class A { constructor(private a: number, public readonly b = a + 1, c = 3) {} } console.log(JSON.stringify(new A(1)));",
            r#"{"a":1,"b":2}"#,
        ),
        (
            "class B { x = 1 } class A extends B { constructor(protected a: string) { super(); console.log(this.a, this.x); } } new A('a');",
            "a 1",
        ),
    ] {
        both_print(text, wanted);
        under(ASSIGN, text, wanted);
    }
}

#[test]
fn fields_are_defined_or_assigned() {
    let text = "class A { a: number; b = 1; static c = 2; #d = 3; ['e'] = 4; 'f g' = 5; }
        console.log(Object.keys(new A()).sort().join(), A.c);";
    both_print(text, "a,b,e,f g 2");
    under(ASSIGN, text, "b,e,f g 2");
    let setter = "class A { set x(v: number) { console.log('set', v); } } class B extends A { x = 1; } new B();";
    both_print(setter, "");
    under(ASSIGN, setter, "set 1");
    under(
        ASSIGN,
        "class A { constructor(private a: string) {} b = this.a + '!'; } console.log(new A('x').b);",
        "x!",
    );
    under(
        ASSIGN,
        "const a = 'outer'; class B { constructor() { console.log('base'); } }
         class A extends B { b = a; constructor(a: string) { super(); console.log(this.b, a); } } new A('inner');",
        "base\nouter inner",
    );
    under(
        ASSIGN,
        "class B { constructor(public n: number) {} } class A extends B { b = this.n; } console.log(new A(7).b);",
        "7",
    );
}

#[test]
fn standard_decorators_are_those_of_the_language() {
    for (text, wanted) in [
        ("function log(f: Function, c: ClassMethodDecoratorContext) { return function (this: any, ...a: any[]) { console.log(c.kind, String(c.name), c.static, c.private); return f.apply(this, a); }; }
          class A { @log m(x: number) { return x; } @log static s() { return 's'; } @log #p() { return 'p'; } q() { return this.#p(); } }
          console.log(new A().m(1), A.s(), new A().q());",
         "method m false false\nmethod s true false\nmethod #p false true\n1 s p"),
        ("const twice = (_: undefined, c: ClassFieldDecoratorContext) => (v: number) => v * 2;
          class A { @twice a = 4; @twice static b = 5; } console.log(new A().a, A.b);", "8 10"),
        ("function up({ get, set }: any, c: any) { return { get() { return get.call(this) + 1; }, set(v: any) { set.call(this, v * 10); }, init: (v: any) => v + 100 }; }
          class A { @up accessor x = 1; accessor y = 5; } const a = new A(); console.log(a.x, a.y); a.x = 2; console.log(a.x);", "102 5\n21"),
        ("function reg(k: any, c: ClassDecoratorContext) { c.addInitializer(function (this: any) { console.log('made', this.name); }); return class extends k { z = 1 }; }
          @reg class A {} console.log((new A() as any).z, c());  function c() { return A.name !== undefined; }", "made \n1 true"),
        ("const o: string[] = []; const d = (n: string) => { o.push('e' + n); return () => { o.push('c' + n); }; };
          @d('1') class A { @d('2') m() {} @d('3') static s() {} @d('4') f = 1; } console.log(o.join(' '));",
         "e1 e2 e3 e4 c3 c2 c4 c1"),
        ("function bound(f: any, c: any) { c.addInitializer(function (this: any) { this[c.name] = this[c.name].bind(this); }); }
          class A { v = 'v'; @bound m() { return this.v; } } const { m } = new A(); console.log(m());", "v"),
        ("export default @((k: any) => k) class A { static x = 1 } console.log('exported');", "exported"),
    ] {
        both_print(text, wanted);
    }
}

#[test]
fn legacy_decorators_are_those_of_typescript() {
    for (text, wanted) in [
        ("const d = (n: string) => { console.log('e' + n); return (...a: any[]) => { console.log('c' + n, typeof a[0], String(a[1]), typeof a[2]); }; };
          @d('K') class A { @d('f') f = 1; @d('m') m(@d('p') x: string) {} @d('g') get g() { return 1; } constructor(@d('q') q: number) {} @d('s') static s() {} }",
         "ef\ncf object f undefined\nem\nep\ncp object m number\ncm object m object\neg\ncg object g object\nes\ncs function s object\neK\neq\ncq function undefined number\ncK function undefined undefined"),
        ("function replace<T extends { new (...a: any[]): {} }>(k: T) { return class extends k { added = 1 }; }
          @replace class A { own = 2 } console.log(JSON.stringify(new A()));", r#"{"own":2,"added":1}"#),
        ("const wrap = (_t: any, _k: string, d: PropertyDescriptor) => { const f = d.value; d.value = function (...a: any[]) { return '<' + f.apply(this, a) + '>'; }; };
          class A { @wrap say(x: string) { return x; } } console.log(new A().say('hi'));", "<hi>"),
        ("const nothing = () => (k: any) => k; @nothing() export class A { static self = A; } console.log(A.self === A);", "true"),
    ] {
        under(LEGACY, text, wanted);
    }
}

#[test]
fn metadata_says_the_types() {
    let text = "const meta: any[] = [];
        (Reflect as any).metadata = (k: string, v: any) => (t: any, p?: any) => { meta.push([k, p, Array.isArray(v) ? v.map((x: any) => x?.name) : v?.name]); };
        class Service {} interface I {} enum E { A = 'a' } type U = string | number;
        const d = (..._: any[]): any => {};
        @d class A {
          constructor(s: Service, i: I, n: number) {}
          @d when: Date; @d list: string[]; @d u: U; @d opt?: boolean; @d e: E; @d self: Promise<A>;
          @d async m(a: string, b: Service | null): Promise<void> {}
        }
        for (const [k, p, v] of meta) console.log(k, String(p), JSON.stringify(v));";
    let wanted = r#"design:type when "Date"
design:type list "Array"
design:type u "Object"
design:type opt "Boolean"
design:type e "String"
design:type self "Promise"
design:type m "Function"
design:paramtypes m ["String","Object"]
design:returntype m "Promise"
design:type undefined "Function"
design:paramtypes undefined ["Service","Object","Number"]"#;
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for entry in ["main.ts", "main.mts"] {
        let copy = super::Copy::of(&[(entry, text), ("tsconfig.json", METADATA)]);
        assert_eq!(sorted(&copy.run(entry)), sorted(wanted));
    }
}

#[test]
fn metadata_refers_to_imported_classes() {
    prints(
        &[
            ("main.ts", "(Reflect as any).metadata = (k: string, v: any) => () => console.log(k, v.map?.((x: any) => x.name));
                import { Service } from './service'; import { type Only } from './service';
                const d = (k: any) => k; @d class A { constructor(private s: Service, o: Only) {} }"),
            ("service.ts", "export class Service {} export interface Only {}"),
            ("tsconfig.json", METADATA),
        ],
        "design:paramtypes [ 'Service', 'Object' ]\ndesign:type undefined",
    );
}
