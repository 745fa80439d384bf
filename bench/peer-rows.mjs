// What `npm run bench:peers` measures: heddle and what a user would take instead, on the same shapes.
import { ATTENTION_FORMS } from './peers/onnx-models.mjs';
import {
  attentionFlops,
  behaviour,
  CONFIGURATIONS,
  decodeRow,
  encodeRow,
  layerNorm,
  ours,
  prefillRow,
  SLOW,
} from './rows.mjs';

const onnxruntime = (task, form) => ({ label: `onnxruntime ${form}`, engine: 'onnxruntime', task });
const transformers = (task, form) => ({ label: `transformers.js ${form}`, engine: 'transformers', task });
const torch = (task) => ({ label: 'PyTorch', engine: 'torch', task });

/** In onnxruntime float32 whatever ours is: it has no other on the CPU. Its best form is what counts. */
function attention(mask, length, dtype) {
  const task = { kind: 'attention', mask, heads: 12, width: 64, length, dtype };
  const forms = Object.keys(ATTENTION_FORMS).filter((form) => ATTENTION_FORMS[form].masks?.includes(mask) ?? true);
  return {
    id: `attention ${mask} H12 D64 T${length} ${dtype}`,
    flops: attentionFlops(mask, 12, length, 64),
    computes: dtype,
    contenders: [ours(task), ...forms.map((form) => onnxruntime({ ...task, form }, `float32 ${form}`)), torch(task)],
    bestOf: 'onnxruntime',
    rounds: 5,
  };
}

/** A row of ours with its peers, and with reading where there is. */
const beside = ({ task, reading, ...row }, peers) => ({
  ...row,
  contenders: [ours(task), ...peers(task), ...(reading ? [reading] : [])],
});

/** What comes nearest to each configuration of ours. */
const NEAREST = {
  float32: { llama: ['BF16'], onnx: ['float32'] },
  bfloat16: { llama: ['BF16'], onnx: [] },
  int8: { llama: ['Q8_0'], onnx: ['int8'] },
  int4: { llama: ['Q4_0'], onnx: [] },
};

function llamaPeers({ dtype, quantize, ...task }) {
  const { llama, onnx } = NEAREST[quantize ?? dtype];
  return [
    ...llama.map((weights) => ({ label: `llama.cpp ${weights}`, engine: 'llamaCpp', task: { ...task, weights } })),
    ...onnx.map((form) => onnxruntime({ ...task, quantize }, form)),
  ];
}

const onnxPeers = (task) => {
  const form = task.quantize ?? 'float32';
  return [onnxruntime(task, form), transformers(task, form)];
};

function* everything() {
  for (const dtype of ['float32', 'bfloat16']) {
    for (const mask of ['dense', 'causal']) for (const length of [512, 2048]) yield attention(mask, length, dtype);
  }
  for (const isCold of [true, false]) yield beside(layerNorm(2048, 768, isCold), (task) => [torch(task)]);
  for (const [dtype, quantize] of CONFIGURATIONS) {
    yield beside(prefillRow('llama-110M', 512, dtype, quantize), llamaPeers);
    yield beside(decodeRow('llama-110M', 64, dtype, quantize), llamaPeers);
  }
  yield { ...beside(decodeRow('llama-1.1B', 64, 'float32', 'int4'), llamaPeers), isBig: true, ...SLOW, rounds: 3 };
  for (const quantize of [undefined, 'int8']) {
    yield beside(encodeRow('bert-base', 128, 'float32', quantize), onnxPeers);
  }
  yield beside(decodeRow('gpt2-124M', 64, 'float32'), onnxPeers);
  yield* behaviour();
}

export const rows = [...everything()];
