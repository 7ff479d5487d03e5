/**
 * Every setting: its name, type, default and what it is for. The names are those of the YAML file, and the file, the
 * environment (environment.ts), `stele config explain` and the code all use them as they are.
 */
import { z } from 'zod';
import { isRoomId, isUserId } from '#protocol/identifiers.ts';
import { SUPPORTED_ROOM_VERSIONS } from '#protocol/room-version.ts';
import { isServerName } from '#protocol/server-name.ts';
import { LOG_LEVELS } from '#src/log/logger.ts';
import { durationSetting, sizeSetting } from './quantity.ts';

/** What `stele config explain` says about a setting. */
export interface SettingNote {
  /** A sentence or two. */
  readonly doc: string;
  /** The type in a word or two. */
  readonly type: string;
  /** Its value is shown nowhere. */
  readonly isSecret?: boolean;
  /** The value is the path of a file or folder, relative to the folder of the configuration file. */
  readonly isPath?: boolean;
  /** Set where this version accepts a setting without acting on it: a sentence that says so. */
  readonly notInEffect?: string;
}

/** The notes of the schemas below. */
export const settingNotes = z.registry<SettingNote>();

const serverName = z
  .string()
  .refine(isServerName, 'is not a server name such as example.org or example.org:8448')
  .register(settingNotes, {
    type: 'server name',
    doc: 'The part after the colon in user ids and room aliases. It cannot be changed once there is data.',
  });

/** What a listener can serve. */
export const SERVICES = ['client', 'federation', 'ops'] as const;
export type Service = (typeof SERVICES)[number];

const listener = z.strictObject({
  bind: z.string().min(1).default('127.0.0.1').register(settingNotes, {
    type: 'address',
    doc: 'The local address to listen on. 0.0.0.0 and :: are all there are.',
  }),
  port: z.int().min(0).max(65_535).default(8008).register(settingNotes, {
    type: 'port',
    doc: 'The TCP port; 0 takes any free one.',
  }),
  serves: z
    .array(z.enum(SERVICES))
    .min(1)
    .default([...SERVICES])
    .register(settingNotes, {
      type: 'list of client, federation, ops',
      doc: 'What is answered here: the client API, the federation API, and what operators use (health, metrics, administration).',
    }),
  tls: z
    .strictObject({
      cert: z.string().register(settingNotes, {
        type: 'path',
        doc: 'The certificate and its chain, as PEM.',
        isPath: true,
      }),
      key: z.string().register(settingNotes, { type: 'path', doc: 'The private key, as PEM.', isPath: true }),
    })
    .nullable()
    .default(null)
    .register(settingNotes, { type: 'cert and key', doc: 'Serve HTTPS; without it, plain HTTP.' }),
  trusted_proxies: z
    .array(z.string().refine(isAddressOrNetwork, 'is not an address or network such as 127.0.0.1 or 10.0.0.0/8'))
    .default([])
    .register(settingNotes, {
      type: 'list of addresses or networks',
      doc: 'Reverse proxies in front of this listener, whose X-Forwarded-For header is believed.',
    }),
});

const registration = z
  .strictObject({
    open: z.boolean().default(false).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether people may make accounts themselves.',
    }),
    token_required: z.boolean().default(true).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether making an account needs a registration token.',
    }),
    guests: z.boolean().nullable().default(null).register(settingNotes, {
      type: 'true, false or null',
      doc: 'Whether people may look around and talk as guests, where rooms admit them. Null: if anybody may make an account without a token.',
    }),
    shared_secret: z.string().min(1).nullable().default(null).register(settingNotes, {
      type: 'text',
      doc: 'Who knows it may make accounts, administrators too, with POST /_synapse/admin/v1/register.',
      isSecret: true,
    }),
  })
  .prefault({});

const rateLimits = z
  .strictObject({
    enabled: z.boolean().default(true).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether users and addresses that send too many requests are asked to wait.',
    }),
  })
  .prefault({});

const federation = z
  .strictObject({
    enabled: z.boolean().default(true).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether this server talks to other servers.',
    }),
    verify_tls: z.boolean().default(true).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether the certificates of other servers are verified. Only tests turn it off.',
    }),
    ca_file: z.string().nullable().default(null).register(settingNotes, {
      type: 'path',
      doc: 'Certificate authorities to trust beside the usual ones, as PEM.',
      isPath: true,
    }),
    allow_private_addresses: z.boolean().default(false).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether other servers may be at loopback and private addresses.',
    }),
    trusted_key_servers: z
      .array(z.string().refine(isServerName, 'is not a server name'))
      .default([])
      .register(settingNotes, {
        type: 'list of server names',
        doc: 'Servers that are asked for the keys of servers that cannot be reached.',
      }),
    faster_joins: z
      .boolean()
      .default(true)
      .register(settingNotes, {
        type: 'true or false',
        doc:
          'Whether users come into rooms of other servers before this server knows all their members. They can read and write at once; ' +
          'what others write, and whatever is about other members, comes when the members are known.',
      }),
  })
  .prefault({});

const roomIdSetting = () => z.string().refine(isRoomId, 'is not a room id such as !abc:example.org');

const policyServer = z
  .strictObject({
    enabled: z.boolean().default(false).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether this server is a policy server: rooms that name it in m.room.policy have it sign every event first.',
    }),
    key_file: z.string().min(1).nullable().default(null).register(settingNotes, {
      type: 'path',
      doc: 'The Ed25519 key of the policy server, which is not the one in signing_key_file; made if it is not there. Default: policy-signing.key in the data folder.',
      isPath: true,
    }),
    rooms: z.array(roomIdSetting()).nullable().default(null).register(settingNotes, {
      type: 'list of room ids',
      doc: 'The rooms whose events are signed. Default: every room that somebody of this server is in.',
    }),
    lists: z.array(roomIdSetting()).default([]).register(settingNotes, {
      type: 'list of room ids',
      doc: 'Policy lists: rooms with m.policy.rule.user, .server and .room, joined by somebody of this server. What they ban is not signed.',
    }),
    max_mentions: z.int().min(0).nullable().default(null).register(settingNotes, {
      type: 'number',
      doc: 'Most users that a message that is signed mentions; without it any number.',
    }),
    max_event_size: sizeSetting().nullable().default(null).register(settingNotes, {
      type: 'size',
      doc: 'The largest event that is signed; without it as large as the room version lets it be.',
    }),
  })
  .prefault({});

const media = z
  .strictObject({
    max_upload: sizeSetting().prefault('100MiB').register(settingNotes, {
      type: 'size',
      doc: 'The largest file that can be uploaded.',
    }),
    user_quota: sizeSetting().nullable().default(null).register(settingNotes, {
      type: 'size',
      doc: 'How much one user can upload in all; without it there is no limit.',
    }),
    remote_cache: sizeSetting().prefault('10GiB').register(settingNotes, {
      type: 'size',
      doc: 'How much media of other servers is kept; what was asked for longest ago goes first.',
    }),
    unsent_lifetime: durationSetting().nullable().default(null).register(settingNotes, {
      type: 'duration',
      doc: 'How long an upload is kept that nothing was seen to name, as a message would that was never sent. Uploads of people who are in encrypted rooms stay, as nobody can see what is named there. Without it nothing goes for that.',
    }),
    url_previews: z
      .strictObject({
        enabled: z.boolean().default(false).register(settingNotes, {
          type: 'true or false',
          doc: 'Whether the server fetches pages to show previews of links.',
        }),
        allow_private_addresses: z.boolean().default(false).register(settingNotes, {
          type: 'true or false',
          doc: 'Whether previews may be of pages at loopback and private addresses.',
        }),
      })
      .prefault({}),
  })
  .prefault({});

const push = z
  .strictObject({
    enabled: z.boolean().default(true).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether notifications are sent to the push gateways that users name.',
    }),
    allow_private_addresses: z.boolean().nullable().default(null).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether push gateways may be at loopback and private addresses. Default: as for other servers.',
    }),
  })
  .prefault({});

const turn = z
  .strictObject({
    uris: z.array(z.string()).default([]).register(settingNotes, {
      type: 'list of URIs',
      doc: 'TURN servers for calls.',
    }),
    shared_secret: z.string().nullable().default(null).register(settingNotes, {
      type: 'text',
      doc: 'The secret that the TURN servers share with this server.',
      isSecret: true,
    }),
    lifetime: durationSetting().prefault('1h').register(settingNotes, {
      type: 'duration',
      doc: 'How long TURN credentials are valid.',
    }),
  })
  .prefault({});

const presence = z
  .strictObject({
    enabled: z.boolean().default(true).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether people see who of those they share rooms with is online.',
    }),
  })
  .prefault({});

const serverNotices = z
  .strictObject({
    localpart: z
      .string()
      .regex(/^[a-z0-9.=\-/+][a-z0-9._=\-/+]*$/, 'is not the first part of a user id, such as notices')
      .nullable()
      .default(null)
      .register(settingNotes, {
        type: 'user name',
        doc: 'The user that messages of the server to its users come from, such as notices; it is made when it is needed. Without it there are no such messages.',
      }),
    display_name: z.string().min(1).max(256).default('Server notices').register(settingNotes, {
      type: 'text',
      doc: 'The name of that user.',
    }),
    room_name: z.string().min(1).max(256).default('Server notices').register(settingNotes, {
      type: 'text',
      doc: 'The name of the room in which a user gets these messages.',
    }),
  })
  .prefault({});

const supportContact = z
  .strictObject({
    role: z.string().min(1).default('m.role.admin').register(settingNotes, {
      type: 'text',
      doc: 'What the contact is for: m.role.admin, m.role.security, or a name of your own such as org.example.role.',
    }),
    matrix_id: z
      .string()
      .refine(isUserId, 'is not a user id such as @admin:example.org')
      .nullable()
      .default(null)
      .register(settingNotes, { type: 'user id', doc: 'Where on Matrix; best not on this server alone.' }),
    email_address: z.email().nullable().default(null).register(settingNotes, {
      type: 'e-mail address',
      doc: 'Where by mail.',
    }),
  })
  .refine(({ matrix_id, email_address }) => matrix_id !== null || email_address !== null, {
    error: 'needs a matrix_id or an email_address',
  });

const support = z
  .strictObject({
    page: z
      .url({ protocol: /^https?$/, error: 'is not an http or https URL' })
      .nullable()
      .default(null)
      .register(settingNotes, {
        type: 'URL',
        doc: 'A page that helps the people of this server.',
      }),
    contacts: z.array(supportContact).default([]).register(settingNotes, {
      type: 'list of role, matrix_id, email_address',
      doc: 'Whom people can turn to, as /.well-known/matrix/support tells them.',
    }),
  })
  .prefault({});

const log = z
  .strictObject({
    driver: z.enum(['embedded', 'eventstore']).default('embedded').register(settingNotes, {
      type: 'embedded',
      doc: 'Where the append-only log is kept: embedded is in the data folder.',
    }),
    url: z.string().nullable().default(null).register(settingNotes, {
      type: 'text',
      doc: 'Where the eventstore driver finds its database; embedded needs none.',
      isSecret: true,
    }),
  })
  .prefault({});

const bus = z
  .strictObject({
    driver: z.enum(['local', 'nats']).default('local').register(settingNotes, {
      type: 'local',
      doc: 'What carries wake-ups between nodes: local is for one node.',
    }),
    url: z.string().nullable().default(null).register(settingNotes, {
      type: 'text',
      doc: 'Where the nats driver finds its server; local needs none.',
      isSecret: true,
    }),
  })
  .prefault({});

const auditStream = z
  .strictObject({
    to: z.enum(['file', 'syslog', 'nats']).register(settingNotes, {
      type: 'file, syslog or nats',
      doc: 'What the entries are written to.',
    }),
    path: z.string().min(1).nullable().default(null).register(settingNotes, {
      type: 'path',
      doc: 'The file that lines are added to; it may be rotated by renaming it.',
      isPath: true,
    }),
    url: z
      .string()
      .nullable()
      .default(null)
      .refine((url) => url === null || URL.canParse(url), 'is not a URL')
      .register(settingNotes, {
        type: 'URL',
        doc: 'Where syslog is (udp://HOST:514, tcp://HOST:601, tls://HOST:6514 or unix:///PATH of a stream socket), or NATS (nats://HOST:4222).',
        isSecret: true,
      }),
    subject: z
      .string()
      .regex(/^[^\s*>]+$/, 'is not a subject such as stele.audit')
      .default('stele.audit')
      .register(settingNotes, { type: 'text', doc: 'The NATS subject that entries are published to.' }),
  })
  .refine(({ to, path, url }) => (to === 'file' ? path !== null : url !== null), {
    error: 'needs a path for a file, and a url for syslog and nats',
  })
  .refine(({ to, url }) => to !== 'syslog' || url === null || /^(udp|tcp|tls|unix):/.test(url), {
    error: 'needs a url that begins with udp:, tcp:, tls: or unix: for syslog',
  });

const audit = z
  .strictObject({
    content_reads: z.enum(['reason_required', 'recorded']).default('reason_required').register(settingNotes, {
      type: 'reason_required or recorded',
      doc: 'What an administrator has to say before they are shown what was written in rooms that they are not in: a reason and a case id, or nothing. It is on record either way.',
    }),
    streams: z.array(auditStream).default([]).register(settingNotes, {
      type: 'list of to, path, url, subject',
      doc: 'Where the entries of the audit log are passed on to as they come, as JSON lines.',
    }),
  })
  .prefault({});

const witness = z.strictObject({
  url: z.url({ protocol: /^https?$/, error: 'is not an http or https URL' }).register(settingNotes, {
    type: 'URL',
    doc: "The witness's submission prefix: what stands before /add-checkpoint.",
  }),
  key: z.string().refine(isWitnessKey, 'is not a public key of a witness: NAME+KEYID+BASE64').register(settingNotes, {
    type: 'text',
    doc: "The witness's public key, as `stele witness key` and other C2SP tools print it.",
  }),
  name: z.string().min(1).nullable().default(null).register(settingNotes, {
    type: 'text',
    doc: 'What you call it; the name in its key counts.',
  }),
});

const transparency = z
  .strictObject({
    witnesses: z.array(witness).max(64).default([]).register(settingNotes, {
      type: 'list of url, key, name',
      doc: 'Others who cosign the checkpoints of this log (C2SP tlog-witness), each only if they continue what it saw before.',
    }),
    witness_quorum: z.int().min(1).nullable().default(null).register(settingNotes, {
      type: 'number',
      doc: 'How many of them have to cosign a checkpoint before it is served with their cosignatures. Default: more than half.',
    }),
    witness_interval: durationSetting().prefault('1m').register(settingNotes, {
      type: 'duration',
      doc: 'How often witnesses are asked.',
    }),
    timestamp_authority: z
      .strictObject({
        url: z.url({ protocol: /^https?$/, error: 'is not an http or https URL' }).register(settingNotes, {
          type: 'URL',
          doc: 'Where the authority takes requests (RFC 3161).',
        }),
        ca_file: z.string().min(1).register(settingNotes, {
          type: 'path',
          doc: 'Certificates under which the one of the authority has to be issued, as PEM.',
          isPath: true,
        }),
      })
      .nullable()
      .default(null)
      .register(settingNotes, {
        type: 'url and ca_file',
        doc: 'An authority that stamps the time on checkpoints; without it none is asked.',
      }),
    timestamp_interval: durationSetting().prefault('1h').register(settingNotes, {
      type: 'duration',
      doc: 'How often a checkpoint is stamped, if there is something new in it.',
    }),
  })
  .refine(({ witnesses, witness_quorum: quorum }) => quorum === null || quorum <= witnesses.length, {
    error: 'witness_quorum is more than there are witnesses',
  })
  .prefault({});

const logging = z
  .strictObject({
    level: z
      .enum(LOG_LEVELS)
      .default('info')
      .register(settingNotes, {
        type: LOG_LEVELS.join(', '),
        doc: 'How much is written to standard error: from info on, a line for each request.',
      }),
  })
  .prefault({});

const minimum = () =>
  durationSetting().nullable().default(null).register(settingNotes, {
    type: 'duration',
    doc: 'How long such things are kept at least, whoever removes them; only a legal_basis keeps them against a request for erasure.',
  });

const maximum = () =>
  durationSetting().nullable().default(null).register(settingNotes, {
    type: 'duration',
    doc: 'How long such things are kept at most; without it there is no end.',
  });

const legalBasis = () =>
  z.string().min(1).max(512).nullable().default(null).register(settingNotes, {
    type: 'text',
    doc: 'The legal basis of the minimum, where it holds against requests for erasure too, such as "§ 147 AO".',
  });

const expiring = () =>
  z
    .strictObject({ min: minimum(), max: maximum(), legal_basis: legalBasis() })
    .refine(({ min, max }) => min === null || max === null || min <= max, { error: 'has a min above its max' })
    .prefault({});

const lasting = () => z.strictObject({ min: minimum(), legal_basis: legalBasis() }).prefault({});

const retention = z
  .strictObject({
    classes: z
      .strictObject({
        messages: expiring(),
        state: expiring(),
        media: expiring(),
        receipts: expiring(),
        to_device: expiring(),
        access_logs: expiring(),
        evidence: expiring(),
        account: lasting(),
        key_backup: lasting(),
      })
      .prefault({}),
    room_bounds: z
      .strictObject({
        min: durationSetting().nullable().default(null).register(settingNotes, {
          type: 'duration',
          doc: 'The shortest lifetime that a room can set for its messages with m.room.retention.',
        }),
        max: durationSetting().nullable().default(null).register(settingNotes, {
          type: 'duration',
          doc: 'The longest lifetime that messages of a room have, whatever it sets.',
        }),
      })
      .prefault({}),
    redacted: durationSetting().nullable().prefault('7d').register(settingNotes, {
      type: 'duration',
      doc: 'How long what a redaction took away is kept, sealed, before it is destroyed; null for always.',
    }),
    interval: durationSetting().prefault('1d').register(settingNotes, {
      type: 'duration',
      doc: 'How often it is looked for what has expired.',
    }),
  })
  .prefault({});

const compliance = z
  .strictObject({
    hold_four_eyes: z.boolean().default(false).register(settingNotes, {
      type: 'true or false',
      doc: 'Whether a legal hold is released only by somebody else than who set it.',
    }),
    erasure_delay: durationSetting().prefault('1d').register(settingNotes, {
      type: 'duration',
      doc: 'How long after somebody closed their account and asked for erasure their data is destroyed. Until then it is only hidden from those who come later.',
    }),
  })
  .prefault({});

/** All settings. Only `server_name` has no default. */
export const settingsSchema = z.strictObject({
  server_name: serverName,
  public_base_url: z
    .url({ protocol: /^https?$/, error: 'is not an http or https URL' })
    .nullable()
    .default(null)
    .register(settingNotes, {
      type: 'URL',
      doc: 'Where clients reach this server, and other servers too where the same listeners answer them. Default: the first client listener if it is on loopback, else https://SERVER_NAME.',
    }),
  data_dir: z.string().min(1).default('./data').register(settingNotes, {
    type: 'path',
    doc: 'The folder that holds everything: the log, its keys, projections, media.',
    isPath: true,
  }),
  listeners: z.array(listener).min(1).prefault([{}]).register(settingNotes, {
    type: 'list',
    doc: 'Where the server listens, and what it answers there.',
  }),
  signing_key_file: z.string().min(1).nullable().default(null).register(settingNotes, {
    type: 'path',
    doc: 'The Ed25519 key that signs events, in the usual form "ed25519 ID SEED"; made if it is not there. Default: signing.key in the data folder.',
    isPath: true,
  }),
  registration,
  rate_limits: rateLimits,
  federation,
  policy_server: policyServer,
  appservices: z.array(z.string().min(1)).default([]).register(settingNotes, {
    type: 'list of paths',
    doc: 'Registration files of application services.',
    isPath: true,
    notInEffect: 'This version does not run application services.',
  }),
  default_room_version: z
    .union([z.string(), z.number()])
    .transform(String)
    .refine((version) => SUPPORTED_ROOM_VERSIONS.includes(version), {
      error: `is not a supported room version (${SUPPORTED_ROOM_VERSIONS.join(', ')})`,
    })
    .prefault('12')
    .register(settingNotes, {
      type: `one of ${SUPPORTED_ROOM_VERSIONS.join(', ')}`,
      doc: 'The version of rooms for which none is asked.',
    }),
  media,
  push,
  presence,
  server_notices: serverNotices,
  support,
  retention,
  compliance,
  audit,
  access_token_in_query: z.boolean().default(true).register(settingNotes, {
    type: 'true or false',
    doc: 'Whether access tokens are accepted in the query of a request, where older clients put them. It is deprecated: proxies may log them.',
  }),
  turn,
  log,
  transparency,
  bus,
  logging,
});

/** Settings as they are after defaults, with sizes in bytes and durations in milliseconds. */
export type Settings = z.output<typeof settingsSchema>;

/** The configuration of a server: the settings, all paths absolute, what depends on other settings filled in. */
export interface Config extends Settings {
  readonly signing_key_file: string;
  /** Without a slash at its end. */
  readonly public_base_url: string;
}

export type ListenerConfig = Config['listeners'][number];

/** What `npm start` serves when there is no configuration file: for trying it out, on this machine only. */
export const SETTINGS_WITHOUT_A_FILE = {
  server_name: 'localhost',
  registration: { open: true, token_required: false },
} as const;

/** Checked by its form; whether the id fits the key is seen when it is used. */
function isWitnessKey(text: string): boolean {
  return /^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$/.test(text);
}

function isAddressOrNetwork(text: string): boolean {
  return z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]).safeParse(text).success;
}
