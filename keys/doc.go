// Package keys keeps the keys of one server, or of many that share a store.
package keys
