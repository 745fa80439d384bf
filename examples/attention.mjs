// Causal attention on tensors of one's own: node examples/attention.mjs
import { attention, mask, scope, tensor } from 'heddle';

const [batch, heads, length, width] = [1, 2, 4, 8];
const random = () =>
  tensor(Float32Array.from({ length: batch * heads * length * width }, Math.random), [batch, heads, length, width]);

const y = scope(() => attention(random(), random(), random(), { mask: mask.causal() }));
console.log(y.shape, await y.data());
y.dispose();
