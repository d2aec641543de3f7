package store

import "time"

// An AuditRecord says who did what to whom, when, from where, and what came of it. It never
// has a secret: no password, no token, and no name that was typed at a failed sign-in.
type AuditRecord struct {
	// ID is unique.
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	// Action is what was done, such as "sign_in" or "user_disable"; see package audit.
	Action string `json:"action"`
	// Outcome is "ok", or what went wrong.
	Outcome string `json:"outcome"`
	// Actor is who did it: "user" is the subject itself, "server" the server of its own
	// accord, "key:ID" a key of the API for administrators, "user:SUBJECT" an administrator,
	// and "command:NAME" the person of that name on the server's machine.
	Actor string `json:"actor"`
	// Subject is the user whom it is about, or empty.
	Subject string `json:"subject,omitempty"`
	// Session is the session that it is about, or empty.
	Session string `json:"session,omitempty"`
	// Target is what else it is about, such as the ID of a key.
	Target string `json:"target,omitempty"`
	// Reason is why a session ended or a request was refused.
	Reason    string `json:"reason,omitempty"`
	IP        string `json:"ip,omitempty"`
	RequestID string `json:"requestId,omitempty"`
	// Count is how many sessions ended, if one act ended all those of a user.
	Count int `json:"count,omitempty"`
}

// An AuditQuery selects records. The zero value of a field selects all.
type AuditQuery struct {
	// Since and Until are times; Until itself is not included.
	Since, Until time.Time
	Subject      string
	Session      string
	Action       string
	// Limit is how many records come at most, the newest; 0 means no limit.
	Limit int
}
