// From YAML text to plain values that remember where they stand.
//
// Goals: every key and value can be given a line and a column; nothing in a file, however hostile,
// costs more than bounded time and memory or ends the process.
// Limits (default-values.ts): nesting is cut while tokens are read, because the YAML composer is
// recursive and a deep stack ends the process rather than throw; what aliases repeat is counted
// before it is built.
// Storage: one tree of TreeNode per document, shared where aliases share.
// YAML 1.2 core schema only: `yes` is a string, tags other than the core ones are problems, so are
// merge keys.

import type { CST, Document, Node, Pair, YAMLMap, YAMLSeq } from "yaml";
import {
  Composer,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  Parser,
} from "yaml";
import { configLimits } from "./default-values.js";
import type { ConfigProblem, Finding, Path } from "./problems.js";
import { describeValue, formatPath, quote } from "./problems.js";

interface TreeNode {
  /** Plain value: null, boolean, number, string, array or object. */
  value: unknown;
  /** Where the value starts; where its key starts when the value is empty text. */
  offset: number;
  /** This node and all below it, aliases counted in full. */
  size: number;
  /** Children by key or index. */
  children: ReadonlyMap<string | number, TreeChild>;
}

interface TreeChild {
  node: TreeNode;
  /** Where the key starts; the item itself in a list. */
  keyOffset: number;
}

const NO_CHILDREN: ReadonlyMap<string | number, TreeChild> = new Map();

/** A parsed document and the means to find places in it. */
export class DocumentTree {
  readonly #root: TreeNode;
  readonly #lines: LineCounter;

  constructor(root: TreeNode, lines: LineCounter) {
    this.#root = root;
    this.#lines = lines;
  }

  /** The whole document as plain values. Aliased parts are shared: do not modify. */
  get value(): unknown {
    return this.#root.value;
  }

  /** Gives a finding its line and column; a missing key is placed at the mapping that lacks it. */
  locate(finding: Finding): ConfigProblem {
    let node: TreeNode | undefined = this.#root;
    let offset = node.offset;
    for (const step of finding.path) {
      const child: TreeChild | undefined = node?.children.get(step);
      node = child?.node;
      if (child !== undefined) offset = finding.at === "key" ? child.keyOffset : child.node.offset;
    }
    return {
      ...position(this.#lines, offset),
      key: formatPath(finding.path),
      expected: finding.expected,
      got: finding.got ?? describeValue(node?.value),
    };
  }
}

/** What came out of the text: a tree unless the syntax is broken, and what is wrong so far. */
export interface ParsedDocument {
  tree: DocumentTree | undefined;
  problems: ConfigProblem[];
}

function position(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

const COMPOSE_OPTIONS = {
  schema: "core",
  version: "1.2",
  // Repeated keys are reported by TreeBuilder, which knows their path.
  uniqueKeys: false,
  prettyErrors: false,
  logLevel: "silent",
} as const;

/** Composes the text, or gives the offset at which it is nested too deeply. */
function compose(text: string, lines: LineCounter): Document.Parsed[] | number {
  const parser = new Parser(lines.addNewLine);
  // Parser.next() does what Parser.parse() does around its lexer, but lets us look at the stack.
  lines.addNewLine(0);
  const tokens: CST.Token[] = [];
  let errors = 0;
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) {
      tokens.push(token);
      if (token.type === "error") errors++;
    }
    if (errors > configLimits.syntaxProblems) break;
    if (parser.stack.length > configLimits.nesting) return parser.offset - lexeme.length;
  }
  for (const token of parser.end()) tokens.push(token);
  return [...new Composer(COMPOSE_OPTIONS).compose(tokens, true, text.length)];
}

/** Parses YAML text; never throws. */
export function parseTree(text: string): ParsedDocument {
  const lines = new LineCounter();
  const documents = compose(text, lines);
  const fail = (offset: number, expected: string, got: string): ParsedDocument => ({
    tree: undefined,
    problems: [{ ...position(lines, offset), key: "", expected, got }],
  });
  if (typeof documents === "number") {
    const expected = `at most ${configLimits.nesting} levels of nesting`;
    return fail(documents, expected, "more");
  }
  const [document, second] = documents;
  const faults = documents
    .flatMap(({ errors, warnings }) => [...errors, ...warnings])
    .slice(0, configLimits.syntaxProblems);
  if (faults.length > 0) {
    const problems = faults.map(({ pos, message }) => ({
      ...position(lines, pos[0]),
      key: "",
      expected: "valid YAML",
      got: `a syntax error: ${message.replace(/\p{Cc}+/gu, " ")}`,
    }));
    return { tree: undefined, problems };
  }
  if (second !== undefined) return fail(second.range[0], "one YAML document", "a second one");
  const builder = new TreeBuilder();
  const root = builder.build(document.contents, 0, []);
  const tree = new DocumentTree(root, lines);
  return { tree, problems: builder.findings.map((finding) => builder.place(finding, lines)) };
}

type PlacedFinding = Finding & { offset: number };

/** Walks the YAML nodes once, follows aliases, and reports what plain values cannot hold. */
class TreeBuilder {
  readonly findings: PlacedFinding[] = [];
  readonly #anchors = new Map<string, TreeNode>();
  #aliasedNodes = 0;

  place(finding: PlacedFinding, lines: LineCounter): ConfigProblem {
    return {
      ...position(lines, finding.offset),
      key: formatPath(finding.path),
      expected: finding.expected,
      got: finding.got ?? describeValue(undefined),
    };
  }

  /** `emptyOffset` is where a value stands that is not written out, as after `local:`. */
  build(source: Node | null | undefined, emptyOffset: number, path: Path): TreeNode {
    if (isAlias(source)) return this.#alias(source.source, source.range?.[0] ?? emptyOffset, path);
    const node = this.#plain(source, emptyOffset, path);
    // Set after the node is complete: an alias inside its own anchor finds nothing and is reported.
    if ((isMap(source) || isSeq(source) || isScalar(source)) && source.anchor !== undefined) {
      this.#anchors.set(source.anchor, node);
    }
    return node;
  }

  #plain(source: Node | null | undefined, emptyOffset: number, path: Path): TreeNode {
    const range = source?.range;
    const offset = range == null ? emptyOffset : range[0];
    if (isMap(source)) return this.#mapping(source, offset, path);
    if (isSeq(source)) return this.#sequence(source, offset, path);
    const empty = range != null && range[0] === range[1];
    const value = isScalar(source) ? source.value : null;
    return { value, offset: empty ? emptyOffset : offset, size: 1, children: NO_CHILDREN };
  }

  #alias(name: string, offset: number, path: Path): TreeNode {
    const target = this.#anchors.get(name);
    if (target === undefined) {
      const expected = "an alias of an anchor that stands complete before it";
      this.findings.push({ path, at: "value", offset, expected, got: `*${name}` });
      return { value: null, offset, size: 1, children: NO_CHILDREN };
    }
    this.#aliasedNodes += target.size;
    if (this.#aliasedNodes > configLimits.aliasedNodes) {
      if (this.#aliasedNodes - target.size <= configLimits.aliasedNodes) {
        const expected = `aliases that repeat at most ${configLimits.aliasedNodes} values in all`;
        this.findings.push({ path, at: "value", offset, expected, got: "more" });
      }
      return { value: null, offset, size: 1, children: NO_CHILDREN };
    }
    return target;
  }

  #sequence(source: YAMLSeq, offset: number, path: Path): TreeNode {
    const value: unknown[] = [];
    const children = new Map<number, TreeChild>();
    let size = 1;
    source.items.forEach((item, index) => {
      // `[a: 1]` is a list with a mapping of one pair; the parser makes it a map node.
      const node = this.build(item as Node | null, offset, [...path, index]);
      value.push(node.value);
      children.set(index, { node, keyOffset: node.offset });
      size += node.size;
    });
    return { value, offset, size, children };
  }

  #mapping(source: YAMLMap, offset: number, path: Path): TreeNode {
    const value: Record<string, unknown> = {};
    const children = new Map<string, TreeChild>();
    let size = 1;
    for (const pair of source.items) {
      const key = this.#key(pair, offset, path);
      if (key === undefined) continue;
      const keyPath = [...path, key.name];
      const node = this.build(pair.value as Node | null, key.offset, keyPath);
      size += node.size;
      if (children.has(key.name)) {
        const [expected, got] = ["each key once", `${quote(key.name)} again`];
        this.findings.push({ path: keyPath, at: "key", offset: key.offset, expected, got });
        continue;
      }
      // Not an assignment: `__proto__` must become a key like any other.
      Object.defineProperty(value, key.name, { value: node.value, enumerable: true });
      children.set(key.name, { node, keyOffset: key.offset });
    }
    return { value, offset, size, children };
  }

  #key(pair: Pair, mapOffset: number, path: Path): { name: string; offset: number } | undefined {
    const key = isPair(pair) ? pair.key : undefined;
    const offset =
      isScalar(key) || isMap(key) || isSeq(key) || isAlias(key)
        ? (key.range?.[0] ?? mapOffset)
        : mapOffset;
    if (isScalar(key) && key.value !== null && key.value !== undefined) {
      return { name: String(key.value), offset };
    }
    const got = isMap(key) ? "a mapping" : isSeq(key) ? "a list" : isAlias(key) ? "an alias" : "";
    const expected = "a key that is one word";
    this.findings.push({ path, at: "key", offset, expected, got: got === "" ? "nothing" : got });
    return undefined;
  }
}
