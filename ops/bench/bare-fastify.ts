/** bare-fastify.ts PORT: answers any PUT with an event id, having parsed its JSON. The ceiling of the send benchmark. */
import { fastify } from 'fastify';

const app = fastify({ logger: false });
app.put('/*', () => ({ event_id: '$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG' }));
app.get('/*', () => ({}));
process.on('SIGTERM', () => process.exit(0));
await app.listen({ host: '127.0.0.1', port: Number(process.argv[2]) });
