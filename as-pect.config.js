/** Runs every `*.spec.ts` under test/policy: AssemblyScript specs of the pure parts, compiled and run in wasm. */
export default {
  entries: ['test/policy/**/*.spec.ts'],
  include: ['test/policy/**/*.include.ts'],
  disclude: [/node_modules/],
  /** The pure parts import no host call, so a spec gets nothing but its memory and as-pect's own imports. */
  async instantiate(memory, createImports, instantiate, binary) {
    return instantiate(binary, createImports({ env: { memory } }));
  },
  outputBinary: false,
};
