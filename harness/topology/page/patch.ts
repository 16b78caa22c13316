import type { Shape } from '../shape.ts';

const SVG = 'http://www.w3.org/2000/svg';

/** What tells a node from its siblings, beside the document: hostile names cannot clash with anything there. */
const keys = new WeakMap<Node, string>();

/**
 * Makes an element's children what the shapes say, keeping the nodes that are there already: focus, scrolling and the
 * pointer stay where they are. Text only ever becomes text nodes.
 */
export function patch(parent: Element, shapes: readonly (Shape | string)[]): void {
  const old = new Map<string, ChildNode>();
  for (const child of parent.childNodes) old.set(keys.get(child) ?? '', child);
  let cursor: ChildNode | null = parent.firstChild;
  for (const [index, shape] of shapes.entries()) {
    const key = keyOf(shape, index);
    const node = old.get(key) ?? make(parent, shape, key);
    old.delete(key);
    if (node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
    if (typeof shape === 'string') {
      if (node.nodeValue !== shape) node.nodeValue = shape;
    } else update(node as Element, shape);
  }
  for (const node of old.values()) node.remove();
}

function keyOf(shape: Shape | string, index: number): string {
  if (typeof shape === 'string') return `text ${index}`;
  return shape.key === undefined ? `${shape.tag} ${index}` : `${shape.tag} key ${shape.key}`;
}

function make(parent: Element, shape: Shape | string, key: string): ChildNode {
  const node = typeof shape === 'string' ? document.createTextNode(shape) : element(parent, shape.tag);
  keys.set(node, key);
  return node;
}

function element(parent: Element, tag: string): Element {
  const inSvg = tag === 'svg' || parent.namespaceURI === SVG;
  return inSvg ? document.createElementNS(SVG, tag) : document.createElement(tag);
}

function update(node: Element, { attributes, children }: Shape): void {
  for (const { name } of [...node.attributes]) if (!(name in attributes)) node.removeAttribute(name);
  for (const [name, value] of Object.entries(attributes)) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  patch(node, children);
}
