import { once } from 'node:events';
import { flushCompileCache } from 'node:module';
import { isStartedByNpm } from '#src/config/environment.ts';
import type { Config } from '#src/config/schema.ts';
import { openLog } from '#src/log/logger.ts';
import type { RunningServer } from '#src/server.ts';
import { defineCommand, SUCCESS } from '../command.ts';
import { count } from '../progress.ts';

/** `stele serve` */
export const command = defineCommand({
  name: 'serve',
  summary: 'Run the server',
  usage: '',
  description: `
Without a configuration file it serves 'localhost' on 127.0.0.1:8008 from ./data, with open registration: to try it out.
SIGTERM or SIGINT stops it in order; a second one at once.`,
  examples: ['serve --config stele.yaml'],
  options: {},
  run: async ({ loadConfig, say, signal }) => {
    const config = await loadConfig();
    // Loaded here, so that help and other verbs need not load a whole server.
    const { startServer } = await import('#src/server.ts');
    const { exportInProcess } = await import('../../export/export-in-process.ts');
    const { log, flush } = openLog(config.logging.level);
    try {
      const server = await startServer(config, {
        logger: log,
        exporter: exportInProcess(config),
        onProgress: ({ reason, records, position, head, recordsPerSecond }) => {
          const percent = head > 0 ? Math.floor((100 * position) / head) : 100;
          say(`${reason}: ${count(records)} records, ${percent} %, ${count(recordsPerSecond)}/s`);
        },
      });
      for (const line of greeting(config, server)) say(line);
      // Now, not at the end: a server that is killed starts again as fast.
      flushCompileCache();
      await Promise.race([aborted(signal), parentGone()]);
      say('Stopping…');
      await server.stop();
      return SUCCESS;
    } finally {
      flush();
    }
  },
});

/** What a person who has just started a server wants to know, in a few lines. */
function greeting(config: Config, server: RunningServer): string[] {
  const { registration } = config;
  const urls = server.addresses.map(({ url, serves }) => `${url} (${serves.join(', ')})`);
  const stele = isStartedByNpm() ? 'npm run stele --' : 'stele';
  return [
    `Stele serves ${config.server_name} at ${urls.join(' and ')}`,
    `  data folder   ${config.data_dir}`,
    `  first user    ${stele} users add NAME --admin`,
    ...(registration.open && !registration.token_required
      ? ['  or register with any Matrix client: registration is open']
      : []),
    '  docs          README.md',
  ];
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

/** Resolves when the launcher that started this process is gone, however it went. */
async function parentGone(): Promise<void> {
  if (process.connected) await once(process, 'disconnect');
  else await new Promise<never>(() => {});
}
