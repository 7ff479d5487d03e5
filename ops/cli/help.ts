/** What `stele help` says. */
import type { Command, OptionDeclaration, OptionDeclarations } from './command.ts';

/** Options that commands have without declaring them. */
export function implicitOptions(command: Pick<Command, 'usesConfig' | 'printsData'>): OptionDeclarations {
  return {
    ...(command.usesConfig === false
      ? {}
      : {
          config: {
            type: 'string',
            value: 'FILE',
            description: 'The configuration file',
            defaultText: '$STELE_CONFIG, else what npm start serves',
          },
        }),
    ...(command.printsData === true ? { json: { type: 'boolean', description: 'Print JSON for other programs' } } : {}),
    help: { type: 'boolean', short: 'h', description: 'Show this help' },
  };
}

/** The list of all commands. */
export function generalHelp(commands: readonly Pick<Command, 'name' | 'summary'>[]): string {
  const rows = commands.map(({ name, summary }) => [name, summary] as const);
  return [
    'stele: a Matrix homeserver whose history cannot be quietly changed',
    '',
    'usage: stele VERB [OPTION…]',
    '',
    ...columns([...rows, ['help VERB', 'Say more about a verb']]),
    '',
    'Data goes to standard output, words and progress to standard error.',
    'Exit status: 0 success, 1 something is wrong, 2 wrong usage.',
  ].join('\n');
}

/** All about one command. */
export function commandHelp(command: Command): string {
  const options = { ...command.options, ...implicitOptions(command) };
  return [
    usageLine(command),
    '',
    `${command.summary}.`,
    ...(command.description === undefined ? [] : ['', command.description.trim()]),
    '',
    'Options:',
    ...columns(
      Object.entries(options).map(([name, option]) => [optionTerm(name, option), optionText(option)] as const),
    ),
  ].join('\n');
}

/** `usage: stele VERB ARGUMENT [OPTION…]` */
export function usageLine(command: Pick<Command, 'name' | 'usage'>): string {
  return ['usage: stele', command.name, command.usage, '[OPTION…]'].filter((word) => word !== '').join(' ');
}

function optionTerm(name: string, option: OptionDeclaration): string {
  const value = option.type === 'string' ? ` ${option.value}` : '';
  return `${option.short === undefined ? '' : `-${option.short}, `}--${name}${value}`;
}

function optionText(option: OptionDeclaration): string {
  const hasDefault = option.type === 'string' && option.defaultText !== undefined;
  return hasDefault ? `${option.description} (default: ${option.defaultText})` : option.description;
}

function columns(rows: readonly (readonly [term: string, text: string])[]): string[] {
  const width = Math.max(...rows.map(([term]) => term.length));
  return rows.map(([term, text]) => `  ${term.padEnd(width)}  ${text}`);
}
