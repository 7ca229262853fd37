// Classes by their names, and networks by what they take.

const LONGEST = 40; // of a class in the middle of a sentence

/** Return the name of a group's class; its number where it has none. */
export function named({ labels }, index) {
  return labels[index] ?? String(index);
}

/** Return a name that fits into a sentence. */
export function cut(name) {
  return name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name;
}

/** Return the size and colours that a group's networks take, for people. */
export function described({ height, width, channels }) {
  return `${width}×${height}, ${{ 1: "grey", 3: "colour" }[channels] ?? `${channels} channels`}`;
}
