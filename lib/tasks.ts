import { checkOptions, rangeError, typeError } from './check';
import { readDefaults } from './generation/defaults';
import type { GenerationOptions } from './generation/options';
import type { Tokenizer } from './tokenizer/tokenizer';

export interface TranslateOptions extends GenerationOptions {
  /** Language of the text, as the model names it ('en'). */
  from?: string | undefined;
  /** Language wanted ('de'). */
  to?: string | undefined;
}

/** What stands before a text, and the options that a task has of its own. */
interface TaskSettings {
  prefix: string;
  defaults: GenerationOptions;
}

type Values = Readonly<Record<string, unknown>>;

/** config.json's `task_specific_params`, as T5 has them. */
function tasksOf(config: Values): Readonly<Record<string, Values>> {
  const tasks = config.task_specific_params;
  return typeof tasks === 'object' && tasks !== null ? (tasks as Record<string, Values>) : {};
}

function settingsOf(config: Values, task: Values | undefined, vocabSize: number): TaskSettings {
  const { prefix = '', ...params } = task ?? {};
  return { prefix: String(prefix), defaults: readDefaults({}, params, vocabSize).options };
}

/**
 * What a translation takes: that of config.json for the two languages, or a token of the target language (Marian).
 *
 * @throws TypeError, RangeError for languages that the model does not name.
 */
export function translation(
  name: string,
  config: Values,
  tokenizer: Tokenizer | undefined,
  { from, to }: TranslateOptions,
  vocabSize: number,
): TaskSettings {
  for (const [key, value] of Object.entries({ from, to })) {
    if (value !== undefined && typeof value !== 'string') throw typeError(name, key, 'a language', value);
  }
  const tasks = tasksOf(config);
  const known = Object.keys(tasks).filter((task) => /^translation_\w+_to_\w+$/.test(task));
  if (known.length > 0) {
    const task = `translation_${from}_to_${to}`;
    if (!known.includes(task)) {
      const pairs = known.map((one) => one.slice('translation_'.length).replace('_to_', ' to ')).join(', ');
      throw new RangeError(
        `[${name}] from and to must name one of the model's pairs, ${pairs}, but are ${from} and ${to}`,
      );
    }
    return settingsOf(config, tasks[task], vocabSize);
  }
  if (to === undefined) return { prefix: '', defaults: {} };
  const token = `>>${to}<<`;
  if (tokenizer?.tokenToId(token) === undefined)
    throw rangeError(name, 'to', 'left out: the model names no languages', to);
  return { prefix: `${token} `, defaults: {} };
}

/** What a summary takes. */
export function summary(config: Values, vocabSize: number): TaskSettings {
  return settingsOf(config, tasksOf(config).summarization, vocabSize);
}

/** Texts with the prefix of a task. */
export function withPrefix<T extends string | readonly string[]>(name: string, text: T, prefix: string): T {
  const texts: readonly unknown[] = Array.isArray(text) ? text : [text];
  for (const [index, one] of texts.entries()) {
    if (typeof one !== 'string')
      throw typeError(name, Array.isArray(text) ? `text[${index}]` : 'text', 'a string', one);
  }
  const all = (texts as string[]).map((one) => prefix + one);
  return (Array.isArray(text) ? all : all[0]!) as T;
}

/** Options without those that are not for generate(). */
export function withoutLanguages(name: string, options: TranslateOptions): GenerationOptions {
  if (typeof options !== 'object' || options === null) checkOptions(name, options, []);
  const others = { ...options };
  delete others.from;
  delete others.to;
  return others;
}
