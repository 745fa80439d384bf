// Do the simulator's tests bite? Each row takes one wait, one barrier or one bounds test out of a scratch copy of a
// kernel's source; the tests named must then fail. What the simulator cannot tell is not here: a barrier of a warp, say,
// between a copy and a product that all its lanes take part in.
//
// Usage: node test/native/simt/mutations.cjs [build tree] [--minutes <count>]
//   --minutes  as many as are begun in that time, drawn anew each day; else all
'use strict';

const { spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { availableParallelism, tmpdir } = require('node:os');
const { basename, dirname, join, resolve } = require('node:path');
const { parseArgs } = require('node:util');

const root = resolve(__dirname, '../../..');
const { values: flags, positionals } = parseArgs({ options: { minutes: { type: 'string' } }, allowPositionals: true });
const build = resolve(positionals[0] ?? join(root, 'build/simt'));
const end = flags.minutes === undefined ? Infinity : Date.now() + Number(flags.minutes) * 60_000;
const SECONDS = 120; // of a run: one that hangs bites too

// [file, what is taken out, what stands there instead, source that is compiled, tests]
const mutations = [
  ['beam.cu', 'problem.done += p;', '', 'beam.cu', 'beam'],
  ['beam.cu', 'problem.step = step;', '', 'beam.cu', 'beam'],
  ['beam.cu', 'problem.tokens += p * rows_per_problem;', '', 'beam.cu', 'beam'],
  ['reorder.cu', 'if (from < 0) return;', '', 'reorder.cu', 'reorder'],
  [
    'reorder.cu',
    'const int64_t keys = group.keys(), full = keys / kPageKeys;',
    'const int64_t keys = group.keys(), full = 0;',
    'reorder.cu',
    'reorder',
  ],
  ['attention.cu', 'wait_copies<kStages - 2>();', '', 'attention.cu', 'attention'],
  ['attention.cu', 'sync_block();  // the slice', '// the slice', 'attention.cu', 'attention'],
  ['attention.cu', 'if (rows.first + r >= tile.rows) continue;', '', 'attention.cu', 'attention'],
  ['attention.cu', 'if (at >= p.pages.value_width) continue;', '', 'attention.cu', 'attention'],
  ['attention_tile.h', ' || key >= limit_of(p, tile, r)', '', 'attention.cu', 'attention'],
  ['attention_tile.h', 'if (place == -kInfinity) kept', 'if (false) kept', 'attention.cu', 'attention'],
  ['attention_problem.h', 'product += bias_at', 'bias_at', 'attention.cu', 'attention'],
  [
    'attention_problem.h',
    'limit < 0 ? 0 : limit < sequence.keys ? limit : sequence.keys',
    'limit',
    'attention.cu',
    'attention',
  ],
  ['pages.h', '(p.cross ? 0 : end - begin)', '(end - begin)', 'attention.cu', 'attention'],
  ['attention_mma.h', '+ lane_row() + e / 2 * 8', '+ lane_row()', 'attention_half.cu', 'attention_half'],
  ['attention_half.cu', 'if (!p.split) start_states(p, tile, rows);', '', 'attention_half.cu', 'attention_half'],
  [
    'attention_hopper.cu',
    '        rows.shrink_values(rises, shrinks);\n',
    '',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  [
    'attention_hopper.cu',
    '        wait_products<0>(rows.values[0]);\n        arrive_together(exchange.values_free[before.slot]);',
    '        arrive_together(exchange.values_free[before.slot]);\n        wait_products<0>(rows.values[0]);',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  [
    'attention_hopper.cu',
    '        wait_products<Plain ? 1 : 0>(rows.scores[0]);\n',
    '',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  [
    'attention_hopper.cu',
    '    fence_async();\n    sync_group();',
    '    sync_group();',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  ['attention_hopper.cu', '  if (group == 1) pass_turn();\n', '', 'attention_hopper.cu', 'attention_hopper'],
  ['attention_hopper.cu', 'at < Tile::kSlot; at +=', 'at < 0; at +=', 'attention_hopper.cu', 'attention_hopper'],
  [
    'attention_hopper.cu',
    '    wait(exchange.tile_full[tile_turn.slot], tile_turn.parity);\n',
    '',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  [
    'attention_hopper.h',
    '      wait(exchange.keys_free[turn.slot], turn.parity ^ 1);\n',
    '',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  [
    'attention_hopper.h',
    '      wait(exchange.values_free[turn.slot], turn.parity ^ 1);\n',
    '',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  [
    'attention_hopper.h',
    'chunk ^ (key & 7 & ~swizzle_mask(left, chunk))',
    'chunk ^ (key & 7)',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  ['attention_hopper.h', 'sync_named(kAllBarrier, Tile::kThreads);', '', 'attention_hopper.cu', 'attention_hopper'],
  [
    'attention_hopper.h',
    'hidden = (some >> (key / 8 * 2 + key % 2) & 1) == 0;',
    'hidden = false;',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  [
    'attention_hopper.h',
    'bool hidden = block.index() * kKeys + key >= keys;',
    'bool hidden = false;',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  [
    'attention_hopper.h',
    '  fence_async();\n  sync_named(kGroupBarrier',
    '  sync_named(kGroupBarrier',
    'attention_hopper.cu',
    'attention_hopper',
  ],
  ['hopper.h', 'parity ^= slot == 0 ? 1 : 0;', '', 'attention_hopper.cu', 'attention_hopper'],
  ['linear_hopper.cu', '      wait(ring.free[turn.slot], turn.parity ^ 1);\n', '', 'linear_hopper.cu', 'linear_hopper'],
  ['linear_hopper.cu', '      wait(ring.full[turn.slot], turn.parity);\n', '', 'linear_hopper.cu', 'linear_hopper'],
  [
    'linear_hopper.cu',
    'wait_products<1>();\n      if (before >= 0) arrive_together(ring.free[before]);',
    'if (before >= 0) arrive_together(ring.free[before]);\n      wait_products<1>();',
    'linear_hopper.cu',
    'linear_hopper',
  ],
  ['linear_hopper.cu', 'step > 0 || k > 0', 'k > 0', 'linear_hopper.cu', 'linear_hopper'],
  [
    'linear_hopper.cu',
    'if (m >= p.rows || n >= p.n) continue;',
    'if (n >= p.n) continue;',
    'linear_hopper.cu',
    'linear_hopper',
  ],
  [
    'linear_hopper.cu',
    'i < k ? x[block_x() * k + i] : T{}',
    'x[block_x() * k + i]',
    'linear_hopper.cu',
    'linear_hopper',
  ],
  [
    'linear_hopper.cu',
    '    sync_named(1 + group, kWarpgroup);\n    HEDDLE_NO_UNROLL',
    '    HEDDLE_NO_UNROLL',
    'linear_hopper.cu',
    'linear_hopper',
  ],
  ['linear_hopper.cu', '    sync_named(1 + group, kWarpgroup);\n  }', '  }', 'linear_hopper.cu', 'linear_hopper'],
  ['attention_scores.cu', 'before += share;', 'before = share;', 'attention_scores.cu', 'attention'],
  ['attention_tile.h', 'page && first + d < p.pages.key_width', 'page', 'attention.cu', 'attention'],
  ['attention_tile.h', ' && d < width', '', 'attention.cu', 'attention'],
  ['attention_tile.h', '(kept >> (2 * r + i) & 1) != 0 ? place *', 'true ? place *', 'attention.cu', 'attention'],
  [
    'attention.cu',
    'slices.land(stages[turn], floats);\n    sync_block();',
    'sync_block();\n    slices.land(stages[turn], floats);',
    'attention.cu',
    'attention',
  ],
  [
    'attention_tile.h',
    'return q && first + coordinate + i < p.pages.key_width',
    'return q',
    'attention.cu',
    'attention',
  ],
  ['attention_tile.h', 'if (row >= tile.rows) return;', '', 'attention.cu', 'attention'],
  [
    'attention_tile.h',
    'if (whole || (wanted >> (key + i) & 1) != 0) continue;',
    'continue;',
    'attention.cu',
    'attention',
  ],
  ['mask.h', ' || j < 0 || j >= shape[3]', '', 'mask.cu', 'mask'],
  ['mask.h', 'position < 0 || position >= width ? -1 :', 'false ? -1 :', 'mask.cu', 'mask'],
  ['linear.cu', 'wait_copies<Tile::kStages - 2>();', '', 'linear.cu', 'linear'],
  ['linear.cu', 'sync_block();  // the slice', '// the slice', 'linear.cu', 'linear'],
  ['linear.cu', 'const bool wanted = k + row < p.k;', 'const bool wanted = true;', 'linear.cu', 'linear'],
  [
    'linear.cu',
    'first_row + row < p.rows && k + column < p.k;\n      copy_async<16>',
    'k + column < p.k;\n      copy_async<16>',
    'linear.cu',
    'linear',
  ],
  ['linear.cu', 'if (m >= p.rows || n >= p.n) continue;', 'if (m >= p.rows) continue;', 'linear.cu', 'linear'],
  ['linear.cu', 'if (m >= p.rows || n >= p.n) continue;', 'if (n >= p.n) continue;', 'linear.cu', 'linear'],
  [
    'pack_panels.cu',
    'column < n ? weight[column * n_step + i * k_step] : T{}',
    'weight[column * n_step + i * k_step]',
    'pack_panels.cu',
    'linear',
  ],
  [
    'linear_attention.cu',
    'sync_block();  // the tile before',
    '// the tile before',
    'linear_attention.cu',
    'linear_attention',
  ],
  [
    'linear_attention.cu',
    'sync_block();  // the tile is there',
    '// the tile is there',
    'linear_attention.cu',
    'linear_attention',
  ],
  [
    'linear_attention.cu',
    'sync_block();  // and its sums',
    '// and its sums',
    'linear_attention.cu',
    'linear_attention',
  ],
  [
    'linear_attention.cu',
    'if (writes && p.padding.keeps(b, step)) update',
    'if (writes) update',
    'linear_attention.cu',
    'linear_attention',
  ],
  ['linear_attention.cu', 'if (i < 0) continue;', '', 'linear_attention.cu', 'linear_attention'],
  ['linear_half.cu', 'wait_copies<kStages - 2>();', '', 'linear_half.cu', 'linear'],
  ['linear_half.cu', 'sync_block();  // the slice', '// the slice', 'linear_half.cu', 'linear'],
  ['linear_half.cu', 'wait_copies<0>();\n  sync_block();', '', 'linear_half.cu', 'linear'],
  [
    'linear_half.cu',
    'const bool wanted = k + row < p.k && column',
    'const bool wanted = column',
    'linear_half.cu',
    'linear',
  ],
  ['linear_half.cu', ' && column < p.n;', ';', 'linear_half.cu', 'linear'],
  [
    'linear_half.cu',
    'first.row + row < p.rows && k + chunk * kChunk < p.k',
    'first.row + row < p.rows',
    'linear_half.cu',
    'linear',
  ],
  [
    'linear_half.cu',
    'if (m >= p.rows || n >= p.n) continue;',
    'if (m >= p.rows) continue;',
    'linear_half.cu',
    'linear',
  ],
  [
    'linear_half.cu',
    'x + swizzled<Tile::kDepth / kChunk>(at, chunk)',
    'x + at * Tile::kDepth + chunk * kChunk',
    'linear_half.cu',
    'linear',
  ],
  ['linear_quantized.cu', 'wait_copies<R::kStages - 2>();', '', 'linear_quantized.cu', 'quantized'],
  ['linear_quantized.cu', 'sync_block();  // the rows', '// the rows', 'linear_quantized.cu', 'quantized'],
  ['linear_quantized.cu', 'sync_block();  // all have read their', '// their', 'linear_quantized.cu', 'quantized'],
  ['linear_quantized.cu', "sync_block();  // all warps' sums", '// sums', 'linear_quantized.cu', 'quantized'],
  ['linear_quantized.cu', 'wait_copies<kStages - 2>();', '', 'linear_quantized.cu', 'quantized'],
  ['linear_quantized.cu', 'sync_block();  // the slice', '// the slice', 'linear_quantized.cu', 'quantized'],
  [
    'linear_quantized.cu',
    'sync_block();  // all have read the last',
    '// the last',
    'linear_quantized.cu',
    'quantized',
  ],
  ['linear_quantized.cu', 'sync_block();  // all sums', '// all sums', 'linear_quantized.cu', 'quantized'],
  [
    'linear_quantized.cu',
    'const bool wanted = group < p.groups;',
    'const bool wanted = true;',
    'linear_quantized.cu',
    'quantized',
  ],
  ['linear_quantized.cu', 'if (first + at >= p.finish.n) continue;', '', 'linear_quantized.cu', 'quantized'],
  [
    'linear_quantized.cu',
    'if (m >= p.rows || n >= p.finish.n) continue;',
    'if (m >= p.rows) continue;',
    'linear_quantized.cu',
    'quantized',
  ],
  [
    'linear_quantized.cu',
    'if (m >= p.rows || n >= p.finish.n) continue;',
    'if (n >= p.finish.n) continue;',
    'linear_quantized.cu',
    'quantized',
  ],
  ['linear_quantized.cu', 'p.k <= Weight::kMostOfFew', 'true', 'linear_quantized.cu', 'quantized'],
  ['pack_quantized.cu', 'counts && at < k ?', 'counts ?', 'pack_quantized.cu', 'quantized'],
  ['pack_quantized.cu', 'if (row < n) {', '{', 'pack_quantized.cu', 'quantized'],
  ['attention_half.cu', 'wait_for(0, nullptr);', '', 'attention_half.cu', 'attention_half'],
  ['attention_half.cu', 'wait_for(1, scales_at(0) + kKeys);', '', 'attention_half.cu', 'attention_half'],
  [
    'attention_half.cu',
    'if (is_scaled()) widen_slot<Tile>(value_scales, memory_at(on));\n      sync_block();',
    'sync_block();\n      if (is_scaled()) widen_slot<Tile>(value_scales, memory_at(on));',
    'attention_half.cu',
    'attention_half',
  ],
  [
    'attention_half.cu',
    'sync_block();  // nobody reads this tile',
    '// nobody reads this tile',
    'attention_half.cu',
    'attention_half',
  ],
  [
    'attention_rows.h',
    'rows.first() + r >= tile.rows || left <= 0',
    'left <= 0',
    'attention_half.cu',
    'attention_half',
  ],
  ['attention_rows.h', 'if (j * 8 + 1 < left) ', '', 'attention_half.cu', 'attention_half'],
  [
    'attention_half.cu',
    'ParkedTotals<Tile>(plan), work.in_first_span',
    'ParkedTotals<Tile>(plan), false',
    'attention_half.cu',
    'attention_half',
  ],
  ['attention_blocks.h', 'p.pages.data, at < elements', 'p.pages.data, true', 'attention_half.cu', 'attention_half'],
  ['attention_blocks.h', 'q && chunk * kChunk < width', 'q', 'attention_half.cu', 'attention_half'],
  [
    'attention_mma.h',
    '(lane_chunk ^ chunk % 8 * kChunk)',
    '(lane_chunk + chunk % 8 * kChunk)',
    'attention_half.cu',
    'attention_half',
  ],
  ['attention_mma.h', 'if (!keeps_inline(', 'if (false && !keeps_inline(', 'attention_half.cu', 'attention_half'],
  ['attention_mma.h', 'left < 0 ? 0 : left < kKeys ? left : kKeys', 'kKeys', 'attention_half.cu', 'attention_half'],
  ['attention_mma.h', 'two[0] &= low;', '', 'attention_half.cu', 'attention_half'],
  ['attention_mma.h', 'if (ballot(rises) == 0) return;', 'return;', 'attention_half.cu', 'attention_half'],
  [
    'attention_problem.h',
    'values[i] = first + i < spans ?',
    'values[i] = true ?',
    'attention_half.cu',
    'attention_half',
  ],
  ['cast.cu', 'if (x >= 0x1p31f) return INT32_MAX;', '', 'cast.cu', 'cast'],
  ['cast.cu', '((x & 0xFF) != 0 ? 0x100 : 0)', '0', 'cast.cu', 'cast'],
  ['reduce.h', '= value;\n  sync_block();', '= value;', 'layer_norm.cu', 'layer_norm'],
  ['reduce.h', 'sync_block();  // the slots', '// the slots', 'layer_norm.cu', 'layer_norm'],
  ['layer_norm.cu', '+= i < left ?', '+= true ?', 'layer_norm.cu', 'layer_norm'],
  ['norm_row.h', 'if (i < width) body', 'body', 'rms_norm.cu', 'rms_norm'],
  ['norm_row.h', 'index < rows.count ? rows.width : 0', 'rows.width', 'rms_norm.cu', 'rms_norm'],
  ['lanes.h', 'if (i < count) p[i] =', 'p[i] =', 'rms_norm.cu', 'rms_norm'],
  ['lanes.h', 'if (i < count) words.at', 'words.at', 'activation.cu', 'activate'],
  ['strided.h', 'x.shape[own] != 1) steps', 'true) steps', 'elementwise.cu', 'binary'],
  ['elementwise.cu', 'a != a || a > b', 'a > b', 'elementwise.cu', 'binary'],
  ['row_lse.h', 'if (i + j < width) body', 'body', 'softmax.cu', 'softmax'],
  ['row_lse.h', 'fabsf(top) == kInfinity ? 0.0f : top', 'top', 'reduce.cu', 'reduce'],
  ['cross_entropy.cu', 'label < 0 || label >= width', 'label < 0', 'cross_entropy.cu', 'cross_entropy'],
  ['softmax.cu', '= best;\n  sync_block();', '= best;', 'softmax.cu', 'argmax'],
  ['rope.cu', 'sync_block();', '', 'rope.cu', 'rope'],
  ['rope.cu', 'row < 0 || row >= p.rows', 'row >= p.rows', 'rope.cu', 'rope'],
  ['matmul.cu', 'sync_block();  // the slices', '// the slices', 'matmul.cu', 'matmul'],
  ['matmul.cu', 'sync_block();  // nobody', '// nobody', 'matmul.cu', 'matmul'],
  ['matmul.cu', 'line < lines && step < depth ?', 'step < depth ?', 'matmul.cu', 'matmul'],
  ['matmul.cu', 'line < lines && step < depth ?', 'line < lines ?', 'matmul.cu', 'matmul'],
  ['matmul.cu', 'if (m < p.m && n < p.n)', 'if (m < p.m)', 'matmul.cu', 'matmul'],
  ['top_k.cu', '= count_bits(lanes);\n    sync_block();', '= count_bits(lanes);', 'top_k.cu', 'top_k'],
  ['top_k.cu', 'sync_block();  // the counts', '// the counts', 'top_k.cu', 'top_k'],
  [
    'scatter.cu',
    'atomic_min(&chosen[index[i]], static_cast<unsigned long long>(rows - 1 - i))',
    'chosen[index[i]] = static_cast<unsigned long long>(rows - 1 - i)',
    'scatter.cu',
    'scatter',
  ],
  ['scatter.cu', 'given < 0 || given > limit', 'given > limit', 'scatter.cu', 'scatter'],
  ['embedding.cu', 'id / kPanelWidth * panel_bytes', '0', 'embedding.cu', 'quantized'],
  ['embedding.cu', 'id >= 0 && id < vocabulary', 'id >= 0', 'embedding.cu', 'embedding'],
  ['gather.cu', 'from < -1 || ', '', 'gather.cu', 'gather_rows'],
  ['kv_cache.cu', 'if (any_of_block(wrong)) return;', 'if (wrong) return;', 'kv_cache.cu', 'kv_cache'],
  ['kv_cache.cu', 'd < width ? element(x[d * step]) : C{}', 'element(x[d * step])', 'kv_cache.cu', 'kv_cache'],
  ['to_integers.h', 'largest < kNotFinite && ', '', 'kv_cache.cu', 'kv_cache'],
  [
    'pages.h',
    'if (begin < 0 || end < begin || end > p.tokens) return',
    'if (begin < 0) return',
    'attention.cu',
    'attention',
  ],
  ['pages.h', 'page < 0 || page >= p.num_pages) return nullptr', 'page < 0) return nullptr', 'kv_cache.cu', 'kv_cache'],
  ['favor.cu', 'if (padding.keeps(b, i / features)) top', 'top', 'favor.cu', 'favor_features'],
  ['random.cu', 'if (j < n) out[i + j] = narrow<T>(first', 'out[i + j] = narrow<T>(first', 'random.cu', 'random'],
  ['random.cu', 'if (j < n) out[i + j] = narrow<T>(words', 'out[i + j] = narrow<T>(words', 'random.cu', 'dropout'],
  ['random.cu', 'sync_block();  // the shares', '// the shares', 'random.cu', 'orthogonalize'],
  ['random.cu', 'sync_block();  // and taken', '// and taken', 'random.cu', 'orthogonalize'],
  ['random.cu', 'sync_block();  // all have measured', '// all have measured', 'random.cu', 'orthogonalize'],
  ['radix_select.h', 's.high[d] = 0;\n', '0;\n', 'sample.cu', 'sample'],
  ['radix_select.h', 's.num_candidates = 0;\n    sync_block();', 's.num_candidates = 0;', 'sample.cu', 'sample'],
  ['radix_select.h', 'sync_block();  // all weights', '// all weights', 'sample.cu', 'sample'],
  ['radix_select.h', '= total;\n  sync_block();', '= total;', 'sample.cu', 'sample'],
  ['radix_select.h', 'sync_block();  // the digit', '// the digit', 'sample.cu', 'sample'],
  ['radix_select.h', 'sync_block();  // all have read', '// all have read', 'top_k.cu', 'top_k'],
  ['radix_select.h', ' + (before + low < before ? 1 : 0)', '', 'sample.cu', 'sample'],
  ['radix_select.h', 'if (place < kCandidates) s', 's', 'top_k.cu', 'top_k'],
  ['radix_select.h', 'collects && s.num_candidates <= kCandidates', 'collects', 'top_k.cu', 'top_k'],
  ['sample.cu', 'if (drawn.token < 0) {', 'if (false) {', 'sample.cu', 'sample'],
  ['team.h', 'f(i);\n    sync_block();', 'f(i);', 'process_logits.cu', 'process_logits'],
  ['team.h', 'a >= b || a != a ? a : b', 'a >= b ? a : b', 'sample.cu', 'sample'],
  ['team.h', 'keys ? 32 + low : low', 'low', 'process_logits.cu', 'process_logits'],
  ['process_logits.cu', 'if (wrong.found) {', 'if (false) {', 'process_logits.cu', 'process_logits'],
  ['token_report.cu', 'token < 0 || token >= p.count', 'token < 0', 'token_report.cu', 'token_report'],
];

const commands = JSON.parse(readFileSync(join(build, 'compile_commands.json'), 'utf8'));
// The tests, not the library that the simulator makes a device of: both are made of the same sources.
const objects = commands.filter((c) => c.command.includes('heddle_simt_test.dir'));
const objectOf = (command) => join(command.directory, / -o (\S+)/.exec(command.command)[1]);

/** Runs a program; its exit status, null if it took too long. */
const run = (program, args, options) =>
  new Promise((done, failed) => {
    const child = spawn(program, args, { timeout: SECONDS * 1000, ...options });
    child.on('error', failed);
    child.on('close', done);
  });

async function buildStep(program, args, options) {
  if ((await run(program, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options })) !== 0) {
    throw new Error(`${program} ${args.join(' ')}`);
  }
}

/** Compiles the mutated source and links it with the other objects; runs the tests. Whether they fail. */
async function bites(scratch, [file, find, replacement, source, tests]) {
  const text = readFileSync(join(root, 'native/cuda', file), 'utf8');
  if (text.split(find).length !== 2) throw new Error(`${file} must have once: ${find}`);
  const copy = join(scratch, 'native/cuda', file);
  mkdirSync(dirname(copy), { recursive: true });
  writeFileSync(
    copy,
    text.replace(find, () => replacement),
  );

  const own = objects.find((c) => basename(c.file) === source);
  const object = join(scratch, 'mutant.o');
  const input = file === source ? copy : own.file;
  const command = own.command
    .replace(/ -o \S+/, ` -w -o ${object} -I${join(scratch, 'native')}`)
    .replace(/-I(?=\S*native )/, `-I${join(scratch, 'native')} -I`)
    .replace(/ -c \S+$/, ` -c ${input}`);
  await buildStep('sh', ['-c', command], { cwd: own.directory });
  const program = join(scratch, 'mutant');
  const sanitize = /-fsanitize=\S+/.exec(command)?.[0] ?? '-g';
  // First: of an inline function that several objects have, the linker keeps the copy that it meets first.
  const linked = [object, ...objects.filter((c) => c !== own).map(objectOf)];
  await buildStep('c++', [sanitize, '-o', program, ...linked]);
  return (await run(program, ['--stop', ...tests.split(' ')], { stdio: 'ignore' })) !== 0;
}

/** In an order of the day's own. */
function shuffled(rows) {
  const day = new Date().toISOString().slice(0, 10);
  const place = new Map(rows.map((row, i) => [row, createHash('sha256').update(`${day} ${i}`).digest('hex')]));
  return [...rows].sort((a, b) => (place.get(a) < place.get(b) ? -1 : 1));
}

let survivors = 0;
const waiting = end === Infinity ? [...mutations] : shuffled(mutations);
async function work() {
  for (let mutation; Date.now() < end && (mutation = waiting.shift());) {
    const scratch = mkdtempSync(join(tmpdir(), 'heddle-mutation-'));
    try {
      if (await bites(scratch, mutation)) continue;
      survivors += 1;
      console.log(`survives: ${mutation[0]} without ${JSON.stringify(mutation[1])}`);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
}
void Promise.all(Array.from({ length: availableParallelism() }, work)).then(() => {
  const left = waiting.length > 0 ? `, ${waiting.length} for another day` : '';
  console.log(`${mutations.length - waiting.length - survivors} bite, ${survivors} survive${left}`);
  process.exitCode = survivors > 0 ? 1 : 0;
});
