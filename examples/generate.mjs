// Text from the built-in model, as it comes: node examples/generate.mjs "To be, or"
import { loadModel } from 'heddle';

const model = await loadModel('builtin:shakespeare');
for await (const piece of model.stream(process.argv[2] ?? 'JULIET:\n', { temperature: 0.7, maxNewTokens: 200 })) {
  process.stdout.write(piece.text);
}
await model.dispose();
