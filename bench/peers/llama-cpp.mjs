// llama.cpp, through node-llama-cpp, as an engine of bench/child.mjs. Of its binaries the one for the CPU.
import * as path from 'node:path';
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';
import { FOLDER, MODELS, PROMPT, writeOnce } from '../random-models.mjs';
import { stopwatch } from '../stopwatch.mjs';
import { writeGguf } from './gguf.mjs';

let llama;

async function load({ model, weights, threads }) {
  const modelPath = writeOnce(path.join(FOLDER, `${model}-gguf`, `${weights}.gguf`), (file) =>
    writeGguf(file, MODELS[model], weights),
  );
  const quiet = { logLevel: LlamaLogLevel.error, progressLogs: false };
  llama ??= await getLlama({ gpu: false, build: 'never', skipDownload: true, maxThreads: threads, ...quiet });
  const loaded = await llama.loadModel({ modelPath, gpuLayers: 0 });
  const context = await loaded.createContext({ contextSize: 1024, batchSize: 512, threads, flashAttention: true });
  const close = async () => {
    await context.dispose();
    await loaded.dispose();
  };
  return { sequence: context.getSequence(), close };
}

/** None of the special ones. */
const idsOf = (length) => Array.from({ length }, (_, i) => 300 + ((i * 31) % 30000));

const TASKS = {
  async prefill(task) {
    const { sequence, close } = await load(task);
    const ids = idsOf(task.tokens);
    return {
      async run() {
        await sequence.clearHistory();
        await sequence.evaluateWithoutGeneratingNewTokens(ids);
      },
      close,
    };
  },

  async decode(task) {
    const { sequence, close } = await load(task);
    const prompt = idsOf(PROMPT);
    return {
      async run() {
        await sequence.clearHistory();
        const stream = sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true });
        await stream.next(); // the prompt's
        const elapsed = stopwatch();
        for (let i = 0; i < task.tokens; ++i) {
          const { done } = await stream.next();
          if (done) throw new Error(`it ended after ${i} tokens`);
        }
        const sample = elapsed(task.tokens);
        await stream.return();
        return sample;
      },
      close,
    };
  },
};

export const open = (task) => TASKS[task.kind](task);
