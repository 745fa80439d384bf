import { summary, translation, withoutLanguages, withPrefix } from '#lib/tasks';

// What translate() and summarize() add to generate().

const T5 = {
  task_specific_params: {
    summarization: { prefix: 'summarize: ', num_beams: 4, length_penalty: 2, no_repeat_ngram_size: 3, max_length: 200 },
    translation_en_to_de: {
      prefix: 'translate English to German: ',
      early_stopping: true,
      num_beams: 4,
      max_length: 300,
    },
  },
};
const NAME = 'Model.translate';

test('a pair of languages has its prefix and options', () => {
  expect(translation(NAME, T5, undefined, { from: 'en', to: 'de' }, 100)).toEqual({
    prefix: 'translate English to German: ',
    defaults: { earlyStopping: true, numBeams: 4, maxLength: 300 },
  });
  expect(() => translation(NAME, T5, undefined, { from: 'en', to: 'fr' }, 100)).toThrow(/en to de, but are en and fr/);
  expect(() => translation(NAME, T5, undefined, {}, 100)).toThrow(RangeError);
  expect(() => translation(NAME, T5, undefined, { from: 1 as never }, 100)).toThrow(/\[Model.translate\] from/);
});

test('a model for two languages needs none; a token names the language where there is one', () => {
  const tokenizer = { tokenToId: (token: string) => (token === '>>fr<<' ? 7 : undefined) } as never;
  expect(translation(NAME, {}, undefined, {}, 100)).toEqual({ prefix: '', defaults: {} });
  expect(translation(NAME, {}, tokenizer, { to: 'fr' }, 100)).toEqual({ prefix: '>>fr<< ', defaults: {} });
  expect(() => translation(NAME, {}, tokenizer, { to: 'es' }, 100)).toThrow(/\[Model.translate\] to/);
});

test('a summary', () => {
  expect(summary(T5, 100)).toEqual({
    prefix: 'summarize: ',
    defaults: { numBeams: 4, lengthPenalty: 2, noRepeatNgramSize: 3, maxLength: 200 },
  });
  expect(summary({}, 100)).toEqual({ prefix: '', defaults: {} });
});

test('texts and options', () => {
  expect(withPrefix(NAME, 'a', 'p: ')).toBe('p: a');
  expect(withPrefix(NAME, ['a', 'b'], 'p: ')).toEqual(['p: a', 'p: b']);
  expect(() => withPrefix(NAME, ['a', 1 as never], '')).toThrow(/text\[1\]/);
  expect(withoutLanguages(NAME, { from: 'en', to: 'de', numBeams: 2 })).toEqual({ numBeams: 2 });
  expect(() => withoutLanguages(NAME, null as never)).toThrow(TypeError);
});
