import { serve } from './app.ts';
import { createOutbound } from './outbound.ts';
import { productpage } from './productpage.ts';
import { details, ratings, reviews } from './services.ts';
import { readSettings } from './settings.ts';

/** One bundle holds all four services; the first argument chooses. */
async function main(): Promise<void> {
  const settings = readSettings(process.argv.slice(2), process.env);
  const outbound = createOutbound(settings);
  const handlers = {
    productpage: () => productpage(settings, outbound),
    details: () => details(settings),
    reviews: () => reviews(settings, outbound),
    ratings: () => ratings(settings),
  };
  const app = await serve(settings, handlers[settings.service]());
  console.log(`${settings.instance} (${settings.service} ${settings.version}) on ${settings.host}:${app.port}`);

  const end = () => {
    // Requests in flight finish; what is still open after two seconds is cut.
    setTimeout(() => process.exit(0), 2_000).unref();
    app.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  if (settings.exitWithStdin) process.stdin.once('end', end).resume();
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
