import * as heddle from 'heddle';

const model = await heddle.loadModel('builtin:shakespeare', { device: 'cpu' });
const { text } = await model.generate('To be, or', { maxNewTokens: 32, doSample: false });
process.stdout.write(text);
await model.dispose();
