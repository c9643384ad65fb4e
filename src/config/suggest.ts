// "Did you mean": the known key nearest to an unknown one. Pure text, no knowledge of the schema
// beyond the words that ip-link(8), bridge(8) and ip-route(8) use for the same things.

const MAX_GUESSED_LENGTH = 40;

/** What `ip` and `bridge` call it -> what the configuration calls it. */
const OTHER_WORDS: Readonly<Record<string, readonly string[]>> = {
  id: ["vni"],
  dstport: ["port"],
  link: ["dev"],
  ifname: ["name"],
  address: ["mac", "addresses"],
  lladdr: ["mac"],
  ip: ["dst"],
  group: ["remotes"],
  gateway: ["via"],
  gw: ["via"],
  dst: ["to"],
  ageing: ["ageing_s"],
  ageing_time: ["ageing_s"],
  maxaddress: ["max_entries"],
  neigh: ["neighbors"],
  neighbours: ["neighbors"],
  udpcsum: ["udp_csum"],
};

/** Options of ip-link(8) for which there is no key, each with what there is instead. */
const WITHOUT_KEY: Readonly<Record<string, string>> = {
  external: "a tunnel for each VNI: metadata of `external` does not reach a TAP",
  vnifilter: "a tunnel for each VNI: metadata of `external` does not reach a TAP",
  gpe: "no such key: VXLAN-GPE is not supported",
  localbypass: "no such key: a remote that is this host gets packets like any other",
};

/** What to say of an option that culvert has not; undefined for any other word. */
export function insteadOf(word: string): string | undefined {
  return Object.hasOwn(WITHOUT_KEY, word) ? WITHOUT_KEY[word] : undefined;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(previous[j] + 1, row[j - 1] + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, before[j - 2] + 1);
      }
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length];
}

/** The known word that `given` most likely stands for, or undefined when none is near. */
export function suggest(given: string, known: readonly string[]): string | undefined {
  if (given.length > MAX_GUESSED_LENGTH) return undefined;
  const word = given.toLowerCase().replaceAll("-", "_");
  if (known.includes(word)) return word;
  const other = Object.hasOwn(OTHER_WORDS, word) ? OTHER_WORDS[word] : [];
  const translated = other.find((candidate) => known.includes(candidate));
  if (translated !== undefined) return translated;
  let best: string | undefined;
  let bestDistance = word.length <= 3 ? 2 : 3;
  for (const candidate of known) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}
