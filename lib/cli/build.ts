import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import type { Command } from 'commander';

/** `heddle build`. */
export function addBuild(program: Command): void {
  program
    .command('build')
    .description('compiles the native library where none was shipped; needs CMake and a C++17 compiler')
    .option('--cuda', 'the CUDA library too; needs nvcc')
    .addHelpText('after', '\nExample:\n  $ npx heddle build')
    .action((flags: { cuda?: true }) => {
      const script = path.resolve(__dirname, '../../tools/build-native.cjs');
      const definitions = flags.cuda ? ['-DHEDDLE_CUDA=ON'] : [];
      const { status } = spawnSync(process.execPath, [script, ...definitions], { stdio: 'inherit' });
      if (status !== 0) throw new Error('the native library was not built');
    });
}
