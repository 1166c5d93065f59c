/**
 * A guest in 512 bytes: a real-mode boot sector that shows, on its serial port, that it is alive and that its memory is whole.
 *
 * It keeps a counter in each of 128 pages (0x10000–0x8ffff). One pass compares every page's counter with the number of the pass and increments it;
 * every 1024th pass it sends one letter, cycling A…P. So the letters go on in order for as long as CPU, memory and serial port are right,
 * and a page that comes back stale (a lost dirty bit of a migration) ends the guest with `!`. It dirties half a MiB all the time.
 */
export function bootSector(): Buffer {
  const code = assemble([
    ...[0xfa], // cli: the only code that runs from here on is ours
    ...[0x31, 0xc0], // xor ax,ax
    ...[0x31, 0xed], // xor bp,bp            number of the pass
    ...[0xbb, 0x00, 0x10], // mov bx,0x1000
    ...[0xb9, 0x80, 0x00], // mov cx,128
    label('zero'),
    ...[0x8e, 0xc3], // mov es,bx
    ...[0x26, 0xa3, 0x00, 0x00], // mov [es:0],ax
    ...[0x81, 0xc3, 0x00, 0x01], // add bx,0x100      next page
    jump(0xe2, 'zero'), // loop
    label('pass'),
    ...[0xbb, 0x00, 0x10], // mov bx,0x1000
    ...[0xb9, 0x80, 0x00], // mov cx,128
    label('page'),
    ...[0x8e, 0xc3], // mov es,bx
    ...[0x26, 0x39, 0x2e, 0x00, 0x00], // cmp [es:0],bp
    jump(0x75, 'broken'), // jne
    ...[0x26, 0xff, 0x06, 0x00, 0x00], // inc word [es:0]
    ...[0x81, 0xc3, 0x00, 0x01], // add bx,0x100
    jump(0xe2, 'page'), // loop
    ...[0x45], // inc bp
    ...[0xf7, 0xc5, 0xff, 0x03], // test bp,1023
    jump(0x75, 'pass'), // jnz
    label('busy'),
    ...[0xba, 0xfd, 0x03], // mov dx,0x3fd        line status
    ...[0xec], // in al,dx
    ...[0xa8, 0x20], // test al,0x20         transmitter empty?
    jump(0x74, 'busy'), // jz
    ...[0x89, 0xe8], // mov ax,bp
    ...[0xc1, 0xe8, 0x0a], // shr ax,10
    ...[0x24, 0x0f], // and al,15
    ...[0x04, 0x41], // add al,'A'
    ...[0xba, 0xf8, 0x03], // mov dx,0x3f8
    ...[0xee], // out dx,al
    jump(0xeb, 'pass'), // jmp
    label('broken'),
    ...[0xb0, 0x21], // mov al,'!'
    ...[0xba, 0xf8, 0x03], // mov dx,0x3f8
    ...[0xee], // out dx,al
    label('halt'),
    ...[0xf4], // hlt
    jump(0xeb, 'halt'), // jmp
  ]);
  const sector = Buffer.alloc(512);
  Buffer.from(code).copy(sector);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** A disk image that boots it: 2 MiB, since SeaBIOS refuses to read a disk of less than one cylinder (504 KiB). */
export const bootDiskBytes = 2 * 1024 * 1024;

/** What the letters of such a guest say. `broken`: a page was stale, or letters are missing or repeated. */
export function readLetters(
  text: string,
): { readonly kind: 'silent' } | { readonly kind: 'whole'; readonly letters: number } | { readonly kind: 'broken'; readonly at: number } {
  if (text === '') return { kind: 'silent' };
  for (let i = 0; i < text.length; i += 1) {
    const value = text.charCodeAt(i) - 65;
    const expected = i === 0 ? value : (text.charCodeAt(i - 1) - 65 + 1) % 16;
    if (value < 0 || value > 15 || value !== expected) return { kind: 'broken', at: i };
  }
  return { kind: 'whole', letters: text.length };
}

type Item = number | { readonly label: string } | { readonly opcode: number; readonly to: string };
const label = (name: string): Item => ({ label: name });
const jump = (opcode: number, to: string): Item => ({ opcode, to });

/** Bytes with their short jumps resolved; a jump is two bytes, relative to the byte after it. */
function assemble(items: readonly Item[]): number[] {
  const labels = new Map<string, number>();
  let at = 0;
  for (const item of items) {
    if (typeof item === 'number') at += 1;
    else if ('label' in item) labels.set(item.label, at);
    else at += 2;
  }
  const bytes: number[] = [];
  for (const item of items) {
    if (typeof item === 'number') bytes.push(item);
    else if ('opcode' in item) {
      const target = labels.get(item.to);
      const distance = target === undefined ? Number.NaN : target - (bytes.length + 2);
      if (!(distance >= -128 && distance <= 127)) throw new RangeError(`jump to ${item.to} does not fit in a byte`);
      bytes.push(item.opcode, distance & 0xff);
    }
  }
  return bytes;
}
