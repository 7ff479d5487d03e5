import { openWitnessKey } from '../../witness/witness-folder.ts';
import { defineCommand, SUCCESS, UsageError } from '../command.ts';

/** `stele witness key` */
export const command = defineCommand({
  name: 'witness key',
  summary: 'Print the public key of a witness, made if there is none',
  usage: '--state DIR [--name NAME]',
  description: 'Servers name it in transparency.witnesses, together with where the witness answers.',
  examples: ['witness key --state ./witness --name witness.example/w1'],
  options: {
    state: { type: 'string', value: 'DIR', description: 'The folder of the witness' },
    name: { type: 'string', value: 'NAME', description: 'The name of a new key: a URL without its scheme' },
  },
  usesConfig: false,
  printsData: true,
  run: async ({ options: { state, name }, json, print }) => {
    if (state === undefined) throw new UsageError('--state names the folder of the witness');
    const { text: key } = (await openWitnessKey(state, name)).verifier;
    print(json ? JSON.stringify({ key }) : key);
    return SUCCESS;
  },
});
