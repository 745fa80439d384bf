import heddle = require('heddle');

async function main(): Promise<void> {
  const model: heddle.Model = await heddle.loadModel('builtin:shakespeare', { device: 'cpu' });
  const { text }: heddle.Generated = await model.generate('To be, or', { maxNewTokens: 32, doSample: false });
  process.stdout.write(text);
  await model.dispose();
}
void main();
