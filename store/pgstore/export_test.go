package pgstore

// IdleAmongNext is the statement with which a sweep looks for idle sessions.
const IdleAmongNext = idleAmongNext
