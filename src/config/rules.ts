/** What settings mean together: combinations that are refused, and those that deserve a word. */
import type { Settings } from './schema.ts';

export interface RuleProblem {
  readonly steps: readonly (string | number)[];
  readonly message: string;
}

export interface RuleFindings {
  readonly problems: readonly RuleProblem[];
  readonly warnings: readonly string[];
}

/** Whether an address to listen on can be reached from this machine only. */
export function isLoopback(bind: string): boolean {
  return bind === 'localhost' || bind === '::1' || /^127\.\d+\.\d+\.\d+$/.test(bind);
}

/** Checks settings against each other. */
export function checkRules(settings: Settings): RuleFindings {
  const problems = [...refuseOpenRegistration(settings), ...refuseDrivers(settings), ...refuseSamePort(settings)];
  return { problems, warnings: [...warnOfTls(settings), ...warnOfTurn(settings), ...warnOfNotInEffect(settings)] };
}

function refuseOpenRegistration({ registration, listeners }: Settings): RuleProblem[] {
  if (!registration.open || registration.token_required) return [];
  const open = listeners.find(({ bind, serves }) => serves.includes('client') && !isLoopback(bind));
  if (open === undefined) return [];
  return [
    {
      steps: ['registration', 'open'],
      message:
        `would let anybody who reaches ${open.bind}:${open.port} make accounts, and such servers are soon full of spam. ` +
        'Set registration.token_required: true, or listen on 127.0.0.1 only.',
    },
  ];
}

function refuseDrivers({ log, bus }: Settings): RuleProblem[] {
  const problems: RuleProblem[] = [];
  if (log.driver !== 'embedded') {
    problems.push({ steps: ['log', 'driver'], message: `${log.driver} is not supported by this version; embedded is` });
  }
  if (bus.driver !== 'local') {
    problems.push({ steps: ['bus', 'driver'], message: `${bus.driver} is not supported by this version; local is` });
  }
  return problems;
}

function refuseSamePort({ listeners }: Settings): RuleProblem[] {
  const seen = new Set<string>();
  const problems: RuleProblem[] = [];
  listeners.forEach(({ bind, port }, index) => {
    if (port === 0) return;
    const place = `${bind} ${port}`;
    if (seen.has(place)) {
      problems.push({
        steps: ['listeners', index, 'port'],
        message: `${port} on ${bind} is taken by a listener above`,
      });
    }
    seen.add(place);
  });
  return problems;
}

function warnOfTls({ listeners }: Settings): string[] {
  const open = listeners.find(({ bind, tls, trusted_proxies: proxies, serves }) => {
    return serves.includes('client') && !isLoopback(bind) && tls === null && proxies.length === 0;
  });
  if (open === undefined) return [];
  return [
    `Passwords travel in the clear to ${open.bind}:${open.port} unless a reverse proxy adds TLS; ` +
      'name it in trusted_proxies, or set tls.',
  ];
}

function warnOfTurn({ turn }: Settings): string[] {
  if (turn.uris.length === 0 || turn.shared_secret !== null) return [];
  return ['turn.uris is of no use without turn.shared_secret, from which the credentials are made.'];
}

function warnOfNotInEffect({ appservices }: Settings): string[] {
  const warnings: string[] = [];
  if (appservices.length > 0) warnings.push('This version does not run application services; appservices is ignored.');
  return warnings;
}
