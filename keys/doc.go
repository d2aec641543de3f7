// Package keys manages the keys of one server, or of several that share a store.
// It makes the keys, publishes each before its first use, replaces them on
// schedule, and deletes each when every token that it made has expired.
//
// An [Operator] lists the keys, replaces them ahead of the schedule, and revokes one that
// has leaked.
//
// All keys are in one document in the store. It is sealed with AES-256-GCM under a key
// that HKDF-SHA256 (RFC 5869) derives from a master key. The master key is not in the
// store, so that somebody who reads the store or a backup of it cannot make tokens. The
// servers replace the document by compare-and-set; therefore only one of them makes the
// next key.
//
// A new key is published for PublishAhead, a day by default, before it makes its
// first token. By then every server and every cache of the key set has it. Therefore a
// store that goes back in time by less than PublishAhead loses no key that has made a
// token. Servers that are running put lost keys back into the store.
package keys
