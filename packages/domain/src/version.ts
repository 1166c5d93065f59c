/** Of everything that is built from here; the packages' own is held to it by a test. */
export const godwitVersion = '0.1.0';
