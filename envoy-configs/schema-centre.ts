import Type from 'typebox';

const Path = (description: string) => Type.String({ pattern: '^/[!-~]{1,1023}$', description });

/** `centre` in `causeway.yaml`. */
export const CentreSchema = Type.Object(
  {
    address: Type.Optional(
      Type.String({
        pattern: '^[0-9]{1,3}(\\.[0-9]{1,3}){3}:[0-9]{1,5}$',
        description: 'Where agents reach it, ip:port. Beyond loopback it needs `tls`. Default 127.0.0.1:7070.',
      }),
    ),
    start: Type.Optional(
      Type.Boolean({
        description: 'Let `causeway up` run it as a local process, which ends with the mesh. Default false.',
      }),
    ),
    credentials: Type.Optional(
      Path(
        'Absolute directory of mode 0700, where the Envoys run, in which each proxy finds its token as a generic secret of SDS, `<its id>.json`. Default: `causeway up` makes tokens, and the file for the centre.',
      ),
    ),
    tls: Type.Optional(
      Type.Object(
        {
          ca: Path('Absolute path of what signs its certificate.'),
          name: Type.String({
            pattern: '^[A-Za-z0-9.-]{1,253}$',
            description: 'DNS name in its certificate.',
          }),
        },
        {
          additionalProperties: false,
          description:
            'Speak TLS to it. In a mesh with `tls` a proxy also shows its own certificate. Default: plaintext.',
        },
      ),
    ),
  },
  {
    additionalProperties: false,
    description:
      'The healing centre, to which agents report and whose verdicts they hear. Read at start only. Default: none, each proxy judges for itself.',
  },
);
