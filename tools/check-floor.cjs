'use strict';
// What Linux binaries ask of their host: no glibc newer than the floor, and no library that not every host has. Fails
// otherwise.
//
// Usage: node tools/check-floor.cjs <file>...

const { spawnSync } = require('node:child_process');

const FLOOR = '2.28'; // that of Node 20 itself
const LIBRARIES = /^(libc|libm|libdl|librt|libpthread|ld-linux-[\w-]+)\.so\.\d+$/;

const newer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0;

function readelf(...args) {
  const { status, error, stdout, stderr } = spawnSync('readelf', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (error) throw error;
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** { glibc: '2.17', wrong: [] } */
function inspect(file) {
  const wrong = [];
  const versions = new Set();
  for (const [, symbol, set, version] of readelf('--dyn-syms', '-W', file).matchAll(/ UND (\S+?)@(\w+?)_([\d.]+)/g)) {
    if (set === 'GLIBC') versions.add(version);
    if (set !== 'GLIBC' || newer(version, FLOOR)) wrong.push(`needs ${symbol} of ${set} ${version}`);
  }
  for (const [, library] of readelf('-d', '-W', file).matchAll(/\(NEEDED\).*\[(.+)\]/g)) {
    if (!LIBRARIES.test(library)) wrong.push(`needs ${library}`);
  }
  const [glibc] = [...versions].sort((a, b) => (newer(a, b) ? -1 : 1));
  if (!glibc) wrong.push('names no version of glibc');
  return { glibc, wrong };
}

/** One line a file; throws if one asks for too much. */
function checkFloor(files) {
  const complaints = [];
  for (const file of files) {
    const { glibc, wrong } = inspect(file);
    console.log(`${file}: glibc ${glibc}${wrong.length > 0 ? `, and ${wrong.length} too new or foreign` : ''}`);
    complaints.push(...wrong.map((text) => `${file} ${text}`));
  }
  if (complaints.length > 0) throw new Error(`above the floor of glibc ${FLOOR}:\n${complaints.join('\n')}`);
}

module.exports = { checkFloor };

if (require.main === module) checkFloor(process.argv.slice(2));
