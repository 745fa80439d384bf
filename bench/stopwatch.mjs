/** Starts a clock. Its result tells milliseconds and processor time of the whole process since then, divided by `count`. */
export function stopwatch() {
  const cpu = process.cpuUsage();
  const began = performance.now();
  return (count = 1) => {
    const ms = performance.now() - began;
    const { user, system } = process.cpuUsage(cpu);
    return { ms: ms / count, cpuMs: (user + system) / 1000 / count };
  };
}
