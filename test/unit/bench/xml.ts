// A strict reader of XML without DTDs, processing instructions and CDATA: for checking that a page
// is well-formed, and for looking into it. Throws at the first thing that XML forbids.

export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: (XmlElement | string)[];
}

const entities: Record<string, string> = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&#39;": "'",
};

function decoded(text: string): string {
  if (/[<>]/.test(text)) throw new Error(`markup in text: ${text}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML has none of them.
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Cs}/u.test(text)) {
    throw new Error(`a character that XML does not have: ${JSON.stringify(text)}`);
  }
  return text.replace(/&[^;]*;?/g, (entity) => {
    const character = entities[entity];
    if (character === undefined) throw new Error(`no entity: ${entity}`);
    return character;
  });
}

function attributesOf(text: string): Map<string, string> {
  const attributes = new Map<string, string>();
  const pattern = /\s+([a-zA-Z][a-zA-Z0-9-]*)="([^"]*)"/y;
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(text);
    if (match === null) throw new Error(`attributes: ${text.slice(at)}`);
    if (attributes.has(match[1])) throw new Error(`attribute twice: ${match[1]}`);
    attributes.set(match[1], decoded(match[2]));
  }
  return attributes;
}

/** The root element of a document. */
export function parseXml(document: string): XmlElement {
  const top: XmlElement = { name: "", attributes: new Map(), children: [] };
  const open = [top];
  const pattern = /<(\/?)([a-zA-Z][a-zA-Z0-9]*)((?:"[^"]*"|[^"<>])*?)(\/?)>|([^<]+)/y;
  pattern.lastIndex = document.startsWith("<!DOCTYPE html>") ? "<!DOCTYPE html>".length : 0;
  while (pattern.lastIndex < document.length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(document);
    if (match === null) throw new Error(`no XML: ${document.slice(at, at + 80)}`);
    const [, end, name, rest, empty, text] = match;
    const parent = open[open.length - 1];
    if (text !== undefined) parent.children.push(decoded(text));
    else if (end === "/") {
      if (open.pop()?.name !== name) throw new Error(`</${name}> closes <${parent.name}>`);
    } else {
      const element = { name, attributes: attributesOf(rest), children: [] };
      parent.children.push(element);
      if (empty === "") open.push(element);
    }
  }
  if (open.length !== 1) throw new Error(`not closed: ${open[open.length - 1].name}`);
  const roots = top.children.filter((child) => typeof child !== "string");
  if (roots.length !== 1) throw new Error(`${roots.length} root elements`);
  return roots[0];
}

/** All elements of that name, in the order of the document. */
export function elements(root: XmlElement, name: string): XmlElement[] {
  const below = root.children.flatMap((child) =>
    typeof child === "string" ? [] : elements(child, name),
  );
  return root.name === name ? [root, ...below] : below;
}

/** The text of an element and all in it. */
export function textOf(element: XmlElement): string {
  return element.children
    .map((child) => (typeof child === "string" ? child : textOf(child)))
    .join("");
}
