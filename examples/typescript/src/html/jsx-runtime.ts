// Elements as text: what `<p>…</p>` becomes without any library.

type Child = Html | string | number | Child[] | undefined;
type Props = { children?: Child } & Record<string, unknown>;

export namespace JSX {
  export type Element = Html;
  export type IntrinsicElements = Record<string, { children?: Child; class?: string }>;
}

export class Html {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

const SIGNS: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const safe = (text: string): string => text.replace(/[&<>"]/g, (sign) => SIGNS[sign]);

function show(child: Child): string {
  if (Array.isArray(child)) return child.map(show).join('');
  return child instanceof Html ? child.text : safe(String(child ?? ''));
}

export function jsx(tag: string | ((props: Props) => Html), props: Props): Html {
  if (typeof tag === 'function') return tag(props);
  const { children, ...rest } = props;
  const attributes = Object.entries(rest).map(([name, value]) => ` ${name}="${safe(String(value))}"`);
  return new Html(`<${tag}${attributes.join('')}>${show(children)}</${tag}>`);
}

export const jsxs = jsx;
