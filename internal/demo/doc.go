// Package demo is `rempart demo`: the whole product on a fresh database with
// two organizations, a mail viewer, a sample relying party and hooks for
// scripts. The contract it keeps is Contract.
//
// Its hooks (mail list, key rotation, probe page) are code of this package,
// handed to app as routes; no configuration turns them on in `rempart serve`.
package demo
