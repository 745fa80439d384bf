// The attentions of recurrent translators (Bahdanau et al., 2015; Luong et al., 2015): where one decoder state looks.
//
//   node examples/bahdanau-and-luong.mjs
import { mask, nn, random } from 'heddle';

const [batch, words, width] = [1, 6, 16];
const queries = random.normal([batch, 1, width], { seed: 1 }); // one state of the decoder
const keys = random.normal([batch, words, width], { seed: 2 }); // states of the encoder
const keep = { mask: mask.padding([5]) }; // the last word is padding

const source = nn.initialParameters({ seed: 3 });
const layers = {
  'Bahdanau, additive': new nn.BahdanauAttention(source, '', { queryWidth: width, keyWidth: width, width: 12 }),
  'Luong, dot': new nn.LuongAttention(source, '', { score: 'dot', queryWidth: width }),
  'Luong, general': new nn.LuongAttention(source, '', { score: 'general', queryWidth: width }),
  'Luong, concat': new nn.LuongAttention(source, '', { score: 'concat', queryWidth: width, width: 12 }),
  'Luong, local-p': new nn.LuongAttention(source, '', { score: 'local-p', queryWidth: width, windowSize: 2 }),
};
for (const [name, layer] of Object.entries(layers)) {
  const { weights, positions } = layer.forward(queries, keys, keep);
  const row = [...(await weights.data())].map((weight) => weight.toFixed(3)).join('  ');
  const place = positions ? `  around ${(await positions.data())[0].toFixed(2)}` : '';
  console.log(`${name.padEnd(20)}${row}${place}`);
}
