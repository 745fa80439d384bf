import { existsSync, readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { loadModel, logSoftmax, scope, type Model } from 'heddle';
import { architectures } from '#lib/models/load';
import { expectClose, MODELS } from '../support/compare';

// Trained models with the reference's ids, texts and logits: <folder>/reference.json beside <folder>/hf*/.

interface Reference {
  prompt: string;
  prompt_ids: number[];
  greedy_ids: number[];
  greedy_text: string;
  full_text: string;
  last_logits: number[];
  logits_mean_abs_per_position: number[];
  nll_of_prompt: number;
}

/** Of an encoder-decoder; logits are those of the first tokens of the vocabulary. */
interface PairReference {
  source: string;
  source_ids: number[];
  greedy_ids: number[];
  greedy_log_probability: number;
  first_step_logits: number[];
  /** Texts and sums of log-probabilities, best first. */
  beam4: [text: string, sum: number][];
}

const root = process.env.HEDDLE_MODELS ?? path.resolve('../shared/models');
const names = existsSync(root)
  ? readdirSync(root, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  : [];
const folders = names.flatMap((name) =>
  readdirSync(path.join(root, name))
    .filter((part) => existsSync(path.join(root, name, part, 'config.json')))
    .map((part) => ({ name: `${name}/${part}`, folder: path.join(root, name, part), reference: path.join(root, name) })),
);

if (folders.length === 0) test.skip(`no models in ${path.basename(root)}`, () => undefined);

for (const { name, folder, reference } of folders) {
  const config = JSON.parse(readFileSync(path.join(folder, 'config.json'), 'utf8')) as { architectures?: string[] };
  const supported = config.architectures?.some((architecture) => architectures.includes(architecture));
  const file = path.join(reference, 'reference.json');
  if (!existsSync(file)) {
    test.skip(`${name}: no reference.json`, () => undefined);
    continue;
  }
  if (!supported) {
    test.skip(`${name}: architecture ${config.architectures?.join() ?? 'unnamed'} is not supported`, () => undefined);
    continue;
  }
  const all = (JSON.parse(readFileSync(file, 'utf8')) as { cases: (Reference | PairReference)[] }).cases;
  const pairs = all.filter((one) => 'source_ids' in one);
  const cases = all.filter((one) => 'prompt_ids' in one);

  describe(name, () => {
    let model: Model;
    beforeAll(async () => {
      model = await loadModel(folder, { dtype: 'float32' });
    });
    afterAll(() => model.dispose());

    if (pairs.length > 0) {
      test.each(pairs.map((one) => [one.source, one] as const))(`${name} forward %j`, async (_, one) => {
        const start = model.config.decoder_start_token_id as number;
        const decoderIds = [start, ...one.greedy_ids.slice(0, -1)];
        const { logits } = model.forward({ ids: one.source_ids, decoderIds });
        const values = [...(await logits.data())];
        const row = (i: number) => values.slice(i * model.vocabSize, (i + 1) * model.vocabSize);
        expectClose(row(0).slice(0, one.first_step_logits.length), one.first_step_logits, MODELS, 'first logit');
        const best = decoderIds.map((_, i) => row(i).indexOf(Math.max(...row(i))));
        expect(best).toEqual(one.greedy_ids);
        const scores = await scope(() => logSoftmax(logits)).data();
        const sum = one.greedy_ids.reduce((total, id, i) => total + scores[i * model.vocabSize + id]!, 0);
        expectClose([sum], [one.greedy_log_probability], MODELS, 'log probability');
      });

      test.each(pairs.map((one) => [one.source, one] as const))(`${name} generate %j`, async (_, one) => {
        const { tokens, logprobs } = await model.generate(one.source_ids, { logprobs: 0 });
        expect(tokens).toEqual(one.greedy_ids);
        const sum = logprobs!.reduce((total, { logProb }) => total + logProb, 0);
        expectClose([sum], [one.greedy_log_probability], MODELS, 'log probability');
      });

      const vocabulary = JSON.parse(readFileSync(path.join(folder, 'vocab.json'), 'utf8')) as { target: Record<string, number> };
      const texts = new Map(Object.entries(vocabulary.target).map(([text, id]) => [id, text]));
      test.each(pairs.map((one) => [one.source, one] as const))(`${name} beams of %j`, async (_, one) => {
        // As they were made: the search ends with the fourth hypothesis.
        const options = { numBeams: 4, numReturnSequences: 4, lengthPenalty: 0, earlyStopping: true, maxNewTokens: 40 };
        const beams = await model.generate(one.source_ids, options);
        const ends = model.config.eos_token_id as number;
        const found = beams.map(({ tokens }) => tokens.filter((id) => id !== ends).map((id) => texts.get(id)).join(''));
        expect(found).toEqual(one.beam4.map(([text]) => text));
        expectClose(beams.map(({ score }) => score!), one.beam4.map(([, sum]) => sum), MODELS, 'sum');
      });
      return;
    }

    test.each(cases.map((one) => [one.prompt, one] as const))(`${name} generate %j`, async (prompt, one) => {
      const result = await model.generate(prompt, { eosTokenId: null, maxNewTokens: one.greedy_ids.length,
        skipSpecialTokens: false, doSample: false });
      expect(model.tokenizer!.encode(prompt)).toEqual(one.prompt_ids);
      expect(result.tokens).toEqual(one.greedy_ids);
      expect(result.text).toBe(one.greedy_text);
      expect(model.tokenizer!.decode([...one.prompt_ids, ...result.tokens])).toBe(one.full_text);
    });

    test.each(cases.map((one) => [one.prompt, one] as const))(`${name} forward %j`, async (_, one) => {
      const ids = one.prompt_ids;
      const { logits } = model.forward({ ids });
      const values = [...(await logits.data())];
      const row = (i: number) => values.slice(i * model.vocabSize, (i + 1) * model.vocabSize);
      expectClose(row(ids.length - 1), one.last_logits, MODELS, 'last logit');
      const means = ids.map((_, i) => row(i).reduce((sum, value) => sum + Math.abs(value), 0) / model.vocabSize);
      expectClose(means, one.logits_mean_abs_per_position, MODELS, 'position');
      const scores = await scope(() => logSoftmax(logits)).data();
      const nll = ids.slice(1).map((id, i) => -scores[i * model.vocabSize + id]!);
      const mean = nll.reduce((sum, value) => sum + value, 0) / nll.length;
      expectClose([mean], [one.nll_of_prompt], MODELS, 'likelihood');
    });
  });
}
