// @huggingface/transformers as an engine of bench/child.mjs: onnxruntime's graphs, with its own way around them.
import { writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { AutoModel, AutoModelForCausalLM, env, Tensor } from '@huggingface/transformers';
import { FOLDER, idsOf, MODELS, PROMPT } from '../random-models.mjs';
import { stopwatch } from '../stopwatch.mjs';
import { modelFile } from './onnxruntime.mjs';

env.allowRemoteModels = false;
env.localModelPath = FOLDER;

const CONFIGS = {
  bert: ({ width, layers, heads, vocabulary }) => ({
    model_type: 'bert',
    architectures: ['BertModel'],
    hidden_size: width,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    vocab_size: vocabulary,
  }),
  gpt2: ({ width, layers, heads, vocabulary }) => ({
    model_type: 'gpt2',
    architectures: ['GPT2LMHeadModel'],
    n_embd: width,
    n_layer: layers,
    n_head: heads,
    vocab_size: vocabulary,
  }),
};

function load(Model, { model, quantize, threads }) {
  const folder = path.dirname(path.dirname(modelFile(model, quantize)));
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(CONFIGS[MODELS[model].family](MODELS[model])));
  const session_options = { intraOpNumThreads: threads, interOpNumThreads: 1 };
  return Model.from_pretrained(path.basename(folder), {
    dtype: quantize ? 'q8' : 'fp32',
    device: 'cpu',
    session_options,
  });
}

const int64 = (values) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);

const TASKS = {
  async encode(task) {
    const model = await load(AutoModel, task);
    const inputs = {
      input_ids: int64(idsOf(MODELS[task.model], task.tokens)),
      attention_mask: int64(new Array(task.tokens).fill(1)),
      token_type_ids: int64(new Array(task.tokens).fill(0)),
    };
    return {
      async run(count) {
        for (let i = 0; i < count; ++i) await model(inputs);
      },
      close: () => model.dispose(),
    };
  },

  /** A step: what `tokens` take longer than one. */
  async decode(task) {
    const model = await load(AutoModelForCausalLM, task);
    const inputs = {
      input_ids: int64(idsOf(MODELS[task.model], PROMPT)),
      attention_mask: int64(new Array(PROMPT).fill(1)),
    };
    const timed = async (count) => {
      const elapsed = stopwatch();
      await model.generate({ ...inputs, max_new_tokens: count, do_sample: false });
      return elapsed();
    };
    return {
      async run() {
        const [first, all] = [await timed(1), await timed(1 + task.tokens)];
        return { ms: (all.ms - first.ms) / task.tokens, cpuMs: (all.cpuMs - first.cpuMs) / task.tokens };
      },
      close: () => model.dispose(),
    };
  },
};

export const open = (task) => TASKS[task.kind](task);
