// Draws the masks of docs/attention.md into docs/pictures: node tools/pictures.mjs
import { mkdirSync, writeFileSync } from 'node:fs';
import { mask } from 'heddle';

const [n, sequence] = [24, { queries: 24, keys: 24 }];
const documents = Array.from({ length: n }, (_, i) => Math.floor((i + 3) / 9));
const pictures = {
  causal: mask.causal(),
  'sliding-window': mask.slidingWindow(5),
  'sliding-window-both': mask.slidingWindow(3, 3),
  dilated: mask.dilated(5, 3),
  strided: mask.strided(5),
  fixed: mask.fixed(6, 1),
  'prefix-lm': mask.causal().or(mask.prefix(7)),
  documents: mask.causal().and(mask.documents(documents)),
  padding: mask.padding(17),
  longformer: mask.slidingWindow(2, 2).or(mask.globalTokens([0, 11])),
  bigbird: mask.bigBird(n, { blockSize: 2, seed: 3 }),
  random: mask.random(1, 4),
  tree: mask.tree([-1, 0, 0, 1, 1, 2, 5, 5]),
};

mkdirSync('docs/pictures', { recursive: true });
for (const [name, one] of Object.entries(pictures)) {
  const extent = name === 'tree' ? { queries: 8, keys: 14 } : sequence;
  writeFileSync(`docs/pictures/${name}.svg`, await one.toSVG({ ...extent, title: name.replaceAll('-', ' ') }));
}
