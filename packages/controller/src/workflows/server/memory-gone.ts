/** Of a server that is suspended no more, and has not been resumed. */
export const memoryGone = 'Its saved memory is not there any more: it starts from its disk.';
