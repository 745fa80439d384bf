import { processLogits, processorsOf, softmax, tensor, type ProcessorOptions, type ProcessorState } from '#lib/index';
import { expectClose } from '../support/compare';
import { Fixture, fixtureNames, type Stored, type Values } from '../support/fixtures';

// The reference's own processors: see test/fixtures/README.md.

interface Case {
  name: string;
  op: string;
  params: Params;
  inputs: Record<string, Stored>;
  outputs: Record<string, Stored>;
}
type Params = Record<string, unknown>;

const PROCESSORS = { abs: 1e-5, rel: 0 };

/** Parameters that bear the name of an option. */
const OPTIONS: Record<string, keyof ProcessorOptions> = {
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  typical_p: 'typicalP',
  epsilon_cutoff: 'epsilonCutoff',
  eta_cutoff: 'etaCutoff',
  repetition_penalty: 'repetitionPenalty',
  encoder_repetition_penalty: 'encoderRepetitionPenalty',
  no_repeat_ngram_size: 'noRepeatNgramSize',
  encoder_no_repeat_ngram_size: 'encoderNoRepeatNgramSize',
  bad_words_ids: 'badWordsIds',
  sequence_bias: 'sequenceBias',
  min_length: 'minLength',
  min_new_tokens: 'minNewTokens',
  forced_bos_token_id: 'forcedBosTokenId',
  forced_eos_token_id: 'forcedEosTokenId',
  suppress_tokens: 'suppressTokens',
  begin_suppress_tokens: 'beginSuppressTokens',
  diversity_penalty: 'diversityPenalty',
};

function optionsOf(op: string, params: Params): ProcessorOptions {
  const named = Object.entries(params).flatMap(([key, value]) => (OPTIONS[key] ? [[OPTIONS[key], value]] : []));
  return {
    ...(Object.fromEntries(named) as ProcessorOptions),
    ...(op === 'renormalize' && { renormalizeLogits: true }),
    ...(op === 'remove_invalid' && { removeInvalidValues: true }),
    ...(op === 'exponential_decay' && {
      exponentialDecayLengthPenalty: [params.start as number, params.factor as number] as const,
    }),
  };
}

const int32 = (values: Values) => tensor(Int32Array.from(values.data), values.shape);
const each = (rows: number, value: number) => tensor(new Int32Array(rows).fill(value));

function stateOf(params: Params, inputs: Record<string, Values>): ProcessorState {
  const { input_ids: ids, encoder_input_ids: source, current_tokens: chosen, scores } = inputs;
  const rows = scores!.shape[0]!;
  const begin = (params.begin_index ?? params.prompt_length ?? 0) as number;
  // The tokens of groups before this one, of the one batch item that there is.
  const before = (params.beam_group_idx as number) * rows;
  return {
    ...(ids && { history: int32(ids), lengths: each(rows, ids.shape[1]!) }),
    promptLengths: each(rows, begin),
    maxLengths: each(rows, (params.max_length ?? 0) as number),
    ...(source && { source: int32(source), sourceLengths: each(source.shape[0]!, source.shape[1]!) }),
    ...(chosen && { groupTokens: tensor(Int32Array.from(chosen.data.subarray(0, before)), [1, before]) }),
  };
}

if (!fixtureNames('ops').includes('processors')) {
  test.skip('the fixtures are not there', () => undefined);
} else {
  const fixture = new Fixture<{ cases: Case[] }>('ops/processors');
  test.each(fixture.cases.cases.map((one) => [`processors: ${one.name}`, one] as const))('%s', async (_, one) => {
    const { op, params, outputs } = one;
    const inputs = Object.fromEntries(Object.entries(one.inputs).map(([key, stored]) => [key, fixture.value(stored)]));
    const chain = processorsOf(optionsOf(op, params), {
      eosTokenIds: [params.eos_token_id ?? []].flat() as number[],
      minTokensToKeep: (params.min_tokens_to_keep ?? 1) as number,
    });
    expect(chain.length).toBeGreaterThan(0);
    const { data, shape } = inputs.scores!;
    using scores = processLogits(tensor(Float32Array.from(data), shape), chain, stateOf(params, inputs));
    expectClose(await scores.data(), fixture.value(outputs.scores!).data, PROCESSORS, 'score');
    if (!outputs.probs) return;
    using probabilities = softmax(scores);
    expectClose(await probabilities.data(), fixture.value(outputs.probs).data, PROCESSORS, 'probability');
  });
}
