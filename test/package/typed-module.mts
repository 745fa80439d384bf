import { loadModel, type FinishReason, type Generated, type Model } from 'heddle';

const model: Model = await loadModel('builtin:shakespeare', { device: 'cpu' });
const { text, finishReason }: Generated = await model.generate('To be, or', { maxNewTokens: 32, doSample: false });
const reasons: FinishReason[] = [finishReason];
// @ts-expect-error: were the package's types not found, all of this would be any
reasons.push(model);
process.stdout.write(text);
await model.dispose();
