import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { loadModel, type ForwardInput, type ForwardResult, type Model } from 'heddle';
import { architectures } from '#lib/models/load';
import { expectClose, MODELS } from '../support/compare';
import { FLOATS } from '../support/dtype';
import { Fixture, fixtureNames, fixtures, type Stored } from '../support/fixtures';

// Every case of every model folder whose architecture is supported, against the reference's results.

interface Cases {
  architecture: string;
  forward: {
    name: string;
    inputs: Record<string, Stored>;
    outputs: Record<string, { shape: number[]; max_abs: number; noise?: number }>;
  }[];
  generate: { name: string; inputs: Record<string, number[][]>; params: Record<string, unknown>; sequences: number[][]; sequences_scores?: number[]; scores?: { tensor: string } }[];
}

const INPUTS: Record<string, keyof ForwardInput> = {
  input_ids: 'ids',
  attention_mask: 'mask',
  position_ids: 'positions',
  token_type_ids: 'tokenTypes',
  global_attention_mask: 'globalMask',
  decoder_input_ids: 'decoderIds',
  decoder_attention_mask: 'decoderMask',
};
/** Outputs by name; the others are captured. */
const OUTPUTS: Record<string, Exclude<keyof ForwardResult, 'captured'>> = {
  logits: 'logits',
  start_logits: 'startLogits',
  end_logits: 'endLogits',
  last_hidden_state: 'lastHiddenState',
  pooler_output: 'poolerOutput',
  encoder_last_hidden_state: 'encoderLastHiddenState',
};
/** Of parameters of generation that are not called as the options are: nothing here begins with a token of its own. */
const IGNORED = ['bos_token_id'];
const camelCase = (key: string) => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** How far an output may be off, relative to its largest element: see test/fixtures/README.md. */
const HALF_TOLERANCE = { float16: 5e-2, bfloat16: 1e-1 };
/** By what a dtype's rounding is coarser than that of float32, whose effect is `noise`. */
const COARSER = { float16: 2 ** 13, bfloat16: 2 ** 16 };

/** Normalized behind each layer, so that there is no norm at the end. */
const isPostNorm = (architecture: string) => /^(Bert|Longformer|Marian|Bart)/.test(architecture);

/** The path at which `capture` has what the reference calls `output`; undefined: nowhere. */
function pathOf(output: string, { forward, architecture }: { forward: Cases['forward'][number]; architecture: string }): string | undefined {
  const [, side = '', kind, number] =
    /^(encoder_|decoder_|cross_|)(hidden_states|attentions|global_attentions)\/(\d+)$/.exec(output) ?? [];
  if (number === undefined) return undefined;
  if (side === 'cross_') return `decoder.layers.${number}.crossAttention.weights`;
  const stack = side.replace('_', '.');
  if (kind === 'attentions') return `${stack}layers.${number}.attention.weights`;
  if (kind === 'global_attentions') return `layers.${number}.attention.globalWeights`;
  if (number === '0') return `${stack}embeddings`;
  const isLast = !(`${side}hidden_states/${Number(number) + 1}` in forward.outputs);
  return isLast && !isPostNorm(architecture) ? `${stack}norm` : `${stack}layers.${Number(number) - 1}`;
}

/** Of which dtype forward() gives an output. */
const dtypeOf = (output: string, dtype: string) => (/logits$|attentions/.test(output) ? 'float32' : dtype);

/** Whether an element of an output means something: rows of padding, and of global tokens that are not there, do not. */
function hasMeaning(
  output: string,
  shape: readonly number[],
  element: number,
  { mask, globalMask }: { mask: ArrayLike<number>; globalMask: Float64Array },
): boolean {
  const perToken = /^(start|end)_logits$/.test(output);
  if (shape.length === 2 && !perToken) return true; // one row a sequence
  const [batch = 1, tokens = 1, width = 1] = perToken ? [...shape, 1] : [shape[0], shape.at(-2), shape.at(-1)];
  const row = Math.floor(element / width);
  const sequence = Math.floor(element / (shape.reduce((product, size) => product * size, 1) / batch));
  if (output.startsWith('global_attentions')) {
    const length = globalMask.length / batch; // [B, H, T', G]
    const globals = globalMask.subarray(sequence * length, (sequence + 1) * length).filter((one) => one !== 0).length;
    return element % width < globals;
  }
  return mask[sequence * tokens + (row % tokens)] !== 0;
}

const known = (names: object, table: object) => Object.keys(names).every((name) => name in table);

if (fixtureNames('models').length === 0) test.skip('no fixtures of models', () => undefined);

for (const name of fixtureNames('models')) {
  const folder = path.join(fixtures, 'models', name);
  const config = JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as { architectures?: string[] };
  if (!config.architectures?.some((architecture) => architectures.includes(architecture))) {
    test.skip(`${name}: architecture ${config.architectures?.join() ?? 'unnamed'} is not supported`, () => undefined);
    continue;
  }

  describe.each(FLOATS)(`${name} in %s`, (dtype) => {
    const fixture = new Fixture<Cases>(`models/${name}`);
    let model: Model;
    beforeAll(async () => {
      model = await loadModel(folder, { dtype });
    });
    afterAll(() => model.dispose());

    for (const forward of fixture.cases.forward) {
      const { name: caseName, inputs, outputs } = forward;
      const { architecture } = fixture.cases;
      const place = (output: string) => pathOf(output, { forward, architecture });
      /** Rounding alone, which is that much coarser, takes the output beyond the tolerance: nothing could be told. */
      const isTooCoarse = (output: string) => {
        const { max_abs: largest, noise = 0 } = outputs[output]!;
        return dtype !== 'float32' && COARSER[dtype] * noise > HALF_TOLERANCE[dtype] * largest;
      };
      for (const output of Object.keys(outputs).filter(isTooCoarse)) {
        test.skip(`${name} forward ${caseName}: ${output}, for which ${dtype} is too coarse`, () => undefined);
      }
      const supported = Object.keys(outputs).filter(
        (output) => (output in OUTPUTS || place(output) !== undefined) && !isTooCoarse(output),
      );
      for (const output of Object.keys(outputs)) {
        if (dtype === 'float32' && !supported.includes(output)) test.skip(`${name} forward ${caseName}: ${output}`, () => undefined);
      }
      (known(inputs, INPUTS) ? test : test.skip)(`${name} forward ${caseName}`, async () => {
        const result = model.forward({
          ...(Object.fromEntries(
            Object.entries(inputs).map(([key, value]) => [INPUTS[key]!, value as unknown as number[][]]),
          ) as { ids: number[][] }),
          capture: supported.flatMap((output) => place(output) ?? []),
        });
        const maskOf = (output: string) => {
          const ofTarget = 'decoder_input_ids' in inputs && !output.startsWith('encoder_');
          return fixture.value(inputs[ofTarget ? 'decoder_attention_mask' : 'attention_mask'] ?? []).data;
        };
        const globalMask = fixture.value(inputs.global_attention_mask ?? []).data;
        for (const output of supported) {
          const path = place(output);
          const tensor = (path === undefined ? result[OUTPUTS[output]!] : result.captured[path])!;
          const { shape, max_abs: largest, noise = 0 } = outputs[output]!;
          expect([tensor.shape, tensor.dtype]).toEqual([shape, dtypeOf(output, dtype)]);
          const expected = fixture.tensor(`${caseName}/${output}`).data;
          const actual = await tensor.data();
          const kept = (_: number, i: number) => hasMeaning(output, shape, i, { mask: maskOf(output), globalMask });
          const tolerance = (value: number) =>
            dtype === 'float32'
              ? Math.max(MODELS.abs + MODELS.rel * Math.abs(value), 20 * noise)
              : HALF_TOLERANCE[dtype] * largest;
          const wanted = expected.filter(kept);
          expectClose(actual.filter(kept), wanted, (i) => tolerance(wanted[i]!), `${output} element`);
        }
      });
    }

    if (dtype !== 'float32') return; // ids are those of float32: others may differ
    for (const generate of fixture.cases.generate) {
      test(`${name} generate ${generate.name}`, async () => {
        const { inputs, params, sequences, sequences_scores: wanted, scores } = generate;
        const { input_ids: ids, attention_mask: mask, decoder_input_ids: decoderIds } = inputs;
        const named = Object.entries(params).filter(([key]) => !IGNORED.includes(key));
        const options = Object.fromEntries(named.map(([key, value]) => [camelCase(key), value]));
        const prompt = { ids: ids!, ...(mask && { mask }) };
        const results = await model.generate(prompt, {
          ...{ eosTokenId: null, decoderIds, returnScores: scores !== undefined },
          ...options,
        });
        const { num_return_sequences: perPrompt = 1, decoder_start_token_id: start } = params as Record<string, number>;
        const all = Array.isArray(results) ? results : [results];
        const begins = decoderIds ?? (start === undefined ? ids! : ids!.map(() => [start]));
        const rows = all.map(({ tokens }, i) => [...begins[Math.floor(i / perPrompt)]!, ...tokens]);
        const longest = Math.max(...rows.map((row) => row.length));
        const pad = (row: number[]) => [...row, ...new Array<number>(longest - row.length).fill(params.pad_token_id as number)];
        expect(rows.map(pad)).toEqual(sequences);
        const near = (wanted: ArrayLike<number>) => (i: number) => MODELS.abs + MODELS.rel * Math.abs(wanted[i]!);
        if (wanted) expectClose(all.map(({ score }) => score!), wanted, near(wanted), 'score');
        if (scores) {
          const expected = fixture.tensor(scores.tensor).data; // [batch, step, vocab]
          const actual = all.flatMap((result) => result.scores!.flatMap((row) => [...row]));
          expectClose(actual, expected, near(expected), 'score');
        }
      });
    }
  });
}
