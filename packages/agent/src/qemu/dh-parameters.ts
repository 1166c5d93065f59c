/** File name that QEMU's tls-creds-x509 reads Diffie-Hellman parameters from. */
export const dhParametersFile = 'dh-params.pem';

/**
 * The 2048-bit group ffdhe2048 of RFC 7919, appendix A.1, as PEM.
 *
 * Without this file, QEMU makes parameters of its own each time a *server* credentials object is created: measured with 10.0, 45 to 1300 ms with QEMU's main loop stopped,
 * against 1 ms with it. Every folder of credentials gets it. No stream ever uses the group: TLS 1.3 agrees on an elliptic curve.
 */
export const dhParametersPem = `-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
`;
