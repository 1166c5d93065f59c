import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fakeTools } from './fake-tools.ts';

/** An `rbd` in the way of the real one, whose images are files: what it says and ends with is what Ceph 16's says. Knows only what is asked of it here. */
export type FakeRbd = {
  /** A directory that goes with it. */
  readonly dir: string;
  images(): Promise<readonly string[]>;
  /** Its verbs since the last question, each with the image that it named. */
  calls(): Promise<readonly string[]>;
  /** That many removals find a client that has the image open; null: all, until this is called again. */
  openFor(removals: number | null): Promise<void>;
  /** What the next call fails with: its last line, and its exit code. */
  failNext(said: string, code: number): Promise<void>;
  close(): Promise<void>;
};

const script = (dir: string): string => `verb=$1; shift; image=; size=; rest=
while [ $# -gt 0 ]; do case $1 in
  --image) image=$2; shift 2;; --size) size=\${2%B}; shift 2;;
  --pool|--conf|--id|--namespace|--format|--image-feature) shift 2;;
  --*) shift;; *) rest="$rest $1"; shift;; esac; done
cd '${dir}'; echo "$verb $image$rest" >> calls
if [ -e fails ]; then . ./fails; rm fails; echo "rbd: $said" >&2; exit $code; fi
missing() { echo "rbd: $1: (2) No such file or directory" >&2; exit 2; }
case $verb in
  ls) printf '['; sep=; for one in images/*; do [ -e "$one" ] || continue; printf '%s"%s"' "$sep" "\${one#images/}"; sep=,; done; echo ']';;
  create) [ ! -e "images/$image" ] || { echo 'rbd: create error: (17) File exists' >&2; exit 17; }; echo "$size" > "images/$image";;
  info) [ -e "images/$image" ] || missing "error opening image $image"; echo "{\\"size\\": $(cat "images/$image")}";;
  resize) echo "$size" > "images/$image";;
  rename) set -- $rest; mv "images/$1" "images/$2";;
  rm) [ -e "images/$image" ] || missing 'delete error'
    open=$(cat open); if [ -e held ] || [ "$open" -gt 0 ]; then [ -e held ] || echo $((open - 1)) > open; echo 'rbd: error: image still has watchers' >&2; exit 16; fi
    rm "images/$image";;
  *) echo "rbd: error parsing command '$verb'" >&2; exit 22;;
esac
`;

/** In the place of this process's PATH (fake-tools.ts); `close` puts that back. */
export async function fakeRbd(): Promise<FakeRbd> {
  const { dir, write, close } = await fakeTools();
  const at = (name: string): string => join(dir, name);
  await mkdir(at('images'));
  await writeFile(at('open'), '0');
  await write({ rbd: script(dir) });
  return {
    dir,
    images: async () => (await readdir(at('images'))).sort(),
    calls: async () => {
      const text = await readFile(at('calls'), 'utf8').catch(() => '');
      await rm(at('calls'), { force: true });
      return text.split('\n').filter((line) => line !== '');
    },
    openFor: async (removals) => {
      if (removals === null) return writeFile(at('held'), '');
      await writeFile(at('open'), String(removals));
      await rm(at('held'), { force: true });
    },
    failNext: (said, code) => writeFile(at('fails'), `said="${said}"\ncode=${code}\n`),
    close,
  };
}
