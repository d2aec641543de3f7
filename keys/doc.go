// Package keys keeps the keys of one server, or of many that share a store: it
// makes them, publishes each before it is used, replaces them on schedule, and
// forgets them once nothing that they made is good any more.
//
// An [Operator] lists the keys, replaces them ahead of the schedule, and revokes one that
// has leaked.
//
// All keys are in one document in the store, sealed under a master key that is not
// (AES-256-GCM; its key by HKDF-SHA256, RFC 5869): who reads the store, or a backup of
// it, can make no token. The document is replaced by compare-and-set, so that of
// many servers exactly one makes the next key.
//
// A new key is published for PublishAhead, a day by default, before it makes its
// first token. By then every server knows it, and every cache of the key set. It also
// means that a store which goes back in time by less than that loses no key that has
// made a token; and what is lost, the servers that run still know and put back.
package keys
