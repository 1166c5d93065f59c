/** Why a console's websocket was closed, in the range that the protocol leaves to applications. */
export const closeCodes = {
  /** The token does not hold: ask for a new URL. */
  refused: 4401,
  /** The server has been deleted. */
  gone: 4404,
  /** The display is not where it was: the guest moves, or is off. Connect again. */
  moved: 4409,
} as const;
