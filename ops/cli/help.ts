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
    ...jsonOption(command),
    help: { type: 'boolean', short: 'h', description: 'Show this help' },
  };
}

function jsonOption({ printsData }: Pick<Command, 'printsData'>): OptionDeclarations {
  if (printsData === undefined || printsData === false) return {};
  const description =
    printsData === 'json' ? 'Print JSON for other programs, as this verb always does' : 'Print JSON for other programs';
  return { json: { type: 'boolean', description } };
}

/** Commands that help lists under one heading. */
export interface HelpGroup {
  readonly heading: string;
  readonly commands: readonly Pick<Command, 'name' | 'summary'>[];
}

/** The list of all commands. */
export function generalHelp(groups: readonly HelpGroup[]): string {
  const width = Math.max(...groups.flatMap(({ commands }) => commands.map(({ name }) => name.length)));
  return [
    'stele: a Matrix homeserver whose history cannot be quietly changed',
    '',
    'usage: stele VERB [OPTION…]',
    '       stele help VERB    what a verb does, its options, examples',
    ...groups.flatMap(({ heading, commands }) => {
      const rows = commands.map(({ name, summary }) => [name, summary] as const);
      return ['', heading, ...columns(rows, width)];
    }),
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
    ...(command.examples === undefined ? [] : ['', 'Examples:', ...command.examples.map((line) => `  stele ${line}`)]),
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

function columns(
  rows: readonly (readonly [term: string, text: string])[],
  width = Math.max(...rows.map(([term]) => term.length)),
): string[] {
  return rows.map(([term, text]) => `  ${term.padEnd(width)}  ${text}`);
}
