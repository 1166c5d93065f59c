/**
 * How QEMU listens at a monitor: it waits in its start until the first client is there.
 *
 * With `wait=off` two of its threads watch the new socket for a moment, the main loop and the monitors' own. A client that connects in that moment wakes both; one takes it, the other waits in accept(2)
 * for a client that never comes, and QEMU answers nothing from then on. Seen with 10.0.2 on a busy host: 6 of 8600 starts without a machine hung, the main thread in accept4; 0 of 8000 that waited.
 * A client that was there before either thread looks wakes neither; once it has gone, only the monitors' thread listens. An agent that dies before it has connected leaves a QEMU without a disk open,
 * which the next one connects to.
 */
export const servedMonitor = 'server=on,wait=on';

/** Whether this is the line in which QEMU says that it waits so: no word of its end. */
export const isMonitorNote = (line: string): boolean => line.includes('QEMU waiting for connection on: ');
