package keyring

import "context"

// Root is the vault that holds the root key. It wraps and unwraps the few
// things directly below: key-encryption keys, and the keys of copies. aad is
// bound: Unwrap gives plain only for the aad that Wrap was given.
//
// Implementations: FileRoot, PassphraseRoot. A remote vault wraps at its side
// and never gives the root key away.
type Root interface {
	// Kind names the holder for the inventory: "file", "credential", "passphrase".
	Kind() string
	Wrap(ctx context.Context, plain, aad []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error)
}
