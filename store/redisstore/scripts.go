package redisstore

import "github.com/redis/rueidis"

// A script is a Lua script that the server executes atomically. It treats numbers that
// may not fit a Lua number (a double), such as branches, as text.
type script struct {
	text string
	lua  *rueidis.Lua // sends the script's hash, and its text if the server does not know the hash
}

type scripts struct {
	add, create, confirm, end, removeIdle  *script
	addUser, setHash, replaceHash, delUser *script
	updateUser, saveDocument, appendAudit  *script
}

func newScripts() scripts {
	of := func(text string) *script { return &script{text: text, lua: rueidis.NewLuaScript(text)} }
	return scripts{
		add: of(addScript), create: of(createScript), confirm: of(confirmScript), end: of(endScript), removeIdle: of(removeIdleScript),
		addUser: of(addUserScript), setHash: of(setHashScript), replaceHash: of(replaceHashScript), delUser: of(delUserScript),
		updateUser: of(updateUserScript), saveDocument: of(saveDocumentScript), appendAudit: of(appendAuditScript),
	}
}

// addScript adds a session (ARGV[2], created at ARGV[1]) to the list of its subject
// (KEYS[1]). The list expires no earlier than the session, at ARGV[3], which is in
// ARGV[4] milliseconds. (Asking the server for the time would need one more
// permission.)
const addScript = `
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
local left = redis.call('PTTL', KEYS[1])
if left < 0 or left < tonumber(ARGV[4]) then
	redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
return 1`

// createScript creates a session (KEYS[1]) that expires from Redis at ARGV[1]; the
// other arguments are fields and their values. It returns whether it created the
// session.
const createScript = `
if redis.call('EXISTS', KEYS[1]) == 1 then
	return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
return 1`

// confirmScript confirms a token (generation ARGV[1], branch ARGV[2], at the time
// ARGV[3]) of a session (KEYS[1]). It returns whether it confirmed the token, the
// generation before and the session after; nil if there is no such session.
const confirmScript = `
local was = redis.call('HMGET', KEYS[1], 'generation', 'ended_at', 'expires_at')
if not was[1] then
	return false
end
local confirmed = 0
if not was[2] and tonumber(was[1]) < tonumber(ARGV[1]) and tonumber(was[3]) > tonumber(ARGV[3]) then
	redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'branch', ARGV[2], 'confirmed_at', ARGV[3])
	confirmed = 1
end
return {confirmed, was[1], redis.call('HGETALL', KEYS[1])}`

// endScript ends a session (KEYS[1]) at ARGV[1] for the reason ARGV[2]; Redis removes
// the session at ARGV[3]. Unless ARGV[4] is empty, the session must belong to that
// subject. If ARGV[5] and ARGV[6] are given, the session's current token must have that
// generation and branch. The script returns whether it ended the session, the session's
// subject, and whether the session lives because its current token is another; nil if
// there is no such session. For a session that has ended already it writes the same end
// again, so that the caller can wait until the end is on the disk.
const endScript = `
local was = redis.call('HMGET', KEYS[1], 'subject', 'expires_at', 'ended_at', 'generation', 'branch')
if not was[1] or (ARGV[4] ~= '' and ARGV[4] ~= was[1]) then
	return false
end
if was[3] then
	redis.call('HSET', KEYS[1], 'ended_at', was[3])
	return {0, was[1], 0}
end
if ARGV[5] and (ARGV[5] ~= was[4] or ARGV[6] ~= was[5]) then
	return {0, was[1], 1}
end
redis.call('HSET', KEYS[1], 'ended_at', ARGV[1], 'end_reason', ARGV[2])
if tonumber(ARGV[1]) < tonumber(was[2]) then
	redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
return {1, was[1], 0}`

// removeIdleScript removes a session (KEYS[1]) that is live and was confirmed before
// ARGV[1], and returns its subject; nil if there is no such session.
const removeIdleScript = `
local was = redis.call('HMGET', KEYS[1], 'subject', 'confirmed_at', 'ended_at')
if not was[1] or was[3] or tonumber(was[2]) >= tonumber(ARGV[1]) then
	return false
end
redis.call('DEL', KEYS[1])
return was[1]`

// The scripts for users get the keys of the user, of the set of names and of the hash
// that maps subjects to names.

// addUserScript adds a user (name ARGV[1], subject ARGV[2]); the other arguments are
// further fields and their values. It returns whether it added the user.
const addUserScript = `
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then
	return 0
end
redis.call('HSET', KEYS[1], 'name', ARGV[1], 'subject', ARGV[2], 'version', '1', unpack(ARGV, 3))
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[1])
return 1`

// setHashScript sets the password hash of a user (KEYS[1]) to ARGV[1] and counts up the
// version, for a new password.
const setHashScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then
	return 0
end
redis.call('HSET', KEYS[1], 'password_hash', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 1`

// replaceHashScript sets the password hash of a user (KEYS[1]) to ARGV[2] if it is
// ARGV[1] now.
const replaceHashScript = `
if redis.call('HGET', KEYS[1], 'password_hash') ~= ARGV[1] then
	return 0
end
redis.call('HSET', KEYS[1], 'password_hash', ARGV[2])
return 1`

// updateUserScript sets fields of a user (KEYS[1]) to the values that follow them.
const updateUserScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then
	return 0
end
if #ARGV > 0 then
	redis.call('HSET', KEYS[1], unpack(ARGV))
end
return 1`

// appendAuditScript adds records to the audit log (KEYS[1], a sorted set by time): ARGV has
// times and records in turn. A record that is there already is not added again.
const appendAuditScript = `
for i = 1, #ARGV, 2 do
	redis.call('ZADD', KEYS[1], 'NX', ARGV[i], ARGV[i + 1])
end
return 1`

// delUserScript removes a user (KEYS[1], name ARGV[1]).
const delUserScript = `
local subject = redis.call('HGET', KEYS[1], 'subject')
if not subject then
	return 0
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], subject)
return 1`

// saveDocumentScript replaces the document (KEYS[1]) with ARGV[1] and its version with
// ARGV[3], if the version is ARGV[2] now.
const saveDocumentScript = `
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[2] then
	return 0
end
redis.call('HSET', KEYS[1], 'document', ARGV[1], 'version', ARGV[3])
return 1`
