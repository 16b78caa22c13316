import { compilePlugin } from '../../support/compile-plugin.ts';

/** The suite's module alone as lane-fallback, in a VM of its own role. */
export async function fallbackFilter(section: Readonly<Record<string, unknown>>): Promise<object> {
  const role = String(section.direction ?? 'outbound');
  const text = (value: string) => ({ '@type': 'type.googleapis.com/google.protobuf.StringValue', value });
  return {
    name: 'causeway',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm',
      config: {
        name: 'lane-fallback',
        root_id: 'lane-fallback',
        vm_config: {
          vm_id: 'causeway',
          runtime: 'envoy.wasm.runtime.v8',
          configuration: text(role),
          code: { local: { filename: await compilePlugin('filters/suite.ts') } },
        },
        configuration: text(JSON.stringify({ direction: 'outbound', ...section })),
      },
    },
  };
}
