/**
 * Elements as plain data: the page makes them in its document, the command line writes them out. Text and attributes
 * stay values until then, so nothing that a name or a header holds can become markup.
 */

export interface Shape {
  readonly tag: string;
  /** Tells siblings apart where their number changes. */
  readonly key?: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (Shape | string)[];
}

type Attribute = string | number | boolean | undefined;
type Child = Shape | string | undefined | false;

/** False and undefined leave an attribute or a child out, true is an attribute without a value. */
export function h(
  tag: string,
  attributes: Readonly<Record<string, Attribute>> = {},
  ...children: readonly (Child | readonly Child[])[]
): Shape {
  const { key, ...rest } = attributes;
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(rest)) {
    if (value !== undefined && value !== false) texts[name] = value === true ? '' : String(value);
  }
  const kept = children.flat().filter((child) => child !== undefined && child !== false);
  return { tag, ...(key === undefined ? {} : { key: String(key) }), attributes: texts, children: kept };
}

/** As XML. */
export function markup(shape: Shape): string {
  const attributes = Object.entries(shape.attributes).map(([name, value]) => ` ${name}="${escapeXml(value)}"`);
  const children = shape.children.map((child) => (typeof child === 'string' ? escapeXml(child) : markup(child)));
  return `<${shape.tag}${attributes.join('')}>${children.join('')}</${shape.tag}>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Control characters that XML does not know are replaced. */
function escapeXml(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '\ufffd')
      .replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
  );
}
