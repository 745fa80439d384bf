import path from 'node:path';
import { loadModel, type Model } from 'heddle';
import { fixtureNames, fixtures } from '../support/fixtures';

// Inner tensors: of every path there is, and that asking for them changes nothing.

const bytes = (data: ArrayBufferView) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

const ids = [
  [5, 6, 7, 8],
  [0, 9, 10, 11],
];
const mask = [
  [1, 1, 1, 1],
  [0, 1, 1, 1],
];

for (const name of ['gpt2', 'llama-gqa', 'bloom']) {
  if (!fixtureNames('models').includes(name)) {
    test.skip(`no fixtures: ${name}`, () => undefined);
    continue;
  }

  describe(name, () => {
    let model: Model;
    beforeAll(async () => {
      model = await loadModel(path.join(fixtures, 'models', name));
    });
    afterAll(() => model.dispose());

    /** Every path that the message about an unknown one names. */
    function paths(): string[] {
      try {
        model.forward({ ids, capture: ['?'] });
      } catch (error) {
        return /this model has (.*), and so on/.exec((error as Error).message)![1]!.split(', ');
      }
      throw new Error('an unknown path was taken');
    }

    test('every path gives a tensor, and the logits stay what they are', async () => {
      const plain = model.forward({ ids, mask });
      const asked = model.forward({ ids, mask, capture: paths() });
      expect(bytes(await asked.logits.data()).equals(bytes(await plain.logits.data()))).toBe(true);
      expect(Object.keys(plain.captured)).toEqual([]);
      expect(Object.keys(asked.captured).sort()).toEqual(paths().sort());
      for (const [place, tensor] of Object.entries(asked.captured)) {
        expect(tensor.shape.slice(0, 1)).toEqual([2]);
        expect(tensor.shape.at(place.endsWith('.weights') ? 2 : 1)).toBe(4);
        expect([...(await tensor.data())].every(Number.isFinite)).toBe(true);
      }
    });

    test('a padded row gives what it gives alone, its padding 0', async () => {
      const capture = ['layers.1', 'layers.1.attention.weights', 'layers.1.attention.heads'];
      const positions = name === 'bloom' ? undefined : [[1, 2, 3]]; // counted with the padding
      const both = model.forward({ ids, mask, capture }).captured;
      const alone = model.forward({ ids: [ids[1]!.slice(1)], positions, capture }).captured;
      for (const place of capture) {
        const [padded, own] = [both[place]!.slice(0, 1, 2), alone[place]!];
        const isWeights = place.endsWith('.weights');
        const real = isWeights ? padded.slice(2, 1, 4).slice(3, 1, 4) : padded.slice(1, 1, 4);
        expect(bytes(await real.data()).equals(bytes(await own.data()))).toBe(true);
        const padding = isWeights ? [padded.slice(2, 0, 1), padded.slice(3, 0, 1)] : [padded.slice(1, 0, 1)];
        for (const zeros of padding) expect(new Set(await zeros.data())).toEqual(new Set([0]));
      }
    });
  });
}
